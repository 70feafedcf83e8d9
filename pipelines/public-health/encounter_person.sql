-- One row per patient, month and class: with the age at the first encounter of that month, so that each patient is counted
-- in one cell only and all sums agree. Who has no race, ethnicity, sex, birth date or postal code is `unknown`: to leave
-- these patients out would make the counts of the others a wrong total.
WITH visit AS (
  SELECT e.patient_id, CAST(date_trunc('month', e.period_start_date) AS DATE) AS month, e.class_code AS class,
         min(e.period_start_date) AS first_day, count(*) AS encounters
  FROM encounter e
  WHERE e.status IN ('in-progress', 'finished') AND e.period_start_date IS NOT NULL AND e.class_code IS NOT NULL
  GROUP BY e.patient_id, CAST(date_trunc('month', e.period_start_date) AS DATE), e.class_code
), aged AS (
  SELECT v.*, coalesce(p.gender, 'unknown') AS sex, coalesce(p.race_display, p.race_text, 'unknown') AS race,
         coalesce(p.ethnicity_display, p.ethnicity_text, 'unknown') AS ethnicity,
         coalesce(substr(p.address_postal_code, 1, 3), 'unknown') AS zip3,
         date_part('year', v.first_day) - date_part('year', p.birth_date)
           - CASE WHEN to_char(v.first_day, '%m%d') < to_char(p.birth_date, '%m%d') THEN 1 ELSE 0 END AS age
  FROM visit v JOIN patient p ON p.id = v.patient_id
)
SELECT patient_id, month, class, sex, race, ethnicity, zip3, encounters,
       CASE WHEN age IS NULL THEN 'unknown' WHEN age < 18 THEN '00-17' WHEN age < 45 THEN '18-44'
            WHEN age < 65 THEN '45-64' ELSE '65+' END AS age_band
FROM aged
