-- Kind (`diagnosis` or `result`), code system, code, and what is reported. A sample; not the official list.
SELECT * FROM (VALUES
  ('diagnosis', 'http://snomed.info/sct', '840539006', 'COVID-19'),
  ('diagnosis', 'http://hl7.org/fhir/sid/icd-10-cm', 'U07.1', 'COVID-19'),
  ('result', 'http://loinc.org', '94500-6', 'COVID-19'),
  ('diagnosis', 'http://snomed.info/sct', '14189004', 'Measles'),
  ('diagnosis', 'http://hl7.org/fhir/sid/icd-10-cm', 'B05.9', 'Measles'),
  ('diagnosis', 'http://snomed.info/sct', '27836007', 'Pertussis'),
  ('result', 'http://loinc.org', '23826-1', 'Pertussis')
) AS codes (kind, code_system, code, condition_name)
