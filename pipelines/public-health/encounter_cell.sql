-- Cells of at least k patients; the others have neither count. Change k here, and in encounter_month.sql.
--
-- Primary suppression: a cell of fewer than k patients.
-- Complementary suppression: the sum of a month and class is told (encounter_month), so cells that are left out can be
-- worked out from it. Where what is left out is a single cell, or fewer than k patients together, the smallest of the told
-- cells is left out too. Sums over other columns (age band, sex) are not told; if you tell them, suppress along them too.
WITH parameter AS (
  SELECT 11 AS k
), marked AS (
  SELECT c.*, c.patients < k AS small, k
  FROM encounter_count c CROSS JOIN parameter
), weighed AS (
  SELECT *,
         sum(CASE WHEN small THEN 1 ELSE 0 END) OVER (PARTITION BY month, class) AS small_cells,
         sum(CASE WHEN small THEN patients ELSE 0 END) OVER (PARTITION BY month, class) AS small_patients,
         row_number() OVER (PARTITION BY month, class, small ORDER BY patients, age_band, sex) AS nth
  FROM marked
), judged AS (
  SELECT *, NOT small AND nth = 1 AND small_cells > 0 AND (small_cells = 1 OR small_patients < k) AS complementary
  FROM weighed
)
SELECT month, class, age_band, sex,
       CASE WHEN NOT small AND NOT complementary THEN patients END AS patients,
       CASE WHEN NOT small AND NOT complementary THEN encounters END AS encounters,
       small OR complementary AS suppressed
FROM judged
