"""The pytest plugin, and throwaway instances without pytest: what a user's tests get, and what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tcbox import errors
from tcbox.testing import NoSuchEvent, start
from tests.support.box import clean_env

ROOT = Path(__file__).resolve().parents[2]


def test_the_helpers_make_and_resolve_tasks(taskcluster):
    """create_task, claim, resolve_as and wait_for do what a task's author and a worker would."""
    first, second = taskcluster.create_task(), None
    second = taskcluster.create_task(dependencies=[first], metadata={**taskcluster.definition()["metadata"], "name": "second"})
    assert taskcluster.status(second)["state"] == "unscheduled"
    with pytest.raises(errors.TcboxError, match="has no run yet"):
        taskcluster.resolve_as(second, "completed")
    [claim] = taskcluster.claim()
    assert (claim["status"]["taskId"], claim["workerId"]) == (first, "test")
    taskcluster.resolve_as(first, "completed")
    assert taskcluster.wait_for(second, "pending")["state"] == "pending"
    assert taskcluster.resolve_as(second, "exception", "worker-shutdown")["state"] == "pending"
    assert taskcluster.resolve_as(second, "failed")["runs"][1]["reasonResolved"] == "failed"
    with pytest.raises(AssertionError, match=f"task {second} is failed .* not completed"):
        taskcluster.wait_for(second, "completed")
    assert taskcluster.events.wait("task-failed", taskId=second).routing_key.startswith("primary.")
    assert [event.task_id for event in taskcluster.events.of("task-completed")] == [first]
    with pytest.raises(NoSuchEvent, match="no event task-group-sealed came within 0 s; there were: task-defined"):
        taskcluster.events.wait("task-group-sealed", timeout=0)
    taskcluster.events.clear()
    assert taskcluster.events.names() == []


def test_time_moves_and_what_is_due_has_happened(taskcluster):
    """Hours pass in an instant: claims end, deadlines pass, and clients that sign by the machine's time are still heard."""
    task_id = taskcluster.create_task(deadline=taskcluster.from_now(hours=6), retries=1)
    before = taskcluster.now
    taskcluster.claim()
    taskcluster.advance(minutes=21)
    assert taskcluster.queue.status(task_id)["status"]["runs"][0]["reasonResolved"] == "claim-expired"
    assert (taskcluster.advance(hours=5, minutes=40) - before).total_seconds() >= 6 * 3600
    assert taskcluster.queue.status(task_id)["status"]["runs"][1]["reasonResolved"] == "deadline-exceeded"
    taskcluster.resolve_as(taskcluster.create_task(), "completed")


def test_within_scopes_everything_is_limited(taskcluster):
    """Helpers, clients and the environment for other programs have the scopes of the block, and all of them after it."""
    with taskcluster.scopes("queue:status:*") as limited:
        with pytest.raises(errors.ApiError, match="queue:create-task:project:none") as refusal:
            limited.create_task()
        assert refusal.value.code == "InsufficientScopes"
        assert "*" not in taskcluster.client("auth").currentScopes()["scopes"]
        assert "TASKCLUSTER_CERTIFICATE" in taskcluster.environ
    assert taskcluster.client("auth").currentScopes()["scopes"] == ["*"]
    assert taskcluster.create_task()


@pytest.mark.taskcluster(workers=["builtin", "host"], config={"services": {"queue": {"claim_timeout": 60}}})
def test_the_marker_chooses_workers_and_settings(taskcluster):
    """Workers inside run what is given to them, and settings hold."""
    succeeds = taskcluster.create_task(taskQueueId="built-in/succeed")
    runs = taskcluster.create_task(taskQueueId="local/host", payload={"command": [["sh", "-c", "exit 3"]], "maxRunTime": 60})
    assert taskcluster.wait_for(succeeds, "completed")
    assert taskcluster.wait_for(runs)["state"] == "failed"
    mine = taskcluster.create_task()
    taskcluster.claim()
    taskcluster.advance(seconds=61)
    assert taskcluster.status(mine)["runs"][0]["reasonResolved"] == "claim-expired"


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_begins_with_nothing(taskcluster, number):
    """What one test made is not there in the next."""
    taskcluster.call("secrets", "set", "there", payload={"secret": {}, "expires": taskcluster.from_now(days=1)})
    assert taskcluster.call("secrets", "list")["secrets"] == ["there"]
    assert taskcluster.events.names() == []


