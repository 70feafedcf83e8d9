-- @name: advanced_illness
-- @type: sql-view
-- @title: Advanced illness or dementia medication
-- @description: Onset of an advanced illness, and the days that an active order of a dementia medication covers.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://kiln.example.org/Library/medication_request_code as medication_request_code
-- @relatedDependency: http://kiln.example.org/Library/medication_request_period as medication_request_period
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.110.12.1082 as advanced_illnesses
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.196.12.1510 as dementia_medications
--
-- Facts that speak of it on some day: it holds in a period if `start_high` is not after its end and `end_low` not before its start.
-- Measures ask for their period and the year before it. An illness counts by its onset alone.
SELECT c.patient_id, 'onset' AS source, c.start_high, c.start_low AS end_low
FROM verified_condition c
WHERE EXISTS (SELECT 1 FROM condition_coding k JOIN advanced_illnesses v ON v.system = k.system AND v.code = k.code
              WHERE k.condition_id = c.condition_id AND k.element = 'code')
UNION ALL
SELECT m.patient_id, 'medication' AS source, m.start_high, m.end_low
FROM medication_request_period m
WHERE m.status = 'active'
  AND m.intent IN ('order', 'original-order', 'reflex-order', 'filler-order', 'instance-order')
  AND m.do_not_perform = false
  AND EXISTS (SELECT 1 FROM medication_request_code k JOIN dementia_medications v ON v.system = k.system AND v.code = k.code
              WHERE k.medication_request_id = m.medication_request_id)
