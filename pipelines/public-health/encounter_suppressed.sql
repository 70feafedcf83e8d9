-- The counts after suppression: a cell that is not told has neither count. How few is too few says the model `suppression`.
--
-- Primary suppression: a cell of fewer than k patients.
-- Complementary suppression: the sum of a month and class is told (encounter_month), so cells that are left out can be
-- worked out from it. Where what is left out is a single cell, or fewer than k patients together, the smallest of the told
-- cells of the same layout is left out too. Sums over other columns (age band alone, sex alone) are not told; if you tell
-- them, suppress along them too.
WITH marked AS (
  SELECT c.*, c.patients < k AS small, k
  FROM encounter_count c CROSS JOIN suppression
), weighed AS (
  SELECT *,
         sum(CASE WHEN small THEN 1 ELSE 0 END) OVER (PARTITION BY layout, month, class) AS small_cells,
         sum(CASE WHEN small THEN patients ELSE 0 END) OVER (PARTITION BY layout, month, class) AS small_patients,
         row_number() OVER (PARTITION BY layout, month, class, small
                            ORDER BY patients, age_band, sex, race, ethnicity, zip3) AS nth
  FROM marked
), judged AS (
  SELECT *, NOT small AND nth = 1 AND small_cells > 0 AND (small_cells = 1 OR small_patients < k) AS complementary
  FROM weighed
)
SELECT layout, month, class, age_band, sex, race, ethnicity, zip3,
       CASE WHEN NOT small AND NOT complementary THEN patients END AS patients,
       CASE WHEN NOT small AND NOT complementary THEN encounters END AS encounters,
       small OR complementary AS suppressed
FROM judged
