-- What a report of a case says besides who it is: one row per item.
--   problem        conditions that are not over, refuted, or entered in error
--   result         laboratory results, from 30 days before the first day of the case to 30 days after its last
--   medication     orders of the same time
--   immunization   all that were given
--   pregnancy, travel, occupation: all observations with these LOINC codes
-- A case without a known day takes results and orders of any time; results and orders without a full date are taken too.
WITH social (section, code) AS (
  VALUES ('pregnancy', '82810-3'), ('pregnancy', '11778-8'), ('travel', '8691-8'), ('travel', '94651-7'),
         ('occupation', '11341-5'), ('occupation', '21843-8'), ('occupation', '86188-0')
), item AS (
  SELECT 'problem' AS section, 'Condition' AS resource_type, id AS resource_id, patient_id, code_system, code,
         coalesce(code_display, code_text) AS display, clinical_status AS value, NULL AS unit,
         coalesce(onset_start, recorded) AS written, CAST(NULL AS DATE) AS day
  FROM condition
  WHERE coalesce(clinical_status, 'active') IN ('active', 'recurrence', 'relapse')
    AND coalesce(verification_status, '') NOT IN ('refuted', 'entered-in-error')
  UNION ALL
  SELECT 'result', 'Observation', id, patient_id, code_system, code, coalesce(code_display, code_text),
         coalesce(coalesce(value_comparator, '') || value_quantity_as_written, value_concept_display, value_concept_text,
                  value_concept_code, value_string),
         value_unit, effective_start, effective_start_date
  FROM observation
  WHERE status IN ('final', 'amended', 'corrected') AND category_codes LIKE '%laboratory%'
  UNION ALL
  SELECT s.section, 'Observation', o.id, o.patient_id, o.code_system, o.code, coalesce(o.code_display, o.code_text),
         coalesce(o.value_concept_display, o.value_concept_text, o.value_concept_code, o.value_string,
                  o.value_quantity_as_written),
         o.value_unit, o.effective_start, CAST(NULL AS DATE)
  FROM observation o JOIN social s ON s.code = o.code AND o.code_system = 'http://loinc.org'
  WHERE o.status IN ('final', 'amended', 'corrected')
  UNION ALL
  SELECT 'medication', 'MedicationRequest', id, patient_id, medication_system, medication_code,
         coalesce(medication_display, medication_text), status, NULL, authored, authored_date
  FROM medication_request
  WHERE status IN ('active', 'on-hold', 'completed', 'stopped') AND NOT coalesce(do_not_perform, false)
  UNION ALL
  SELECT 'immunization', 'Immunization', id, patient_id, vaccine_system, vaccine_code,
         coalesce(vaccine_display, vaccine_text), NULL, NULL, coalesce(occurrence, occurrence_string), CAST(NULL AS DATE)
  FROM immunization WHERE status = 'completed'
)
SELECT c.condition_name, c.patient_id, i.section, i.resource_type, i.resource_id, i.code_system, i.code, i.display,
       i.value, i.unit, i.written AS date
FROM trigger_case c
JOIN item i ON i.patient_id = c.patient_id
WHERE i.day IS NULL OR c.first_day IS NULL
   OR i.day BETWEEN c.first_day - INTERVAL '30 days' AND c.last_day + INTERVAL '30 days'
