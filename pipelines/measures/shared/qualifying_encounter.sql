-- @name: qualifying_encounter
-- @type: sql-view
-- @title: Outpatient visits of adults
-- @description: Finished visits by kind (office, annual-wellness, preventive-established, preventive-initial, home, virtual, telephone). A measure takes the kinds it counts, within its period.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1001 as office_visits
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.526.3.1240 as annual_wellness_visits
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1025 as preventive_visits_established
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1023 as preventive_visits_initial
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1016 as home_healthcare_services
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1089 as virtual_encounters
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1080 as telephone_visits
WITH visit_type AS (
  SELECT system, code, 'office' AS kind FROM office_visits
  UNION ALL
  SELECT system, code, 'annual-wellness' AS kind FROM annual_wellness_visits
  UNION ALL
  SELECT system, code, 'preventive-established' AS kind FROM preventive_visits_established
  UNION ALL
  SELECT system, code, 'preventive-initial' AS kind FROM preventive_visits_initial
  UNION ALL
  SELECT system, code, 'home' AS kind FROM home_healthcare_services
  UNION ALL
  SELECT system, code, 'virtual' AS kind FROM virtual_encounters
  UNION ALL
  SELECT system, code, 'telephone' AS kind FROM telephone_visits
)
SELECT DISTINCT e.encounter_id, e.patient_id, t.kind, e.start_low, e.start_high, e.end_low, e.end_high
FROM encounter_event e
JOIN encounter_coding k ON k.encounter_id = e.encounter_id AND k.element = 'type'
JOIN visit_type t ON t.system = k.system AND t.code = k.code
