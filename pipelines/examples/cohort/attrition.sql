SELECT 1 AS step, 'all patients' AS criterion, count(*) AS patients FROM patient
UNION ALL
SELECT 2, 'type 2 diabetes', count(*) FROM candidate
UNION ALL
SELECT 3, 'an HbA1c above 9 % since', count(*) FROM candidate WHERE index_date IS NOT NULL
UNION ALL
SELECT 4, '18 years or older that day', count(*) FROM candidate WHERE index_date IS NOT NULL AND age >= 18
UNION ALL
SELECT 5, 'seen 365 days before', count(*) FROM cohort
ORDER BY step
