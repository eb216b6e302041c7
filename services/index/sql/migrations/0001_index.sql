-- Names that stand for tasks. The rank is JSON, a number of any size; what may be long stands last.
CREATE TABLE index_tasks (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    task_id TEXT NOT NULL,
    rank TEXT NOT NULL,
    expires INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX index_tasks_expires ON index_tasks (expires);

-- Every namespace that has entries or further namespaces; none expires before those in it.
CREATE TABLE index_namespaces (
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
CREATE INDEX index_namespaces_expires ON index_namespaces (expires);

-- Runs whose completion has been taken in, since the message about it may come again.
CREATE TABLE index_handled (
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    PRIMARY KEY (task_id, run_id)
) WITHOUT ROWID;
CREATE INDEX index_handled_handled ON index_handled (handled);
