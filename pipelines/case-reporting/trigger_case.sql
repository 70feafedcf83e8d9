-- One row per patient and condition: who, and the encounter of the first hit. The case begins with the first day that is
-- known. What else is known of the patient is in `case_item`.
WITH ranked AS (
  SELECT *, row_number() OVER (PARTITION BY patient_id, condition_name ORDER BY day NULLS LAST, encounter_id NULLS LAST, resource_type, resource_id) AS nth
  FROM trigger_hit
), total AS (
  SELECT patient_id, condition_name, min(day) AS first_day, max(day) AS last_day, count(*) AS hits,
         max(meta_last_updated) AS last_updated
  FROM trigger_hit
  GROUP BY patient_id, condition_name
)
SELECT t.condition_name, t.patient_id, t.first_day, t.last_day, t.hits, t.last_updated,
       p.mrn, p.family_name, p.given_names, p.birth, p.gender, p.deceased, p.death, p.race_display, p.ethnicity_display,
       p.preferred_language_code, p.phone, p.address_line, p.address_city, p.address_state, p.address_postal_code,
       h.encounter_id, e.class_code AS encounter_class, e.status AS encounter_status, e.period_start AS encounter_start,
       e.period_end AS encounter_end, e.reason_display AS encounter_reason,
       e.discharge_disposition_code AS encounter_disposition
FROM total t
JOIN ranked h ON h.patient_id = t.patient_id AND h.condition_name = t.condition_name AND h.nth = 1
LEFT JOIN patient p ON p.id = t.patient_id
LEFT JOIN encounter e ON e.id = h.encounter_id
