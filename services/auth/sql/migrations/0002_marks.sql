-- needs: 0001
-- What was done once and is not to be done again, such as making the roles that a new instance begins with.
CREATE TABLE auth_marks (
    name TEXT PRIMARY KEY
);

INSERT INTO auth_marks (name) SELECT 'seeded' FROM auth_version WHERE roles_version > 0;
