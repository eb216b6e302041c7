-- Clients.
--   token                 the access token, sealed; of a static client only a digest, since its token is configuration
--   scopes                as JSON, in the order in which they were given
--   created … expires     ms since the epoch
CREATE TABLE auth_clients (
    client_id TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    token BLOB NOT NULL,
    expires INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    last_date_used INTEGER NOT NULL,
    last_rotated INTEGER NOT NULL,
    delete_on_expiration INTEGER NOT NULL
);

CREATE INDEX auth_clients_expiring ON auth_clients (expires) WHERE delete_on_expiration = 1;

-- Roles; scopes as JSON.
CREATE TABLE auth_roles (
    role_id TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_modified INTEGER NOT NULL
);

-- One row: how many changes clients and roles have seen, and at which of them a role was changed last.
-- Every change takes this row's lock first, so changes become visible in the order of their numbers.
CREATE TABLE auth_version (
    id INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    roles_version INTEGER NOT NULL
);

INSERT INTO auth_version (id, version, roles_version) VALUES (0, 0, 0);

-- The latest changes, for other processes that hold clients and roles in memory.
CREATE TABLE auth_changes (
    version INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    changed INTEGER NOT NULL
);

-- Who changed what; other services write here too.
CREATE TABLE auth_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    client_id TEXT NOT NULL,
    action_type TEXT NOT NULL,
    created INTEGER NOT NULL
);

CREATE INDEX auth_audit_entity ON auth_audit (entity_type, entity_id, id);
CREATE INDEX auth_audit_client ON auth_audit (client_id, id);
CREATE INDEX auth_audit_created ON auth_audit (created);
