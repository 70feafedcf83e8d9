-- Any coding of a resource may trigger; a resource with several codings for the same condition is one hit.
-- Diagnoses count unless they are refuted or entered in error. Results count if they are final and positive: by SNOMED CT
-- (positive, detected), by the interpretation, or by the word. What is neither is no hit: "not detected" is no detection.
-- Procedures, immunizations and orders count if they were done or ordered. `day` is null where only a month or year is known.
WITH positive AS (
  SELECT observation_id FROM observation_coding
  WHERE (element = 'value' AND code IN ('10828004', '260373001')) OR (element = 'interpretation' AND code IN ('POS', 'DET'))
  UNION
  SELECT id FROM observation WHERE lower(trim(value_string)) IN ('positive', 'detected')
), found AS (
  SELECT 'Condition' AS resource_type, r.id AS resource_id, r.patient_id, r.encounter_id, r.meta_last_updated, t.kind,
         t.code_system, t.code, coalesce(r.onset_start_date, r.recorded_date) AS day, t.condition_name
  FROM condition r
  JOIN condition_coding c ON c.condition_id = r.id AND c.element = 'code'
  JOIN trigger_code t ON t.kind = 'diagnosis' AND t.code_system = c.system AND t.code = c.code
  WHERE coalesce(r.verification_status, '') NOT IN ('refuted', 'entered-in-error')
  UNION ALL
  SELECT 'Observation', r.id, r.patient_id, r.encounter_id, r.meta_last_updated, t.kind,
         t.code_system, t.code, r.effective_start_date, t.condition_name
  FROM observation r
  JOIN observation_coding c ON c.observation_id = r.id
  JOIN trigger_code t ON t.code_system = c.system AND t.code = c.code
   AND ((t.kind = 'result' AND c.element = 'code') OR (t.kind = 'finding' AND c.element IN ('value', 'component.value')))
  LEFT JOIN positive p ON p.observation_id = r.id
  WHERE r.status IN ('final', 'amended', 'corrected') AND (t.kind = 'finding' OR p.observation_id IS NOT NULL)
  UNION ALL
  SELECT 'Procedure', r.id, r.patient_id, r.encounter_id, r.meta_last_updated, t.kind,
         t.code_system, t.code, r.performed_start_date, t.condition_name
  FROM procedure r
  JOIN procedure_coding c ON c.procedure_id = r.id AND c.element = 'code'
  JOIN trigger_code t ON t.kind = 'procedure' AND t.code_system = c.system AND t.code = c.code
  WHERE r.status IN ('in-progress', 'completed')
  UNION ALL
  SELECT 'Immunization', r.id, r.patient_id, r.encounter_id, r.meta_last_updated, t.kind,
         t.code_system, t.code, r.occurrence_date, t.condition_name
  FROM immunization r
  JOIN immunization_coding c ON c.immunization_id = r.id AND c.element = 'vaccineCode'
  JOIN trigger_code t ON t.kind = 'immunization' AND t.code_system = c.system AND t.code = c.code
  WHERE r.status = 'completed'
  UNION ALL
  SELECT 'MedicationRequest', r.id, r.patient_id, r.encounter_id, r.meta_last_updated, t.kind,
         t.code_system, t.code, r.authored_date, t.condition_name
  FROM medication_request r
  JOIN medication_request_coding c ON c.medication_request_id = r.id AND c.element = 'medication'
  JOIN trigger_code t ON t.kind = 'medication' AND t.code_system = c.system AND t.code = c.code
  WHERE r.status IN ('active', 'on-hold', 'completed', 'stopped') AND r.intent <> 'proposal'
    AND NOT coalesce(r.do_not_perform, false)
), ranked AS (
  SELECT *, row_number() OVER (PARTITION BY resource_type, resource_id, condition_name ORDER BY kind, code_system, code) AS nth
  FROM found
)
SELECT resource_type, resource_id, patient_id, encounter_id, kind, code_system, code, condition_name, day, meta_last_updated
FROM ranked WHERE nth = 1
