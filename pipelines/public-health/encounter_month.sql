-- All patients of a month and class; not told where they are fewer than k.
WITH total AS (
  SELECT month, class, count(*) AS patients, sum(encounters) AS encounters
  FROM encounter_person
  GROUP BY month, class
)
SELECT month, class,
       CASE WHEN patients >= k THEN patients END AS patients,
       CASE WHEN patients >= k THEN encounters END AS encounters,
       patients < k AS suppressed
FROM total CROSS JOIN suppression
