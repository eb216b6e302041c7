"""The program against a real Taskcluster, without a server anywhere, and without waiting for time to pass."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import nightly


def create(taskcluster, **options):
    return nightly.create(taskcluster.options, now=taskcluster.from_now(), deadline=taskcluster.from_now(hours=8), **options)


@pytest.mark.parametrize(("end", "word"), [("completed", "good"), ("failed", "bad (failed)")])
def test_the_verdict_tells_how_the_build_ended(taskcluster, end, word):
    """A build that ends is told as good or bad."""
    task_id = create(taskcluster)
    assert nightly.verdict(taskcluster.options, task_id) == "not there yet"
    taskcluster.resolve_as(task_id, end)
    assert nightly.verdict(taskcluster.options, task_id) == word
    assert taskcluster.events.names()[:3] == ["task-defined", "task-pending", "task-running"]


def test_a_worker_that_dies_is_no_bad_build(taskcluster):
    """When a worker is lost its claim ends, and the build waits for another worker."""
    task_id = create(taskcluster)
    [claim] = taskcluster.claim("nightly/linux")
    assert claim["status"]["taskId"] == task_id
    taskcluster.advance(minutes=21)
    assert nightly.verdict(taskcluster.options, task_id) == "not there yet"
    assert taskcluster.events.of("task-exception", taskId=task_id)[0].payload["status"]["runs"][0]["reasonResolved"] == "claim-expired"


def test_a_build_that_nobody_takes_is_bad_in_the_morning(taskcluster):
    """Eight hours later the deadline has passed."""
    task_id = create(taskcluster)
    taskcluster.advance(hours=9)
    assert nightly.verdict(taskcluster.options, task_id) == "bad (deadline-exceeded)"


def test_the_program_needs_no_more_than_these_scopes(taskcluster):
    """With the scopes that its role has in production, it works."""
    with taskcluster.scopes(
        "queue:create-task:lowest:nightly/linux",
        "queue:scheduler-id:-",
        "queue:route:index.project.nightly.*",
        "queue:create-task:project:none",
        "queue:status:*",
    ):
        nightly.verdict(taskcluster.options, create(taskcluster))
