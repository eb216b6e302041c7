-- name: get_role
-- One role.
SELECT role_id, description, scopes, created, last_modified FROM auth_roles WHERE role_id = :role_id

-- name: list_roles
-- The roles after an id, in order.
SELECT role_id, description, scopes, created, last_modified FROM auth_roles
WHERE role_id > :after ORDER BY role_id LIMIT :limit

-- name: list_role_ids
-- The ids of the roles after an id, in order.
SELECT role_id FROM auth_roles WHERE role_id > :after ORDER BY role_id LIMIT :limit

-- name: add_role
-- Add a role.
INSERT INTO auth_roles (role_id, description, scopes, created, last_modified)
VALUES (:role_id, :description, :scopes, :now, :now)

-- name: update_role
-- Change a role.
UPDATE auth_roles SET description = :description, scopes = :scopes, last_modified = :now WHERE role_id = :role_id

-- name: delete_role
-- Remove a role.
DELETE FROM auth_roles WHERE role_id = :role_id