async def test_a_test_with_a_loop_of_its_own_can_use_it(taskcluster):
    """Asynchronous clients work too, since the instance has a thread of its own."""
    import taskcluster.aio as aio
    from aiohttp import ClientSession

    async with ClientSession() as session:
        queue = aio.Queue(taskcluster.options, session=session)
        task_id = taskcluster.create_task()
        claim = queue.claimWork("test/worker", {"workerGroup": "g", "workerId": "w", "tasks": 1})
        assert (await asyncio.wait_for(claim, 10))["tasks"][0]["status"]["taskId"] == task_id


def test_a_wrong_setting_is_told_before_anything_starts(tmp_path):
    """Mistakes in the settings and in the workers' names are named."""
    with pytest.raises(errors.TcboxError, match="claim_timout"), start(folder=tmp_path, config="services: {queue: {claim_timout: 1}}"):
        pass
    with pytest.raises(errors.TcboxError, match="there is no worker dokcer; the workers inside are builtin, host, docker"), start(workers=["dokcer"]):
        pass


def _beside_the_pool() -> int:
    """Threads but for those of event loops' pools, which may grow while earlier ones are busy."""
    return sum(not thread.name.startswith(("asyncio_", "uvloop_")) for thread in threading.enumerate())


def test_a_hundred_instances_leave_nothing(tmp_path, monkeypatch):
    """One after another: no thread, no open file or socket, no folder, and nothing outside of the given one is written."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr("tempfile.tempdir", str(home))
    place = tmp_path / "place"
    place.mkdir()

    def one() -> None:
        with start(folder=place) as instance:
            instance.create_task()

    one()
    gc.collect()
    before, others = (threading.active_count(), _open_files()), _beside_the_pool()
    for _ in range(100):
        one()
    gc.collect()
    assert _beside_the_pool() <= others
    assert threading.active_count() < before[0] + 10
    assert _open_files() <= before[1]
    assert list(home.iterdir()) == []
    assert list(place.iterdir()) == []


def test_its_modules_are_imported_as_they_are_installed(taskcluster):
    """pytest does not rewrite the modules of which an instance consists, which would take longer than its start."""
    assert taskcluster.root_url
    rewritten = [name for name, module in sys.modules.items() if name.startswith("tcbox.") and "@pytest_ar" in vars(module)]
    assert set(rewritten) <= {"tcbox.testing", "tcbox.testing.plugin"}  # imported before the plugin is


def test_without_a_folder_the_temporary_one_goes(monkeypatch, tmp_path):
    """An instance for which no folder was given leaves no temporary one, also when its block fails."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(KeyError), start() as instance:
        assert instance.data.is_dir()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]])
def test_the_example_works_as_its_readme_says(tmp_path, arguments):
    """The example project's tests pass in a folder of their own, also side by side."""
    shutil.copytree(ROOT / "docs" / "examples" / "pytest", tmp_path / "example")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    env = clean_env(PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=tmp_path / "example", capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_a_state_that_there_is_not(taskcluster):
    """It is refused at once, rather than waited for, and so is an event of a name that none has."""
    with pytest.raises(errors.TcboxError, match="'complete' is no state of a task: did you mean completed?"):
        taskcluster.wait_for(taskcluster.create_task(), "complete")
    with pytest.raises(errors.TcboxError, match="no event is named 'task-complted': did you mean task-completed?"):
        taskcluster.events.wait("task-complted")


def test_a_marker_takes_its_arguments_by_name(tmp_path):
    """What is given to the marker by place is refused; it was taken no notice of."""
    (tmp_path / "test_x.py").write_text('import pytest\n\n@pytest.mark.taskcluster(["host"])\ndef test_x(taskcluster):\n    pass\n')
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=clean_env(PYTHONPATH=str(ROOT)), timeout=120)
    assert done.returncode == 1
    assert "the marker taskcluster takes its arguments by name" in done.stdout


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
