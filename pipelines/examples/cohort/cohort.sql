-- Covariates are what was known at the index date: nothing later is looked at.
WITH member AS (
  SELECT * FROM candidate WHERE index_date IS NOT NULL AND age >= 18 AND observed_before
), bmi AS (
  SELECT m.patient_id, o.value_quantity AS bmi,
         row_number() OVER (PARTITION BY m.patient_id ORDER BY o.effective_start_date DESC, o.id) AS nth
  FROM member m
  JOIN observation o ON o.patient_id = m.patient_id
  WHERE o.code_system = 'http://loinc.org' AND o.code = '39156-5' AND o.status = 'final'
    AND o.effective_start_date BETWEEN m.index_date - INTERVAL '365 days' AND m.index_date
), pressure AS (
  SELECT m.patient_id, c.value_quantity AS systolic,
         row_number() OVER (PARTITION BY m.patient_id ORDER BY c.effective_start_date DESC, c.observation_id) AS nth
  FROM member m
  JOIN observation_component c ON c.patient_id = m.patient_id
  WHERE c.code_system = 'http://loinc.org' AND c.code = '8480-6' AND c.status = 'final'
    AND c.effective_start_date BETWEEN m.index_date - INTERVAL '365 days' AND m.index_date
), metformin AS (
  SELECT DISTINCT m.patient_id
  FROM member m
  JOIN medication_request q ON q.patient_id = m.patient_id
  WHERE lower(q.medication_display) LIKE 'metformin%' AND q.status IN ('active', 'completed', 'stopped')
    AND q.authored_date BETWEEN m.index_date - INTERVAL '365 days' AND m.index_date
), hypertension AS (
  SELECT DISTINCT m.patient_id
  FROM member m
  JOIN condition c ON c.patient_id = m.patient_id
  WHERE c.code_system = 'http://snomed.info/sct' AND c.code = '59621000'
    AND substr(c.onset_start, 1, 10) <= substr(CAST(m.index_date AS VARCHAR), 1, length(substr(c.onset_start, 1, 10)))
)
SELECT m.patient_id, m.index_date, m.percent, m.sex, m.age, b.bmi, r.systolic,
       f.patient_id IS NOT NULL AS metformin, h.patient_id IS NOT NULL AS hypertension
FROM member m
LEFT JOIN bmi b ON b.patient_id = m.patient_id AND b.nth = 1
LEFT JOIN pressure r ON r.patient_id = m.patient_id AND r.nth = 1
LEFT JOIN metformin f ON f.patient_id = m.patient_id
LEFT JOIN hypertension h ON h.patient_id = m.patient_id
