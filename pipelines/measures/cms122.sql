-- @name: cms122
-- @type: sql-query
-- @title: Diabetes: Glycemic Status Assessment Greater Than 9%
-- @description: Share of patients of 18 to 75 years with diabetes whose most recent HbA1c or glucose management indicator in the period was above 9 %, had no result, or was not measured.
-- @version: 0.5.000
-- @status: active
-- @measure: https://madie.cms.gov/Measure/CMS122FHIRDiabetesAssessGreaterThan9Percent
-- @scoring: proportion
-- @improvement_notation: decrease
-- @needs: condition.category_codes diabetes counts as encounter diagnosis only, so nobody is in the measure
-- @param: measurement_period_start date first day of the measurement period
-- @param: measurement_period_end date last day of the measurement period
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition as condition
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
-- @relatedDependency: http://kiln.example.org/Library/verified_condition as verified_condition
-- @relatedDependency: http://kiln.example.org/Library/qualifying_encounter as qualifying_encounter
-- @relatedDependency: http://kiln.example.org/Library/hospice_service as hospice_service
-- @relatedDependency: http://kiln.example.org/Library/palliative_care as palliative_care
-- @relatedDependency: http://kiln.example.org/Library/frailty as frailty
-- @relatedDependency: http://kiln.example.org/Library/advanced_illness as advanced_illness
-- @relatedDependency: http://kiln.example.org/Library/housing_status as housing_status
-- @relatedDependency: http://kiln.example.org/Library/supplemental_data as supplemental_data
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.103.12.1001 as diabetes_diagnoses
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.198.12.1013 as hba1c_tests
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.1006 as nutrition_services
--
-- Of the readings of the most recent day the lowest decides; one without a quantity is lower than any.
WITH person AS (
  SELECT p.id AS patient_id, p.birth, p.sex_code, age_at(p.birth, :measurement_period_end) AS age
  FROM patient p
), visited AS (
  SELECT e.patient_id FROM qualifying_encounter e
  WHERE e.kind <> 'virtual' AND e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
  UNION
  SELECT e.patient_id FROM encounter_event e
  WHERE e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
    AND (EXISTS (SELECT 1 FROM encounter_coding k JOIN nutrition_services v ON v.system = k.system AND v.code = k.code
                 WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
      OR EXISTS (SELECT 1 FROM encounter_coding k
                 WHERE k.encounter_id = e.encounter_id AND k.element = 'type'
                   AND (k.system = 'http://www.ama-assn.org/go/cpt' AND k.code IN ('97802', '97803', '97804')
                     OR k.system = 'http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets' AND k.code IN ('G0270', 'G0271'))))
), diabetic AS (
  SELECT DISTINCT c.patient_id FROM verified_condition c
  WHERE c.is_encounter_diagnosis
    AND c.start_high <= :measurement_period_end AND c.end_low >= :measurement_period_start
    AND EXISTS (SELECT 1 FROM condition_coding k JOIN diabetes_diagnoses v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.condition_id = c.condition_id AND k.element = 'code')
), frail AS (
  SELECT DISTINCT f.patient_id FROM frailty f
  WHERE f.start_high <= :measurement_period_end AND f.end_low >= :measurement_period_start
), ill AS (
  SELECT DISTINCT a.patient_id FROM advanced_illness a
  WHERE a.start_high <= :measurement_period_end AND a.end_low >= :measurement_period_start - INTERVAL '1 year'
), housed AS (
  SELECT s.patient_id, s.lives_in_nursing_home,
         row_number() OVER (PARTITION BY s.patient_id ORDER BY s.ended_at DESC, s.lives_in_nursing_home DESC) AS nth
  FROM housing_status s
  WHERE s.end_high <= :measurement_period_end
), excluded AS (
  SELECT h.patient_id FROM hospice_service h
  WHERE h.start_high <= :measurement_period_end AND h.end_low >= :measurement_period_start
  UNION
  SELECT h.patient_id FROM palliative_care h
  WHERE h.start_high <= :measurement_period_end AND h.end_low >= :measurement_period_start
  UNION
  SELECT p.patient_id FROM person p
  JOIN frail ON frail.patient_id = p.patient_id
  JOIN ill ON ill.patient_id = p.patient_id
  WHERE p.age >= 66
  UNION
  SELECT s.patient_id FROM housed s JOIN person p ON p.patient_id = s.patient_id
  WHERE s.nth = 1 AND s.lives_in_nursing_home AND p.age >= 66
), assessed AS (
  SELECT o.patient_id, o.latest_high AS day, o.has_value,
         CASE WHEN o.value_unit IS NULL OR o.value_unit = '%' THEN o.value_quantity
              ELSE ucum(o.value_quantity, o.value_unit, '%') END AS percent
  FROM observation_event o
  WHERE o.status IN ('final', 'amended', 'corrected')
    AND o.latest_low >= :measurement_period_start AND o.latest_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM observation_coding k LEFT JOIN hba1c_tests v ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code'
                  AND (v.code IS NOT NULL OR k.system = 'http://loinc.org' AND k.code = '97506-0'))
), ranked AS (
  SELECT a.*, row_number() OVER (PARTITION BY a.patient_id ORDER BY a.day DESC, a.percent NULLS FIRST, a.has_value) AS nth
  FROM assessed a
), lowest AS (
  SELECT r.patient_id, r.has_value, r.percent FROM ranked r WHERE r.nth = 1
), numerator AS (
  SELECT p.patient_id FROM person p LEFT JOIN lowest l ON l.patient_id = p.patient_id
  WHERE l.patient_id IS NULL OR NOT l.has_value OR l.percent > 9
), initial AS (
  SELECT p.patient_id FROM person p
  JOIN visited ON visited.patient_id = p.patient_id
  JOIN diabetic ON diabetic.patient_id = p.patient_id
  WHERE p.age BETWEEN 18 AND 75
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
