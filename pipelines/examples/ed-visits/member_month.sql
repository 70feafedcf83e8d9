-- One row per month and patient who is insured on its first day, whatever the number of insurances. A period that ends with a
-- date is good for that whole day; one without an end goes on; one without a full start date is left out.
WITH month AS (
  SELECT CAST(value AS DATE) AS month
  FROM generate_series(TIMESTAMP '2021-01-01', TIMESTAMP '2025-12-01', INTERVAL '1 month')
)
SELECT DISTINCT m.month, c.patient_id
FROM month m
JOIN coverage c ON c.period_start_date <= m.month AND (c.period_end IS NULL OR c.period_end_date >= m.month)
JOIN patient p ON p.id = c.patient_id
WHERE coalesce(c.status, 'active') <> 'entered-in-error'
  AND NOT (coalesce(p.deceased, false) AND p.death_date IS NULL) AND coalesce(p.death_date >= m.month, true)
