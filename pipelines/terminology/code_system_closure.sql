-- Which code stands above which, at any distance: from the nesting of concepts and from their properties `parent` and
-- `child`. Every code is also its own ancestor, at distance 0. A code with several parents has one row per ancestor, with
-- the shortest distance. A cycle does no harm: the walk ends after 50 levels, more than any code system is deep.
-- Being above means being more general only where `code_system.hierarchy_meaning` is `is-a` (or is not said).
-- `|| ''` takes the columns' descriptions away, which would keep them from being put together.
WITH RECURSIVE edge AS (
  SELECT system, version, parent_code || '' AS parent, child_code || '' AS child FROM code_system_edge
  UNION
  SELECT system, version, value || '', code || '' FROM code_system_property WHERE property = 'parent'
  UNION
  SELECT system, version, code || '', value || '' FROM code_system_property WHERE property = 'child'
), walk AS (
  SELECT system || '' AS system, version || '' AS version, code || '' AS ancestor, code || '' AS descendant, 0 AS distance
  FROM code_system_concept
  UNION
  SELECT w.system, w.version, w.ancestor, e.child AS descendant, w.distance + 1 AS distance
  FROM walk w
  JOIN edge e ON e.system = w.system AND (e.version IS NOT DISTINCT FROM w.version) AND e.parent = w.descendant
  WHERE w.distance < 50
)
SELECT system, version, ancestor, descendant, min(distance) AS distance
FROM walk
GROUP BY system, version, ancestor, descendant
