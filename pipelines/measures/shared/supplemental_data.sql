-- @name: supplemental_data
-- @type: sql-view
-- @title: Race, ethnicity, payer and sex
-- @description: The supplemental data elements of a patient: codes, joined by commas where there are several. Payers are coverages of a type in Payer Type; sex is the one of US Core, female or male.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/coverage_coding as coverage_coding
-- @relatedDependency: http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.114222.4.11.3591 as payer_types
WITH payer AS (
  SELECT k.patient_id, string_agg(DISTINCT k.code, ',' ORDER BY k.code) AS codes
  FROM coverage_coding k
  WHERE k.element = 'type'
    AND EXISTS (SELECT 1 FROM payer_types v WHERE v.system = k.system AND v.code = k.code)
  GROUP BY k.patient_id
)
SELECT p.id AS patient_id,
       nullif(concat_ws(',', nullif(p.race_codes, ''), nullif(p.race_detailed_codes, '')), '') AS sde_race,
       nullif(concat_ws(',', nullif(p.ethnicity_codes, ''), nullif(p.ethnicity_detailed_codes, '')), '') AS sde_ethnicity,
       payer.codes AS sde_payer,
       CASE WHEN p.sex_code IN ('248152002', '248153007') THEN p.sex_code END AS sde_sex
FROM patient p LEFT JOIN payer ON payer.patient_id = p.id
