-- @name: verified_condition
-- @type: sql-view
-- @title: Conditions with their prevalence
-- @description: Conditions that are not refuted or entered in error, from onset to abatement: the first and last day that either may mean.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/patient as patient
-- @relatedDependency: http://kiln.example.org/ViewDefinition/condition as condition
--
-- Without an onset a condition was always there (0001-01-01); without an abatement it goes on while it is active, recurring
-- or relapsed. Otherwise its end is unknown: some day from the onset on, so it surely was there on the onset only.
-- A period of abatement ends before its last instant (`excluded`), and without an end it goes on.
WITH told AS (
  SELECT c.*, p.birth_date,
         c.clinical_status IN ('active', 'recurrence', 'relapse') AS is_active,
         CASE WHEN coalesce(c.onset_age_unit, c.onset_range_unit) IN ('a', 'year', 'years', 'yr', 'yrs') THEN ' years'
              WHEN coalesce(c.onset_age_unit, c.onset_range_unit) IN ('mo', 'month', 'months') THEN ' months'
              WHEN coalesce(c.onset_age_unit, c.onset_range_unit) IN ('wk', 'week', 'weeks') THEN ' weeks'
              WHEN coalesce(c.onset_age_unit, c.onset_range_unit) IN ('d', 'day', 'days') THEN ' days' END AS onset_unit,
         CASE WHEN coalesce(c.abatement_age_unit, c.abatement_range_unit) IN ('a', 'year', 'years', 'yr', 'yrs') THEN ' years'
              WHEN coalesce(c.abatement_age_unit, c.abatement_range_unit) IN ('mo', 'month', 'months') THEN ' months'
              WHEN coalesce(c.abatement_age_unit, c.abatement_range_unit) IN ('wk', 'week', 'weeks') THEN ' weeks'
              WHEN coalesce(c.abatement_age_unit, c.abatement_range_unit) IN ('d', 'day', 'days') THEN ' days' END AS abatement_unit,
         CASE WHEN length(c.abatement_end) <= 10 OR regexp_like(c.abatement_end, 'T00:00:00([.]0+)?(Z|[+-]|$)')
              THEN INTERVAL '1 day' ELSE INTERVAL '0 days' END AS excluded,
         CASE WHEN c.abatement_type = 'Period' THEN DATE '9999-12-31' END AS open_end
  FROM condition c LEFT JOIN patient p ON p.id = c.patient_id
  WHERE c.verification_status IS NULL
     OR c.verification_status IN ('confirmed', 'unconfirmed', 'provisional', 'differential')
), aged AS (
  SELECT t.*,
         t.birth_date + CAST(CAST(floor(coalesce(t.onset_age, t.onset_range_low)) AS INT)
                             || t.onset_unit AS INTERVAL) AS onset_age_start,
         t.birth_date + CAST(CAST(floor(coalesce(t.abatement_age, t.abatement_range_high)) AS INT)
                             || t.abatement_unit AS INTERVAL)
           + INTERVAL '1 year' - INTERVAL '1 day' AS abatement_age_end
  FROM told t
), bounded AS (
  SELECT a.*,
         coalesce(fhir_low_date(a.onset_start), a.onset_age_start, DATE '0001-01-01') AS start_low,
         coalesce(fhir_high_date(a.onset_start), a.onset_age_start, DATE '0001-01-01') AS start_high,
         coalesce(fhir_low_date(a.abatement_end) - a.excluded,
                  a.open_end, fhir_low_date(a.abatement_start), a.abatement_age_end) AS abated_low,
         coalesce(fhir_high_date(a.abatement_end) - a.excluded,
                  a.open_end, fhir_high_date(a.abatement_start), a.abatement_age_end) AS abated_high
  FROM aged a
)
SELECT b.id AS condition_id, b.patient_id,
       concat(',', coalesce(b.category_codes, ''), ',') LIKE '%,encounter-diagnosis,%' AS is_encounter_diagnosis,
       b.start_low, b.start_high,
       CASE WHEN b.abated_low IS NOT NULL THEN b.abated_low
            WHEN b.is_active THEN DATE '9999-12-31'
            ELSE b.start_low END AS end_low,
       coalesce(b.abated_high, DATE '9999-12-31') AS end_high
FROM bounded b
