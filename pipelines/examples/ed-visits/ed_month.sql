-- Visits of members only: a visit of somebody who is not in the denominator belongs to another rate. Months without a visit
-- are there too, with 0.
WITH visit AS (
  SELECT id, patient_id, CAST(date_trunc('month', period_start_date) AS DATE) AS month
  FROM encounter
  WHERE class_code = 'EMER' AND status = 'finished' AND period_start_date IS NOT NULL
)
SELECT m.month, count(DISTINCT m.patient_id) AS members, count(DISTINCT v.id) AS visits,
       count(DISTINCT v.patient_id) AS patients,
       round(1000.0 * count(DISTINCT v.id) / count(DISTINCT m.patient_id), 2) AS per_1000
FROM member_month m
LEFT JOIN visit v ON v.patient_id = m.patient_id AND v.month = m.month
GROUP BY m.month
