-- Where the app is installed.
--   owner   in small letters, as GitHub takes no account of them
CREATE TABLE github_integrations (
    owner TEXT PRIMARY KEY,
    installation_id INTEGER NOT NULL
);

-- Deliveries of webhooks, so that one that comes again makes nothing twice.
--   received  when it came last
--   begun     1 since the first of its tasks may have been created
CREATE TABLE github_deliveries (
    event_id TEXT PRIMARY KEY,
    received INTEGER NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX github_deliveries_received ON github_deliveries (received);

-- Task groups that were created for an event.
--   branch     that was pushed to, NULL for other events
--   reporting  checks or statuses, by which route its tasks tell of themselves; NULL where hooks decide
--   told       the state that the commit status shows, NULL before there is one
CREATE TABLE github_builds (
    task_group_id TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    repository TEXT NOT NULL,
    sha TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    installation_id INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    pull_number INTEGER,
    branch TEXT,
    reporting TEXT,
    told TEXT
);

CREATE INDEX github_builds_all ON github_builds (updated, task_group_id);
CREATE INDEX github_builds_owner ON github_builds (organization, updated, task_group_id);
CREATE INDEX github_builds_repository ON github_builds (organization, repository, updated, task_group_id);
CREATE INDEX github_builds_commit ON github_builds (organization, repository, sha, updated, task_group_id);
CREATE INDEX github_builds_pull ON github_builds (organization, repository, pull_number, updated, task_group_id);
CREATE INDEX github_builds_pending ON github_builds (organization, repository, updated) WHERE state = 'pending';

-- The check run of each task.
--   told       what it shows: queued, in_progress or completed
--   run_id     of which run of the task
--   annotated  how many annotations it has been given
CREATE TABLE github_checks (
    task_group_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    check_suite_id INTEGER NOT NULL,
    check_run_id INTEGER NOT NULL,
    told TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    annotated INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task_group_id, task_id)
);

CREATE INDEX github_checks_run ON github_checks (check_run_id);

-- Comments that were written of late, so that none is written twice.
CREATE TABLE github_comments (
    digest TEXT PRIMARY KEY,
    sent INTEGER NOT NULL
);

CREATE INDEX github_comments_sent ON github_comments (sent);

-- Work that needs GitHub.
--   key, kind  what it is about; what is asked for again before it is done is done once
--   lane       work of one lane is done in order
--   event      the message that asked for it last
--   due        when it may be tried; while it is being done, when it counts as given up by whoever did it
CREATE TABLE github_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    lane TEXT NOT NULL,
    installation_id INTEGER NOT NULL,
    payload TEXT NOT NULL,
    event INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    due INTEGER NOT NULL,
    UNIQUE (kind, key)
);

CREATE INDEX github_jobs_due ON github_jobs (installation_id, due);
CREATE INDEX github_jobs_lane ON github_jobs (lane, id);
