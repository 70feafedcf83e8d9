-- @name: palliative_care
-- @type: sql-view
-- @title: Palliative care
-- @description: Days on which a patient had palliative care.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/procedure_coding as procedure_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
-- @relatedDependency: http://kiln.example.org/Library/procedure_event as procedure_event
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1090 as palliative_care_encounters
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.198.12.1135 as palliative_care_interventions
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.1167 as palliative_care_diagnoses
--
-- Facts that speak of it on some day: it holds in a period if `start_high` is not after its end and `end_low` not before its start.
SELECT o.patient_id, 'assessment' AS source, o.start_high, o.end_low
FROM observation_event o
WHERE o.status IN ('final', 'amended', 'corrected')
  AND EXISTS (SELECT 1 FROM observation_coding k
              WHERE k.observation_id = o.observation_id AND k.element = 'code'
                AND k.system = 'http://loinc.org' AND k.code = '71007-9')
UNION ALL
SELECT c.patient_id, 'condition' AS source, c.start_high, c.end_low
FROM verified_condition c
WHERE EXISTS (SELECT 1 FROM condition_coding k JOIN palliative_care_diagnoses v ON v.system = k.system AND v.code = k.code
              WHERE k.condition_id = c.condition_id AND k.element = 'code')
UNION ALL
SELECT e.patient_id, 'encounter' AS source, e.start_high, e.end_low
FROM encounter_event e
WHERE EXISTS (SELECT 1 FROM encounter_coding k JOIN palliative_care_encounters v ON v.system = k.system AND v.code = k.code
              WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
UNION ALL
SELECT r.patient_id, 'procedure' AS source, r.start_high, r.end_low
FROM procedure_event r
WHERE EXISTS (SELECT 1 FROM procedure_coding k JOIN palliative_care_interventions v ON v.system = k.system AND v.code = k.code
              WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
