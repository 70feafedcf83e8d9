-- One row per member who is insured and alive on the last day of 2025. `insured_days` are the days of the window of ten years
-- that the claims can tell of: before, somebody else paid. Periods of several insurances may overlap, so it is the time since
-- the first one began, not their sum.
SELECT p.id AS patient_id, p.gender AS sex, 2025 - CAST(date_part('year', p.birth_date) AS INTEGER) AS age,
       CAST(to_unixtime(DATE '2025-12-31') - to_unixtime(greatest(min(c.period_start_date), DATE '2016-01-01')) AS BIGINT) / 86400 AS insured_days
FROM patient p
JOIN coverage c ON c.patient_id = p.id
WHERE c.period_start_date <= DATE '2025-12-31'
  AND coalesce(c.status, 'active') <> 'entered-in-error' AND NOT coalesce(p.deceased, false) AND p.birth_date IS NOT NULL
GROUP BY p.id, p.gender, p.birth_date
HAVING max(CASE WHEN c.period_end IS NULL OR c.period_end_date >= DATE '2025-12-31' THEN 1 ELSE 0 END) = 1
