-- The counts before suppression, of three kinds (`layout`): by age band and sex; by race, ethnicity and zip3, each for itself
-- (the others are null); by all of them together.
SELECT 'age and sex' AS layout, month, class, age_band, sex, NULL AS race, NULL AS ethnicity, NULL AS zip3,
       count(*) AS patients, sum(encounters) AS encounters
FROM encounter_person GROUP BY month, class, age_band, sex
UNION ALL
SELECT 'race', month, class, NULL, NULL, race, NULL, NULL, count(*), sum(encounters)
FROM encounter_person GROUP BY month, class, race
UNION ALL
SELECT 'ethnicity', month, class, NULL, NULL, NULL, ethnicity, NULL, count(*), sum(encounters)
FROM encounter_person GROUP BY month, class, ethnicity
UNION ALL
SELECT 'zip3', month, class, NULL, NULL, NULL, NULL, zip3, count(*), sum(encounters)
FROM encounter_person GROUP BY month, class, zip3
UNION ALL
SELECT 'all', month, class, age_band, sex, race, ethnicity, zip3, count(*), sum(encounters)
FROM encounter_person GROUP BY month, class, age_band, sex, race, ethnicity, zip3
