-- @name: procedure_event
-- @type: sql-view
-- @title: Procedures that took place
-- @description: Completed procedures with the first and last day that their start and their end may mean.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/procedure as procedure
--
-- An age lasts from the day the patient reached it to the day before the next birthday.
-- A period without an end goes on (9999-12-31). One without a start began on some day up to its end (0001-01-01), so it
-- surely took place on that day only.
WITH told AS (
  SELECT r.*, p.birth_date,
         CASE WHEN coalesce(r.performed_age_unit, r.performed_range_unit) IN ('a', 'year', 'years', 'yr', 'yrs') THEN ' years'
              WHEN coalesce(r.performed_age_unit, r.performed_range_unit) IN ('mo', 'month', 'months') THEN ' months'
              WHEN coalesce(r.performed_age_unit, r.performed_range_unit) IN ('wk', 'week', 'weeks') THEN ' weeks'
              WHEN coalesce(r.performed_age_unit, r.performed_range_unit) IN ('d', 'day', 'days') THEN ' days' END AS performed_unit,
         CASE WHEN r.performed_type = 'Period' THEN r.performed_end ELSE r.performed_start END AS end_text,
         CASE WHEN r.performed_type = 'Period' THEN DATE '0001-01-01' END AS open_start,
         CASE WHEN r.performed_type = 'Period' THEN DATE '9999-12-31' END AS open_end
  FROM procedure r LEFT JOIN patient p ON p.id = r.patient_id
  WHERE r.status = 'completed'
), aged AS (
  SELECT t.*,
         t.birth_date + CAST(CAST(floor(coalesce(t.performed_age, t.performed_range_low)) AS INT)
                             || t.performed_unit AS INTERVAL) AS age_start,
         t.birth_date + CAST(CAST(floor(coalesce(t.performed_age, t.performed_range_high)) AS INT)
                             || t.performed_unit AS INTERVAL)
           + INTERVAL '1 year' - INTERVAL '1 day' AS age_end
  FROM told t
)
SELECT a.id AS procedure_id, a.patient_id,
       coalesce(fhir_low_date(a.performed_start), a.age_start, a.open_start) AS start_low,
       coalesce(fhir_high_date(a.performed_start), a.age_start, fhir_high_date(a.performed_end)) AS start_high,
       coalesce(fhir_low_date(a.end_text), a.open_end, a.age_end) AS end_low,
       coalesce(fhir_high_date(a.end_text), a.open_end, a.age_end) AS end_high
FROM aged a
