-- @name: observation_event
-- @type: sql-view
-- @title: Observations with their days
-- @description: Every observation with its status, whether it has a value, and the first and last day that its start, end and latest time may mean.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation as observation
--
-- The latest time is the end of the period, or its start while it goes on, or the point in time.
-- A period without an end goes on (9999-12-31); one without a start began on some day up to its end (0001-01-01).
-- A quantity without its number is no value.
WITH timed AS (
  SELECT o.*,
         CASE WHEN o.effective_type = 'Period' THEN o.effective_end ELSE o.effective_start END AS end_text,
         coalesce(o.effective_end, o.effective_start) AS latest_text,
         CASE WHEN o.effective_type = 'Period' THEN DATE '9999-12-31' END AS open_end
  FROM observation o
)
SELECT t.id AS observation_id, t.patient_id, t.encounter_id, t.status,
       coalesce(t.value_quantity_as_written, t.value_concept_code, t.value_concept_display, t.value_concept_text,
                t.value_string, CAST(t.value_boolean AS VARCHAR), CAST(t.value_integer AS VARCHAR),
                t.value_date_time, t.value_time, t.value_period_start, t.value_period_end,
                CAST(t.value_range_low AS VARCHAR), CAST(t.value_range_high AS VARCHAR),
                CAST(t.value_ratio_numerator AS VARCHAR), t.value_sampled_data) IS NOT NULL AS has_value,
       t.value_quantity, coalesce(t.value_unit_code, t.value_unit) AS value_unit,
       coalesce(fhir_low_date(t.effective_start), DATE '0001-01-01') AS start_low,
       coalesce(fhir_high_date(t.effective_start), fhir_high_date(t.effective_end)) AS start_high,
       coalesce(fhir_low_date(t.end_text), t.open_end) AS end_low,
       coalesce(fhir_high_date(t.end_text), t.open_end) AS end_high,
       fhir_low_date(t.latest_text) AS latest_low,
       fhir_high_date(t.latest_text) AS latest_high,
       fhir_high(t.end_text) AS ended_at
FROM timed t
