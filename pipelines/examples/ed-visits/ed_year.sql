-- A year's rate is per 1,000 member years: the members of all its months, divided by 12. Years in which fewer than 11 patients
-- came are not told. The number of members is told always, so what is left out must not be found by subtraction: give no sum
-- over the years.
WITH visit AS (
  SELECT v.id, v.patient_id, date_trunc('month', v.period_start_date) AS month
  FROM encounter v
  WHERE v.class_code = 'EMER' AND v.status = 'finished' AND v.period_start_date IS NOT NULL
), total AS (
  SELECT CAST(date_part('year', m.month) AS INTEGER) AS year, count(DISTINCT m.patient_id || to_char(m.month, '%Y%m')) AS member_months,
         count(DISTINCT v.id) AS visits, count(DISTINCT v.patient_id) AS patients
  FROM member_month m
  LEFT JOIN visit v ON v.patient_id = m.patient_id AND v.month = m.month
  GROUP BY date_part('year', m.month)
)
SELECT year, member_months, CASE WHEN patients >= 11 THEN visits END AS visits,
       CASE WHEN patients >= 11 THEN patients END AS patients,
       CASE WHEN patients >= 11 THEN round(12000.0 * visits / member_months, 1) END AS per_1000_years,
       patients < 11 AS suppressed
FROM total
