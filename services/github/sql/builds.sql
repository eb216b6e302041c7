-- name: set_integration
-- Note where the app is installed.
INSERT INTO github_integrations (owner, installation_id) VALUES (:owner, :installation_id)
ON CONFLICT (owner) DO UPDATE SET installation_id = excluded.installation_id

-- name: remove_integration
-- The app is not installed there any more.
DELETE FROM github_integrations WHERE owner = :owner AND installation_id = :installation_id

-- name: get_integration
-- The installation of an owner.
SELECT installation_id FROM github_integrations WHERE owner = :owner

-- name: list_integrations
-- A page of owners with their installations.
SELECT owner, installation_id FROM github_integrations WHERE owner > :after ORDER BY owner LIMIT :limit

-- name: receive_delivery
-- Note a delivery.
INSERT INTO github_deliveries (event_id, received) VALUES (:event_id, :now)
ON CONFLICT (event_id) DO UPDATE SET received = excluded.received

-- name: get_delivery
-- Whether tasks of a delivery may exist.
SELECT begun FROM github_deliveries WHERE event_id = :event_id

-- name: begin_delivery
-- Tasks of a delivery may exist from now on.
UPDATE github_deliveries SET begun = 1 WHERE event_id = :event_id

-- name: expire_deliveries
-- Forget deliveries that cannot come again.
DELETE FROM github_deliveries WHERE received < :before

-- name: add_build
-- A task group is about to be created.
INSERT INTO github_builds (task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting)
VALUES (:task_group_id, :organization, :repository, :sha, 'pending', :now, :now, :installation_id, :event_type, :event_id, :pull_number, :branch, :reporting)
ON CONFLICT (task_group_id) DO NOTHING

-- name: get_build
-- The build of a task group.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds WHERE task_group_id = :task_group_id

-- name: remove_build
-- A task group was not created after all.
DELETE FROM github_builds WHERE task_group_id = :task_group_id

-- name: set_build_state
-- How far a build has come; one that was canceled, or not created whole, stays so unless forced.
UPDATE github_builds SET state = :state, updated = :now
WHERE task_group_id = :task_group_id AND state <> :state AND (state NOT IN ('cancelled', 'error') OR :force = 1)

-- name: set_build_told
-- What the commit status of a build shows.
UPDATE github_builds SET told = :told WHERE task_group_id = :task_group_id

-- name: list_builds
-- Builds of all owners, by their last change.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds WHERE (updated, task_group_id) > (:updated, :after)
ORDER BY updated, task_group_id LIMIT :limit

-- name: list_builds_of_owner
-- Builds of one owner's repositories, by their last change.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds WHERE organization = :organization AND (updated, task_group_id) > (:updated, :after)
ORDER BY updated, task_group_id LIMIT :limit

-- name: list_builds_of_repository
-- Builds of one repository, by their last change.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds WHERE organization = :organization AND repository = :repository AND (updated, task_group_id) > (:updated, :after)
ORDER BY updated, task_group_id LIMIT :limit

-- name: list_builds_of_commit
-- Builds of one commit, by their last change.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds WHERE organization = :organization AND repository = :repository AND sha = :sha AND (updated, task_group_id) > (:updated, :after)
ORDER BY updated, task_group_id LIMIT :limit

-- name: list_builds_of_commit_and_pull
-- Builds of one commit for one pull request, by their last change.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds
WHERE organization = :organization AND repository = :repository AND sha = :sha AND pull_number = :pull_number
  AND (updated, task_group_id) > (:updated, :after)
ORDER BY updated, task_group_id LIMIT :limit

-- name: list_builds_of_pull
-- Builds of one pull request, by their last change.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds
WHERE organization = :organization AND repository = :repository AND pull_number = :pull_number AND (updated, task_group_id) > (:updated, :after)
ORDER BY updated, task_group_id LIMIT :limit

-- name: pending_builds
-- Builds of a repository that have not ended.
SELECT task_group_id, organization, repository, sha, state, created, updated, installation_id, event_type, event_id, pull_number, branch, reporting, told
FROM github_builds WHERE organization = :organization AND repository = :repository AND state = 'pending'
ORDER BY updated LIMIT :limit

-- name: get_check
-- The check run of a task.
SELECT task_group_id, task_id, check_suite_id, check_run_id, told, run_id, annotated
FROM github_checks WHERE task_group_id = :task_group_id AND task_id = :task_id

-- name: find_check
-- The task of a check run.
SELECT task_group_id, task_id, check_suite_id, check_run_id, told, run_id, annotated
FROM github_checks WHERE check_run_id = :check_run_id AND check_suite_id = :check_suite_id

-- name: any_check
-- A check run of a task group, if there is one.
SELECT check_run_id FROM github_checks WHERE task_group_id = :task_group_id LIMIT 1

-- name: set_check
-- Note the check run of a task, and what it shows.
INSERT INTO github_checks (task_group_id, task_id, check_suite_id, check_run_id, told, run_id, annotated)
VALUES (:task_group_id, :task_id, :check_suite_id, :check_run_id, :told, :run_id, :annotated)
ON CONFLICT (task_group_id, task_id) DO UPDATE SET
  check_suite_id = excluded.check_suite_id, check_run_id = excluded.check_run_id,
  told = excluded.told, run_id = excluded.run_id, annotated = excluded.annotated

-- name: add_comment
-- Note that a comment was written.
INSERT INTO github_comments (digest, sent) VALUES (:digest, :now)
ON CONFLICT (digest) DO UPDATE SET sent = excluded.sent

-- name: get_comment
-- When a comment was written.
SELECT sent FROM github_comments WHERE digest = :digest

-- name: expire_comments
-- Forget comments that were written long ago.
DELETE FROM github_comments WHERE sent < :before
