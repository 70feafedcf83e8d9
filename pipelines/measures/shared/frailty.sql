-- @name: frailty
-- @type: sql-view
-- @title: Signs of frailty
-- @description: Days on which something shows that a patient is frail: a device ordered or used, a diagnosis, an encounter, a symptom.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/device_request as device_request
-- @relatedDependency: http://kiln.example.org/ViewDefinition/device_request_coding as device_request_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.118.12.1300 as frailty_devices
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.113.12.1074 as frailty_diagnoses
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1088 as frailty_encounters
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.113.12.1075 as frailty_symptoms
--
-- Facts that speak of it on some day: it holds in a period if `start_high` is not after its end and `end_low` not before its start.
-- An order counts on the day it was written, equipment on the last day of its observation.
SELECT d.patient_id, 'device order' AS source, fhir_high_date(d.authored) AS start_high, fhir_low_date(d.authored) AS end_low
FROM device_request d
WHERE d.status IN ('active', 'completed')
  AND d.intent IN ('order', 'original-order', 'reflex-order', 'filler-order', 'instance-order')
  AND coalesce(d.do_not_perform, false) = false
  AND EXISTS (SELECT 1 FROM device_request_coding k JOIN frailty_devices v ON v.system = k.system AND v.code = k.code
              WHERE k.device_request_id = d.id AND k.element = 'code')
UNION ALL
SELECT o.patient_id, 'equipment' AS source, o.end_high AS start_high, o.end_low
FROM observation_event o
WHERE o.status IN ('final', 'amended', 'corrected')
  AND EXISTS (SELECT 1 FROM observation_coding k
              WHERE k.observation_id = o.observation_id AND k.element = 'code'
                AND k.system = 'http://loinc.org' AND k.code = '98181-1')
  AND EXISTS (SELECT 1 FROM observation_coding k JOIN frailty_devices v ON v.system = k.system AND v.code = k.code
              WHERE k.observation_id = o.observation_id AND k.element = 'value')
UNION ALL
SELECT c.patient_id, 'condition' AS source, c.start_high, c.end_low
FROM verified_condition c
WHERE EXISTS (SELECT 1 FROM condition_coding k JOIN frailty_diagnoses v ON v.system = k.system AND v.code = k.code
              WHERE k.condition_id = c.condition_id AND k.element = 'code')
UNION ALL
SELECT e.patient_id, 'encounter' AS source, e.start_high, e.end_low
FROM encounter_event e
WHERE EXISTS (SELECT 1 FROM encounter_coding k JOIN frailty_encounters v ON v.system = k.system AND v.code = k.code
              WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
UNION ALL
SELECT o.patient_id, 'symptom' AS source, o.start_high, o.end_low
FROM observation_event o
WHERE o.status IN ('preliminary', 'final', 'amended', 'corrected')
  AND EXISTS (SELECT 1 FROM observation_coding k JOIN frailty_symptoms v ON v.system = k.system AND v.code = k.code
              WHERE k.observation_id = o.observation_id AND k.element = 'code')
