-- The last claim that closes the gap. A stool test is good for its year only, a colonoscopy for ten. Claims that were cancelled
-- do not count; what was billed but denied does, since it was done. The sample bills by SNOMED CT and LOINC; in CPT a mammogram
-- is 77067, a colonoscopy 45378, an HbA1c 83036, each with relatives: take the value sets of the measure that you report.
WITH closing (service, system, code, years) AS (
  VALUES ('mammogram', 'http://snomed.info/sct', '71651007', 10), ('colon cancer screening', 'http://snomed.info/sct', '73761001', 10),
         ('colon cancer screening', 'http://snomed.info/sct', '104435004', 1), ('HbA1c', 'http://loinc.org', '4548-4', 1)
), done AS (
  SELECT e.patient_id, e.service, max(i.serviced_start_date) AS last_claim, count(DISTINCT i.explanation_of_benefit_id) AS claims
  FROM eligible e
  JOIN explanation_of_benefit_item i ON i.patient_id = e.patient_id
  JOIN closing c ON c.service = e.service AND c.system = i.product_or_service_system AND c.code = i.product_or_service_code
  WHERE i.status = 'active' AND i.eob_use = 'claim' AND i.serviced_start_date BETWEEN e.window_start AND e.window_end
    AND (c.years > 1 OR i.serviced_start_date >= DATE '2025-01-01')
  GROUP BY e.patient_id, e.service
)
SELECT e.*, d.last_claim, coalesce(d.claims, 0) AS claims
FROM eligible e
LEFT JOIN done d ON d.patient_id = e.patient_id AND d.service = e.service
