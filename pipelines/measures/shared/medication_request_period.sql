-- @name: medication_request_period
-- @type: sql-view
-- @title: Days that a medication order covers
-- @description: Medication requests with the first and last day that the supply lasts: supply duration, or quantity by dose and frequency, with repeats; else the bounds of the dosage.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/medication_request as medication_request
--
-- It starts with the bounds of the dosage, else when it was written, else when it may first be dispensed. Of several dosage
-- instructions the first counts. A supply without a unit is in days.
-- Without any of the three ways to tell an end there is none (null), and the order meets no period.
WITH daily AS (
  SELECT r.*,
         coalesce(r.timing_bounds_start, r.authored, r.dispense_valid_start) AS start_text,
         r.dispense_supply_duration
           * CASE WHEN coalesce(r.dispense_supply_duration_unit, 'd') IN ('d', 'day', 'days') THEN 1
                  WHEN r.dispense_supply_duration_unit IN ('wk', 'week', 'weeks') THEN 7
                  WHEN r.dispense_supply_duration_unit IN ('mo', 'month', 'months') THEN 30
                  WHEN r.dispense_supply_duration_unit IN ('a', 'year', 'years', 'yr', 'yrs') THEN 365 END AS days_supply,
         coalesce(
           CAST(coalesce(r.timing_frequency_max, r.timing_frequency) AS DOUBLE) / nullif(CAST(r.timing_period AS DOUBLE), 0)
             * CASE r.timing_period_unit WHEN 's' THEN 86400.0 WHEN 'min' THEN 1440.0 WHEN 'h' THEN 24.0 WHEN 'd' THEN 1.0
                    WHEN 'wk' THEN 1.0 / 7 WHEN 'mo' THEN 1.0 / 30 WHEN 'a' THEN 1.0 / 365 END,
           CAST(r.timing_times_of_day AS DOUBLE)) AS doses_per_day
  FROM medication_request r
), supplied AS (
  SELECT d.*,
         coalesce(CAST(d.days_supply AS DOUBLE),
                  CAST(d.dispense_quantity AS DOUBLE)
                    / nullif(CAST(coalesce(d.dose_range_high, d.dose_quantity) AS DOUBLE) * d.doses_per_day, 0))
           * (1 + coalesce(d.dispense_repeats_allowed, 0)) AS days_supplied
  FROM daily d
), counted AS (
  SELECT s.*, CASE WHEN s.days_supplied >= 1 THEN CAST(floor(s.days_supplied - 1) AS INT) END AS more_days
  FROM supplied s
)
SELECT c.id AS medication_request_id, c.patient_id, c.status, c.intent, coalesce(c.do_not_perform, false) AS do_not_perform,
       fhir_low_date(c.start_text) AS start_low,
       fhir_high_date(c.start_text) AS start_high,
       CASE WHEN c.days_supplied IS NOT NULL THEN fhir_low_date(c.start_text) + c.more_days
            ELSE fhir_low_date(c.timing_bounds_end) END AS end_low,
       CASE WHEN c.days_supplied IS NOT NULL THEN fhir_high_date(c.start_text) + c.more_days
            ELSE fhir_high_date(c.timing_bounds_end) END AS end_high
FROM counted c
