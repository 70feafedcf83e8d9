-- @name: housing_status
-- @type: sql-view
-- @title: Housing status
-- @description: What was found about where a patient lives, with whether it is a nursing home. The latest finding up to the end of a period counts.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/observation_coding as observation_coding
-- @relatedDependency: http://kiln.example.org/Library/observation_event as observation_event
SELECT o.patient_id, o.end_high, o.ended_at,
       h.observation_id IS NOT NULL AS lives_in_nursing_home
FROM observation_event o
LEFT JOIN (SELECT DISTINCT observation_id FROM observation_coding
           WHERE element = 'value' AND system = 'http://snomed.info/sct' AND code = '160734000') h
  ON h.observation_id = o.observation_id
WHERE o.status IN ('final', 'amended', 'corrected')
  AND EXISTS (SELECT 1 FROM observation_coding k
              WHERE k.observation_id = o.observation_id AND k.element = 'code'
                AND k.system = 'http://loinc.org' AND k.code = '71802-3')
