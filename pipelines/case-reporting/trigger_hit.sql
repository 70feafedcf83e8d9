-- Diagnoses count unless they are refuted or entered in error. Results count if they are final and positive: by SNOMED CT
-- (positive, detected), by the interpretation, or by the word. What is neither is no hit: "not detected" is no detection.
WITH diagnosis AS (
  SELECT c.id AS resource_id, 'Condition' AS resource_type, c.patient_id, c.code_system, c.code,
         coalesce(c.onset_start_date, c.recorded_date) AS day, t.condition_name
  FROM condition c
  JOIN trigger_code t ON t.kind = 'diagnosis' AND t.code_system = c.code_system AND t.code = c.code
  WHERE coalesce(c.verification_status, '') NOT IN ('refuted', 'entered-in-error')
), result AS (
  SELECT o.id AS resource_id, 'Observation' AS resource_type, o.patient_id, o.code_system, o.code,
         o.effective_start_date AS day, t.condition_name
  FROM observation o
  JOIN trigger_code t ON t.kind = 'result' AND t.code_system = o.code_system AND t.code = o.code
  WHERE o.status IN ('final', 'amended', 'corrected')
    AND (o.value_concept_code IN ('10828004', '260373001') OR o.interpretation_code IN ('POS', 'DET')
         OR lower(trim(o.value_string)) IN ('positive', 'detected'))
)
SELECT * FROM diagnosis
UNION ALL
SELECT * FROM result
