-- @name: medication_request_code
-- @type: sql-view
-- @title: Codes of medication requests
-- @description: What was ordered: one row per code, of the request itself or of the Medication that it refers to.
-- @version: 1.0.0
-- @status: active
-- @relatedDependency: http://kiln.example.org/ViewDefinition/medication_request as medication_request
-- @relatedDependency: http://kiln.example.org/ViewDefinition/medication_request_coding as medication_request_coding
-- @relatedDependency: http://kiln.example.org/ViewDefinition/medication_coding as medication_coding
SELECT k.medication_request_id, k.system, k.code
FROM medication_request_coding k
WHERE k.element = 'medication' AND k.code IS NOT NULL
UNION
SELECT r.id AS medication_request_id, k.system, k.code
FROM medication_request r JOIN medication_coding k ON k.medication_id = r.medication_id
WHERE k.element = 'code' AND k.code IS NOT NULL
