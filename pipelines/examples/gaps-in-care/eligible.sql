-- Who is due for what. The age is that on the last day of 2025: somebody born in 1975 is 50 then. Diabetics are known by
-- diagnosis, also one whose date is not known; without clinical records, take the diagnoses of claims.
SELECT patient_id, age, sex, insured_days, 'mammogram' AS service, DATE '2023-10-01' AS window_start, DATE '2025-12-31' AS window_end
FROM member WHERE sex = 'female' AND age BETWEEN 52 AND 74
UNION ALL
SELECT patient_id, age, sex, insured_days, 'colon cancer screening', DATE '2016-01-01', DATE '2025-12-31'
FROM member WHERE age BETWEEN 46 AND 75
UNION ALL
SELECT m.patient_id, m.age, m.sex, m.insured_days, 'HbA1c', DATE '2025-01-01', DATE '2025-12-31'
FROM member m
JOIN (
  SELECT DISTINCT patient_id FROM condition
  WHERE code_system = 'http://snomed.info/sct' AND code = '44054006'
    AND coalesce(verification_status, 'confirmed') NOT IN ('refuted', 'entered-in-error')
    AND coalesce(substr(onset_start, 1, 4), substr(recorded, 1, 4), '') <= '2025'
) d ON d.patient_id = m.patient_id
WHERE m.age BETWEEN 18 AND 75
