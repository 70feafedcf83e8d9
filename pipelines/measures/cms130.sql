-- @name: cms130
-- @type: sql-query
-- @title: Colorectal Cancer Screening
-- @description: Share of patients of 46 to 75 years with an appropriate screening for colorectal cancer: occult blood in the period, stool DNA within three years, sigmoidoscopy or CT colonography within five, colonoscopy within ten.
-- @version: 0.4.000
-- @status: active
-- @measure: https://madie.cms.gov/Measure/CMS130FHIRColorectalCancerScreening
-- @scoring: proportion
-- @improvement_notation: increase
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
-- @relatedDependency: http://kiln.example.org/Library/frailty as frailty
-- @relatedDependency: http://kiln.example.org/Library/advanced_illness as advanced_illness
-- @relatedDependency: http://kiln.example.org/Library/housing_status as housing_status
-- @relatedDependency: http://kiln.example.org/Library/supplemental_data as supplemental_data
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.108.12.1020 as colonoscopies
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.108.12.1038 as ct_colonographies
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.198.12.1011 as fecal_occult_blood_tests
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.108.12.1039 as stool_dna_tests
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.198.12.1010 as flexible_sigmoidoscopies
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.108.12.1001 as colon_cancers
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.198.12.1019 as total_colectomies
WITH person AS (
  SELECT p.id AS patient_id, p.birth, p.sex_code, age_at(p.birth, :measurement_period_end) AS age
  FROM patient p
), visited AS (
  SELECT DISTINCT e.patient_id FROM qualifying_encounter e
  WHERE e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
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
  UNION
  SELECT c.patient_id FROM verified_condition c
  WHERE c.start_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM condition_coding k JOIN colon_cancers v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.condition_id = c.condition_id AND k.element = 'code')
  UNION
  SELECT r.patient_id FROM procedure_event r
  WHERE r.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM procedure_coding k JOIN total_colectomies v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
), numerator AS (
  SELECT o.patient_id FROM observation_event o
  WHERE o.status IN ('final', 'amended', 'corrected') AND o.has_value
    AND o.latest_low >= :measurement_period_start AND o.latest_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM observation_coding k JOIN fecal_occult_blood_tests v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code')
  UNION
  SELECT o.patient_id FROM observation_event o
  WHERE o.status IN ('final', 'amended', 'corrected') AND o.has_value
    AND o.latest_low >= :measurement_period_start - INTERVAL '2 years' AND o.latest_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM observation_coding k JOIN stool_dna_tests v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code')
  UNION
  SELECT r.patient_id FROM procedure_event r
  WHERE r.end_low >= :measurement_period_start - INTERVAL '4 years' AND r.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM procedure_coding k JOIN flexible_sigmoidoscopies v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
  UNION
  SELECT o.patient_id FROM observation_event o
  WHERE o.status IN ('final', 'amended', 'corrected')
    AND o.end_low >= :measurement_period_start - INTERVAL '4 years' AND o.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM observation_coding k
                WHERE k.observation_id = o.observation_id AND k.element = 'category' AND k.code = 'imaging'
                  AND k.system = 'http://terminology.hl7.org/CodeSystem/observation-category')
    AND EXISTS (SELECT 1 FROM observation_coding k JOIN ct_colonographies v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.observation_id = o.observation_id AND k.element = 'code')
  UNION
  SELECT r.patient_id FROM procedure_event r
  WHERE r.end_low >= :measurement_period_start - INTERVAL '9 years' AND r.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM procedure_coding k JOIN colonoscopies v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
), initial AS (
  SELECT p.patient_id FROM person p
  JOIN visited ON visited.patient_id = p.patient_id
  WHERE p.age BETWEEN 46 AND 75
)
SELECT p.patient_id,
       initial.patient_id IS NOT NULL AS initial_population,
       initial.patient_id IS NOT NULL AS denominator,
       excluded.patient_id IS NOT NULL AS denominator_exclusion,
       numerator.patient_id IS NOT NULL AS numerator,
       CASE WHEN p.age BETWEEN 46 AND 49 THEN '46-49' WHEN p.age BETWEEN 50 AND 75 THEN '50-75' END AS stratum_age,
       s.sde_race, s.sde_ethnicity, s.sde_payer, s.sde_sex
FROM person p
LEFT JOIN initial ON initial.patient_id = p.patient_id
LEFT JOIN excluded ON excluded.patient_id = p.patient_id
LEFT JOIN numerator ON numerator.patient_id = p.patient_id
LEFT JOIN supplemental_data s ON s.patient_id = p.patient_id
