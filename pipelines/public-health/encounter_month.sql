-- Sums of all cells of a month and class, the suppressed ones too; not told where they are of fewer than k patients.
WITH parameter AS (
  SELECT 11 AS k
), total AS (
  SELECT month, class, sum(patients) AS patients, sum(encounters) AS encounters
  FROM encounter_count
  GROUP BY month, class
)
SELECT month, class,
       CASE WHEN patients >= k THEN patients END AS patients,
       CASE WHEN patients >= k THEN encounters END AS encounters,
       patients < k AS suppressed
FROM total CROSS JOIN parameter
