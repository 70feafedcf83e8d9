-- What triggers, and what is reported. A sample; not the official list, and those of
-- the last three kinds only show the form. `kind` says where the code is looked for:
--   diagnosis     a condition
--   result        what was tested: counts if the result is positive
--   finding       the coded result itself, such as an organism that was found
--   procedure, immunization, medication
SELECT * FROM (VALUES
  ('diagnosis', 'http://snomed.info/sct', '840539006', 'COVID-19'),
  ('diagnosis', 'http://hl7.org/fhir/sid/icd-10-cm', 'U07.1', 'COVID-19'),
  ('result', 'http://loinc.org', '94500-6', 'COVID-19'),
  ('diagnosis', 'http://snomed.info/sct', '14189004', 'Measles'),
  ('diagnosis', 'http://hl7.org/fhir/sid/icd-10-cm', 'B05.9', 'Measles'),
  ('diagnosis', 'http://snomed.info/sct', '27836007', 'Pertussis'),
  ('result', 'http://loinc.org', '23826-1', 'Pertussis'),
  ('finding', 'http://snomed.info/sct', '5247005', 'Pertussis'),
  ('procedure', 'http://www.cms.gov/Medicare/Coding/ICD10', 'XW033E5', 'COVID-19'),
  ('immunization', 'http://hl7.org/fhir/sid/cvx', '175', 'Rabies exposure'),
  ('medication', 'http://www.nlm.nih.gov/research/umls/rxnorm', '2587892', 'COVID-19')
) AS codes (kind, code_system, code, condition_name)
