-- One row per patient with a diagnosis of type 2 diabetes that was not refuted. `since` is text as written, the earliest of
-- several: it may be a year or a month only.
SELECT patient_id, min(substr(coalesce(onset_start, recorded), 1, 10)) AS since
FROM condition
WHERE code_system = 'http://snomed.info/sct' AND code = '44054006'
  AND coalesce(verification_status, 'confirmed') NOT IN ('refuted', 'entered-in-error')
GROUP BY patient_id
