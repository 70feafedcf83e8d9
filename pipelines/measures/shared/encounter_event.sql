-- @name: encounter_event
-- @type: sql-view
-- @title: Encounters that took place
-- @description: Finished encounters with the first and last day that their start and their end may mean.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/encounter as encounter
--
-- An encounter without an end goes on (9999-12-31). One without a start began on some day up to its end (0001-01-01), so it
-- surely took place on that day only; with neither it meets no period.
SELECT e.id AS encounter_id, e.patient_id,
       coalesce(fhir_low_date(e.period_start), DATE '0001-01-01') AS start_low,
       coalesce(fhir_high_date(e.period_start), fhir_high_date(e.period_end)) AS start_high,
       coalesce(fhir_low_date(e.period_end), DATE '9999-12-31') AS end_low,
       coalesce(fhir_high_date(e.period_end), DATE '9999-12-31') AS end_high
FROM encounter e
WHERE e.status = 'finished'
