-- @name: hospice_service
-- @type: sql-view
-- @title: Hospice care
-- @description: Days on which a patient was in hospice care or was sent there.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/procedure_coding as procedure_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/service_request as service_request
-- @relatedDependency: http://kiln.example.org/ViewDefinition/service_request_coding as service_request_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
-- @relatedDependency: http://kiln.example.org/Library/procedure_event as procedure_event
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.666.5.307 as inpatient_encounters
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.1003 as hospice_encounters
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.526.3.1584 as hospice_care
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.1165 as hospice_diagnoses
--
-- Facts that speak of it on some day: it holds in a period if `start_high` is not after its end and `end_low` not before its start.
-- An inpatient stay counts on the day of its discharge to hospice, an order on the day it was written.
SELECT e.patient_id, 'discharge' AS source, e.end_high AS start_high, e.end_low
FROM encounter_event e
WHERE EXISTS (SELECT 1 FROM encounter_coding k JOIN inpatient_encounters v ON v.system = k.system AND v.code = k.code
              WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
  AND EXISTS (SELECT 1 FROM encounter_coding k
              WHERE k.encounter_id = e.encounter_id AND k.element = 'hospitalization.dischargeDisposition'
                AND k.system = 'http://snomed.info/sct' AND k.code IN ('428361000124107', '428371000124100'))
UNION ALL
SELECT e.patient_id, 'encounter' AS source, e.start_high, e.end_low
FROM encounter_event e
WHERE EXISTS (SELECT 1 FROM encounter_coding k JOIN hospice_encounters v ON v.system = k.system AND v.code = k.code
              WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
UNION ALL
SELECT o.patient_id, 'assessment' AS source, o.start_high, o.end_low
FROM observation_event o
WHERE o.status IN ('final', 'amended', 'corrected')
  AND EXISTS (SELECT 1 FROM observation_coding k
              WHERE k.observation_id = o.observation_id AND k.element = 'code'
                AND k.system = 'http://loinc.org' AND k.code = '45755-6')
  AND EXISTS (SELECT 1 FROM observation_coding k
              WHERE k.observation_id = o.observation_id AND k.element = 'value'
                AND k.system = 'http://snomed.info/sct' AND k.code = '373066001')
UNION ALL
SELECT s.patient_id, 'order' AS source, fhir_high_date(s.authored) AS start_high, fhir_low_date(s.authored) AS end_low
FROM service_request s
WHERE s.status IN ('active', 'completed')
  AND s.intent IN ('order', 'original-order', 'reflex-order', 'filler-order', 'instance-order')
  AND coalesce(s.do_not_perform, false) = false
  AND EXISTS (SELECT 1 FROM service_request_coding k JOIN hospice_care v ON v.system = k.system AND v.code = k.code
              WHERE k.service_request_id = s.id AND k.element = 'code')
UNION ALL
SELECT r.patient_id, 'procedure' AS source, r.start_high, r.end_low
FROM procedure_event r
WHERE EXISTS (SELECT 1 FROM procedure_coding k JOIN hospice_care v ON v.system = k.system AND v.code = k.code
              WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
UNION ALL
SELECT c.patient_id, 'condition' AS source, c.start_high, c.end_low
FROM verified_condition c
WHERE EXISTS (SELECT 1 FROM condition_coding k JOIN hospice_diagnoses v ON v.system = k.system AND v.code = k.code
              WHERE k.condition_id = c.condition_id AND k.element = 'code')
