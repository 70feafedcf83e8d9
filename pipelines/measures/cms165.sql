-- @name: cms165
-- @type: sql-query
-- @title: Controlling High Blood Pressure
-- @description: Share of patients of 18 to 85 years with essential hypertension in the first half of the period whose most recent blood pressure was below 140/90 mmHg.
-- @version: 0.5.000
-- @status: active
-- @measure: https://madie.cms.gov/Measure/CMS165FHIRControllingHighBloodPressure
-- @scoring: proportion
-- @improvement_notation: increase
-- @param: measurement_period_start date first day of the measurement period
-- @param: measurement_period_end date last day of the measurement period
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter as encounter
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter_coding as encounter_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition_coding as condition_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_component as observation_component
-- @relatedDependency: http://kiln.example.org/ViewDefinition/procedure_coding as procedure_coding
-- @relatedDependency: http://kiln.example.org/Library/encounter_event as encounter_event
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
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.104.12.1011 as essential_hypertension
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.526.3.378 as pregnancies
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.526.3.353 as end_stage_renal_disease
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.109.12.1029 as kidney_transplant_recipients
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.526.3.1002 as chronic_kidney_disease_stage_5
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.109.12.1012 as kidney_transplants
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.109.12.1013 as dialysis_services
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.109.12.1014 as esrd_monthly_services
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.464.1003.101.12.1010 as emergency_department_visits
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.113883.3.666.5.307 as inpatient_encounters
--
-- A reading does not count if it was taken on a day of an emergency or inpatient visit (by type), and belongs to an encounter of
-- such a class. Of the readings of the most recent day the lowest systolic and the lowest diastolic pressure decide. A reading
-- of that day without one of the two has an unknown pressure, and the unknown is lower than any: the patient is not in the
-- numerator. A component is known by any of its codings; the table of components has the first one.
WITH person AS (
  SELECT p.id AS patient_id, p.birth, p.sex_code, age_at(p.birth, :measurement_period_end) AS age
  FROM patient p
), visited AS (
  SELECT DISTINCT e.patient_id FROM qualifying_encounter e
  WHERE e.start_low >= :measurement_period_start
    AND e.end_high <= :measurement_period_end
), hypertensive AS (
  SELECT DISTINCT c.patient_id FROM verified_condition c
  WHERE c.start_high < :measurement_period_start + INTERVAL '6 months' AND c.end_low >= :measurement_period_start
    AND EXISTS (SELECT 1 FROM condition_coding k JOIN essential_hypertension v
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
), renal_or_pregnant AS (
  SELECT system, code FROM pregnancies
  UNION ALL
  SELECT system, code FROM end_stage_renal_disease
  UNION ALL
  SELECT system, code FROM kidney_transplant_recipients
  UNION ALL
  SELECT system, code FROM chronic_kidney_disease_stage_5
), renal_replacement AS (
  SELECT system, code FROM kidney_transplants
  UNION ALL
  SELECT system, code FROM dialysis_services
), excluded AS (
  SELECT h.patient_id FROM hospice_service h
  WHERE h.start_high <= :measurement_period_end AND h.end_low >= :measurement_period_start
  UNION
  SELECT h.patient_id FROM palliative_care h
  WHERE h.start_high <= :measurement_period_end AND h.end_low >= :measurement_period_start
  UNION
  SELECT p.patient_id FROM person p
  JOIN frail ON frail.patient_id = p.patient_id
  LEFT JOIN ill ON ill.patient_id = p.patient_id
  WHERE p.age BETWEEN 66 AND 80 AND ill.patient_id IS NOT NULL OR p.age >= 81
  UNION
  SELECT s.patient_id FROM housed s JOIN person p ON p.patient_id = s.patient_id
  WHERE s.nth = 1 AND s.lives_in_nursing_home AND p.age >= 66
  UNION
  SELECT c.patient_id FROM verified_condition c
  WHERE c.start_high <= :measurement_period_end AND c.end_low >= :measurement_period_start
    AND EXISTS (SELECT 1 FROM condition_coding k JOIN renal_or_pregnant v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.condition_id = c.condition_id AND k.element = 'code')
  UNION
  SELECT r.patient_id FROM procedure_event r
  WHERE r.end_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM procedure_coding k JOIN renal_replacement v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.procedure_id = r.procedure_id AND k.element = 'code')
  UNION
  SELECT e.patient_id FROM encounter_event e
  WHERE e.start_high <= :measurement_period_end
    AND EXISTS (SELECT 1 FROM encounter_coding k JOIN esrd_monthly_services v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
), acute_stay AS (
  SELECT e.patient_id, e.start_high, e.end_low FROM encounter_event e
  WHERE EXISTS (SELECT 1 FROM encounter_coding k JOIN (SELECT system, code FROM inpatient_encounters
                                                       UNION ALL
                                                       SELECT system, code FROM emergency_department_visits) v
                  ON v.system = k.system AND v.code = k.code
                WHERE k.encounter_id = e.encounter_id AND k.element = 'type')
), reading AS (
  SELECT DISTINCT o.observation_id, o.patient_id, o.latest_high AS day
  FROM observation_event o
  LEFT JOIN acute_stay a ON a.patient_id = o.patient_id AND a.start_high <= o.latest_low AND a.end_low >= o.latest_high
  LEFT JOIN encounter e ON e.id = o.encounter_id
  WHERE o.status IN ('final', 'amended', 'corrected')
    AND o.latest_low >= :measurement_period_start AND o.latest_high <= :measurement_period_end
    AND (a.patient_id IS NULL OR coalesce(e.class_code, '') NOT IN ('EMER', 'IMP', 'ACUTE', 'NONAC', 'PRENC', 'SS'))
    AND EXISTS (SELECT 1 FROM observation_coding k
                WHERE k.observation_id = o.observation_id AND k.element = 'code'
                  AND k.system = 'http://loinc.org' AND k.code = '85354-9')
), recent AS (
  SELECT r.observation_id, r.patient_id
  FROM (SELECT r.*, max(r.day) OVER (PARTITION BY r.patient_id) AS last_day FROM reading r) r
  WHERE r.day = r.last_day
), component_code AS (
  SELECT DISTINCT f.observation_id, f.system AS first_system, f.code AS first_code, k.code
  FROM observation_coding f
  JOIN observation_coding k ON k.observation_id = f.observation_id AND k.concept_index = f.concept_index
  WHERE f.element = 'component.code' AND f.coding_index = 0
    AND k.element = 'component.code' AND k.system = 'http://loinc.org' AND k.code IN ('8480-6', '8462-4')
), pressure AS (
  SELECT r.patient_id, r.observation_id, k.code,
         CASE WHEN count(*) = 1
              THEN max(CASE WHEN coalesce(c.value_unit_code, c.value_unit, 'mm[Hg]') IN ('mm[Hg]', 'mmHg') THEN c.value_quantity
                            ELSE ucum(c.value_quantity, coalesce(c.value_unit_code, c.value_unit), 'mm[Hg]') END) END AS mmhg
  FROM recent r
  JOIN observation_component c ON c.observation_id = r.observation_id
  JOIN component_code k ON k.observation_id = c.observation_id
   AND (k.first_system IS NOT DISTINCT FROM c.code_system) AND (k.first_code IS NOT DISTINCT FROM c.code)
  GROUP BY r.patient_id, r.observation_id, k.code
), lowest AS (
  SELECT r.patient_id,
         min(s.mmhg) AS systolic, bool_and(s.mmhg IS NOT NULL) AS systolic_known,
         min(d.mmhg) AS diastolic, bool_and(d.mmhg IS NOT NULL) AS diastolic_known
  FROM recent r
  LEFT JOIN pressure s ON s.observation_id = r.observation_id AND s.code = '8480-6'
  LEFT JOIN pressure d ON d.observation_id = r.observation_id AND d.code = '8462-4'
  GROUP BY r.patient_id
), numerator AS (
  SELECT l.patient_id FROM lowest l
  WHERE l.systolic_known AND l.systolic < 140 AND l.diastolic_known AND l.diastolic < 90
), initial AS (
  SELECT p.patient_id FROM person p
  JOIN visited ON visited.patient_id = p.patient_id
  JOIN hypertensive ON hypertensive.patient_id = p.patient_id
  WHERE p.age BETWEEN 18 AND 85
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
