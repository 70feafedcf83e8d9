-- @name: cms349
-- @type: sql-query
-- @title: HIV Screening
-- @description: Share of patients of 15 to 65 years at the start of the period who were ever tested for HIV at that age.
-- @version: 0.3.000
-- @status: active
-- @measure: https://madie.cms.gov/Measure/CMS349FHIRHIVScreening
-- @scoring: proportion
-- @improvement_notation: increase
-- @param: measurement_period_start date first day of the measurement period
-- @param: measurement_period_end date last day of the measurement period
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://kiln.example.org/Library/qualifying_encounter as qualifying_encounter
-- @relatedDependency: http://kiln.example.org/Library/supplemental_data as supplemental_data
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.120.12.1003 as hiv_diagnoses
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113762.1.4.1056.50 as hiv_tests
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1022 as preventive_visits_initial_0_to_17
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1024 as preventive_visits_established_0_to_17
--
-- A birth date may be partial; the youngest and the oldest that the patient may be are both of the age.
WITH person AS (
  SELECT p.id AS patient_id, p.death, fhir_low_date(p.birth) AS birth_low, fhir_high_date(p.birth) AS birth_high
  FROM patient p
), preventive_0_to_17 AS (
  SELECT system, code FROM preventive_visits_initial_0_to_17
  UNION ALL
  SELECT system, code FROM preventive_visits_established_0_to_17
), visited AS (
  SELECT e.patient_id FROM qualifying_encounter e
  WHERE e.kind IN ('office', 'preventive-initial', 'preventive-established') AND e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
  UNION
  SELECT e.patient_id FROM encounter_event e
  WHERE e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM encounter_coding k JOIN preventive_0_to_17 v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
), excluded AS (
  SELECT DISTINCT c.patient_id FROM verified_condition c
  WHERE c.start_high < :measurement_period_start
    AND EXISTS (SELECT 1 FROM condition_coding k JOIN hiv_diagnoses v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.condition_id = c.condition_id AND k.element = 'code')
), numerator AS (
  SELECT DISTINCT o.patient_id FROM observation_event o JOIN person p ON p.patient_id = o.patient_id
  WHERE o.status IN ('final', 'amended', 'corrected') AND o.has_value
    AND o.start_high <= :measurement_period_end
    AND age_at(p.birth_high, o.start_low) >= 15 AND age_at(p.birth_low, o.start_high) <= 65
    AND EXISTS (SELECT 1 FROM observation_coding k LEFT JOIN hiv_tests v ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code'
                  AND (v.code IS NOT NULL OR k.system = 'http://loinc.org' AND k.code = '75622-1'))
), initial AS (
  SELECT p.patient_id FROM person p
  JOIN visited ON visited.patient_id = p.patient_id
  WHERE age_at(p.birth_high, :measurement_period_start) >= 15 AND age_at(p.birth_low, :measurement_period_start) <= 65
)
SELECT p.patient_id,
       initial.patient_id IS NOT NULL AS initial_population,
       initial.patient_id IS NOT NULL AS denominator,
       excluded.patient_id IS NOT NULL AS denominator_exclusion,
       numerator.patient_id IS NOT NULL AS numerator,
       coalesce(fhir_high_date(p.death) <= :measurement_period_end, false) AS denominator_exception,
       s.sde_race, s.sde_ethnicity, s.sde_payer, s.sde_sex
FROM person p
LEFT JOIN initial ON initial.patient_id = p.patient_id
LEFT JOIN excluded ON excluded.patient_id = p.patient_id
LEFT JOIN numerator ON numerator.patient_id = p.patient_id
LEFT JOIN supplemental_data s ON s.patient_id = p.patient_id
