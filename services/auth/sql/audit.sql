-- name: add_audit
-- Record who changed what.
INSERT INTO auth_audit (entity_type, entity_id, client_id, action_type, created)
VALUES (:entity_type, :entity_id, :client_id, :action_type, :now)

-- name: audit_of_entity
-- The changes of one thing after an entry, oldest first.
SELECT id, entity_type, entity_id, client_id, action_type, created FROM auth_audit
WHERE entity_type = :entity_type AND entity_id = :entity_id AND id > :after ORDER BY id LIMIT :limit

-- name: audit_of_client
-- The changes that one client made after an entry, oldest first.
SELECT id, entity_type, entity_id, client_id, action_type, created FROM auth_audit
WHERE client_id = :client_id AND id > :after ORDER BY id LIMIT :limit

-- name: forget_audit
-- Remove some entries that are past their time.
DELETE FROM auth_audit WHERE id IN (SELECT id FROM auth_audit WHERE created < :before ORDER BY created LIMIT :limit)
