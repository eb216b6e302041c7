-- A task's state: narrow, as it is read and written all the time. What never changes stands in queue_definitions.
--   id                made by the process that creates the task, growing with time, never used again
--   status            the published status structure, as JSON
--   routes, tags      as JSON, for the messages about the task
--   blocked           how many of its dependencies are not yet satisfied
--   ever_resolved     1 since its first resolution
--   pending_rank      while a run is pending: order of claiming within the task queue, lowest first
--   taken_until       while a run is running: when its claim ends
--   unresolved_until  the deadline, while the task is unresolved
--   expire_at         when the task is removed, once it is resolved
CREATE TABLE queue_tasks (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    task_group_id TEXT NOT NULL,
    task_queue_id TEXT NOT NULL,
    priority INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    state TEXT NOT NULL,
    ever_resolved INTEGER NOT NULL DEFAULT 0,
    blocked INTEGER NOT NULL DEFAULT 0,
    pending_rank INTEGER,
    taken_until INTEGER,
    unresolved_until INTEGER,
    expire_at INTEGER,
    routes TEXT NOT NULL,
    tags TEXT NOT NULL,
    status TEXT NOT NULL
);

CREATE INDEX queue_tasks_group ON queue_tasks (task_group_id, id);
CREATE INDEX queue_tasks_pending ON queue_tasks (task_queue_id, pending_rank, id) WHERE pending_rank IS NOT NULL;
CREATE INDEX queue_tasks_claimed ON queue_tasks (taken_until, task_queue_id) WHERE taken_until IS NOT NULL;
CREATE INDEX queue_tasks_unresolved ON queue_tasks (unresolved_until) WHERE unresolved_until IS NOT NULL;
CREATE INDEX queue_tasks_expire ON queue_tasks (expire_at) WHERE expire_at IS NOT NULL;

-- A task's definition as JSON, exactly as it is given back; changed only when the priority is.
CREATE TABLE queue_definitions (
    id INTEGER PRIMARY KEY,
    definition TEXT NOT NULL
);

-- active: how many tasks of the group have never been resolved.
CREATE TABLE queue_task_groups (
    task_group_id TEXT NOT NULL PRIMARY KEY,
    scheduler_id TEXT NOT NULL,
    expires INTEGER NOT NULL,
    sealed INTEGER,
    active INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX queue_task_groups_expires ON queue_task_groups (expires);

-- requires_success: 1 for all-completed, 0 for all-resolved.
CREATE TABLE queue_dependencies (
    required_id INTEGER NOT NULL,
    dependent_id INTEGER NOT NULL,
    requires_success INTEGER NOT NULL,
    satisfied INTEGER NOT NULL,
    PRIMARY KEY (required_id, dependent_id)
) WITHOUT ROWID;

-- Resolutions whose dependents are too many to be looked after in the same transaction.
CREATE TABLE queue_resolutions (
    required_id INTEGER NOT NULL PRIMARY KEY,
    completed INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE queue_artifacts (
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    storage_type TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_length INTEGER,
    details TEXT NOT NULL,
    present INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (task_id, run_id, name)
) WITHOUT ROWID;

CREATE INDEX queue_artifacts_expires ON queue_artifacts (expires);

CREATE TABLE queue_task_queues (
    task_queue_id TEXT NOT NULL PRIMARY KEY,
    expires INTEGER NOT NULL,
    last_date_active INTEGER NOT NULL,
    description TEXT NOT NULL,
    stability TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE queue_workers (
    task_queue_id TEXT NOT NULL,
    worker_group TEXT NOT NULL,
    worker_id TEXT NOT NULL,
    quarantine_until INTEGER NOT NULL,
    quarantine_details TEXT NOT NULL,
    expires INTEGER NOT NULL,
    first_claim INTEGER NOT NULL,
    last_date_active INTEGER NOT NULL,
    recent_tasks TEXT NOT NULL,
    PRIMARY KEY (task_queue_id, worker_group, worker_id)
) WITHOUT ROWID;

CREATE INDEX queue_workers_expires ON queue_workers (expires);
