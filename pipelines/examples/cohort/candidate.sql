-- The index date is the day of the first HbA1c above 9 % at or after the diagnosis. A diagnosis of `2018` is compared with
-- the year of the result only: the day of the result is cut to the same length. A result of `<14` is not
-- known to be above 9.
WITH high AS (
  SELECT d.patient_id, o.effective_start_date AS day, o.value_quantity AS percent,
         row_number() OVER (PARTITION BY d.patient_id ORDER BY o.effective_start_date, o.id) AS nth
  FROM diabetic d
  JOIN observation o ON o.patient_id = d.patient_id
  WHERE o.code_system = 'http://loinc.org' AND o.code = '4548-4' AND o.status IN ('final', 'amended', 'corrected')
    AND o.value_unit_code = '%' AND o.value_quantity > 9 AND coalesce(o.value_comparator, '>') LIKE '>%'
    AND o.effective_start_date IS NOT NULL
    AND substr(CAST(o.effective_start_date AS VARCHAR), 1, length(d.since)) >= d.since
), seen AS (
  SELECT patient_id, min(period_start_date) AS first_seen
  FROM encounter
  WHERE status = 'finished'
  GROUP BY patient_id
)
SELECT d.patient_id, d.since, h.day AS index_date, h.percent, p.gender AS sex,
       CAST(date_part('year', h.day) - date_part('year', p.birth_date)
         - CASE WHEN to_char(h.day, '%m%d') < to_char(p.birth_date, '%m%d') THEN 1 ELSE 0 END AS INTEGER) AS age,
       s.first_seen <= h.day - INTERVAL '365 days' AS observed_before
FROM diabetic d
JOIN patient p ON p.id = d.patient_id
LEFT JOIN high h ON h.patient_id = d.patient_id AND h.nth = 1
LEFT JOIN seen s ON s.patient_id = d.patient_id
