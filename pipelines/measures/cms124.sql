-- @name: cms124
-- @type: sql-query
-- @title: Cervical Cancer Screening
-- @description: Share of women of 24 to 64 years with cervical cytology within three years, or with an HPV test within five years at the age of 30 or older.
-- @version: 0.4.000
-- @status: active
-- @measure: https://madie.cms.gov/Measure/CMS124FHIRCervicalCancerScreening
-- @scoring: proportion
-- @improvement_notation: increase
-- @needs: patient.sex_code nobody counts as a woman, so nobody is in the measure
-- @param: measurement_period_start date first day of the measurement period
-- @param: measurement_period_end date last day of the measurement period
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/procedure_coding as procedure_coding
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
-- @relatedDependency: http://kiln.example.org/Library/procedure_event as procedure_event
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://kiln.example.org/Library/qualifying_encounter as qualifying_encounter
-- @relatedDependency: http://kiln.example.org/Library/hospice_service as hospice_service
-- @relatedDependency: http://kiln.example.org/Library/palliative_care as palliative_care
-- @relatedDependency: http://kiln.example.org/Library/supplemental_data as supplemental_data
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.198.12.1014 as hysterectomies_without_cervix
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.111.12.1016 as absences_of_cervix
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.108.12.1017 as pap_tests
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.110.12.1059 as hpv_tests
WITH person AS (
  SELECT p.id AS patient_id, p.birth, p.sex_code, age_at(p.birth, :measurement_period_end) AS age
  FROM patient p
), visited AS (
  SELECT DISTINCT e.patient_id FROM qualifying_encounter e
  WHERE e.kind <> 'annual-wellness' AND e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
), excluded AS (
  SELECT h.patient_id FROM hospice_service h
  WHERE h.start_high <= :measurement_period_end AND h.end_low >= :measurement_period_start
  UNION
  SELECT h.patient_id FROM palliative_care h
  WHERE h.start_high <= :measurement_period_end AND h.end_low >= :measurement_period_start
  UNION
  SELECT r.patient_id FROM procedure_event r
  WHERE r.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM procedure_coding k JOIN hysterectomies_without_cervix v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
  UNION
  SELECT c.patient_id FROM verified_condition c
  WHERE c.start_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM condition_coding k JOIN absences_of_cervix v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.condition_id = c.condition_id AND k.element = 'code')
), numerator AS (
  SELECT o.patient_id FROM observation_event o
  WHERE o.status IN ('final', 'amended', 'corrected') AND o.has_value
    AND o.latest_low >= :measurement_period_start - INTERVAL '2 years' AND o.latest_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM observation_coding k JOIN pap_tests v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code')
  UNION
  SELECT o.patient_id FROM observation_event o JOIN person p ON p.patient_id = o.patient_id
  WHERE o.status IN ('final', 'amended', 'corrected') AND o.has_value
    AND o.latest_low >= :measurement_period_start - INTERVAL '4 years' AND o.latest_high <= :measurement_period_end
    AND age_at(p.birth, o.latest_low) >= 30
    AND EXISTS (SELECT 1 FROM observation_coding k JOIN hpv_tests v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code')
), initial AS (
  SELECT p.patient_id FROM person p
  JOIN visited ON visited.patient_id = p.patient_id
  WHERE p.age BETWEEN 24 AND 64 AND p.sex_code = '248152002'
)
SELECT p.patient_id,
       initial.patient_id IS NOT NULL AS initial_population,
       initial.patient_id IS NOT NULL AS denominator,
       excluded.patient_id IS NOT NULL AS denominator_exclusion,
       numerator.patient_id IS NOT NULL AS numerator,
       s.sde_race, s.sde_ethnicity, s.sde_payer, s.sde_sex
FROM person p
LEFT JOIN initial ON initial.patient_id = p.patient_id
LEFT JOIN excluded ON excluded.patient_id = p.patient_id
LEFT JOIN numerator ON numerator.patient_id = p.patient_id
LEFT JOIN supplemental_data s ON s.patient_id = p.patient_id
