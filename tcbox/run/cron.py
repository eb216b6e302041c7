"""Cron jobs of a repository: what is in `.cron.yml`, and what `.taskcluster.yml` sees when one is due.

Source: the context that build-decision, which fires such jobs on Mozilla's instances, gives to the template.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import ids
from tcbox.run.event import SITE
from tcbox.run.faults import CannotRun, WrongUsage
from tcbox.run.project import Project

FILE = ".cron.yml"


def job(root: Path, wanted: str) -> dict[str, Any]:
    """The job of a name, or the only one there is; where none is listed and none is named, one without arguments.

    Raises WrongUsage when it must be said which, CannotRun when the list has another form.
    """
    path = root / FILE
    listed = _listed(path)
    names = [str(each["name"]) for each in listed]
    if not listed and wanted:
        lacks = "has no jobs" if path.exists() else "is not there"
        raise WrongUsage(f"{path} {lacks}, so there is no job {wanted}: list it there, or leave out the name: --event cron")
    if not listed:
        return {"name": "cron", "job": {}}
    if not wanted and len(listed) > 1:
        raise WrongUsage(f"{path} has several jobs: say which, as in --event cron:{names[0]} (there are {', '.join(names)})")
    found = next((each for each in listed if not wanted or each["name"] == wanted), None)
    if found is None:
        raise WrongUsage(f"{path} has no job {wanted}: there are {', '.join(names)}")
    return found


def _listed(path: Path) -> list[dict[str, Any]]:
    """What the file lists; nothing when there is none."""
    if not path.exists():
        return []
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise CannotRun(f"{path} cannot be read: {error}") from error
    jobs = value.get("jobs") if isinstance(value, dict) else value
    if jobs is None:
        return []
    if not isinstance(jobs, list):
        raise CannotRun(f"{path}: expected a list below the key jobs, as in: jobs: [{{name: nightly, job: {{}}}}]")
    for index, each in enumerate(jobs):
        if not (isinstance(each, dict) and isinstance(each.get("name"), str)):
            raise CannotRun(f"{path}: jobs[{index}]: expected a mapping with a name, as in: name: nightly")
        _check(f"{path}: job {each['name']}", each.get("job"))
    return jobs


def _check(where: str, does: Any) -> None:
    if does is not None and not isinstance(does, dict):
        raise CannotRun(f"{where}: expected a mapping at the key job, as in: job: {{target-tasks-method: nightly}}")
    if does is not None and not isinstance(does.get("rebuild-kinds", []), list):
        raise CannotRun(f"{where}: expected a list at job.rebuild-kinds, as in: rebuild-kinds: [docker-image]")


def context(given: Mapping[str, Any], project: Project, commit: str, *, root_url: str, now: int) -> dict[str, Any]:
    """What the template sees. Times are in ms."""
    does = given.get("job") or {}
    task_id = ids.slugid()
    slugs: dict[str, str] = {}
    cron = {
        "task_id": ids.slugid(), "job_name": str(given["name"]), "job_product": str(does.get("product", "")),
        "job_symbol": str(does.get("treeherder-symbol", given["name"])), "quoted_args": shlex.join(_arguments(does)), "input": {},
    }  # fmt: skip
    push = {
        "branch": project.branch, "revision": commit, "base_revision": project.before, "owner": "cron", "pushlog_id": "0", "pushdate": now // 1000,
        "comment": project.message,
    }  # fmt: skip
    return {
        "tasks_for": "cron", "taskcluster_root_url": root_url, "ownTaskId": task_id, "cron": cron, "push": push, "now": clocks.to_wire(now),
        "repository": {"url": f"{SITE}/{project.owner}/{project.name}", "project": project.name, "level": "1"},
        "as_slugid": lambda label: slugs.setdefault(label, task_id if label == "decision" else ids.slugid()),
    }  # fmt: skip


def _arguments(does: Mapping[str, Any]) -> list[str]:
    made = []
    if "target-tasks-method" in does:
        made.append(f"--target-tasks-method={does['target-tasks-method']}")
    if does.get("optimize-target-tasks") is not None:
        made.append(f"--optimize-target-tasks={str(does['optimize-target-tasks']).lower()}")
    if does.get("include-push-tasks"):
        made.append("--include-push-tasks")
    return made + [f"--rebuild-kind={kind}" for kind in does.get("rebuild-kinds", [])]


def role(name: str, project: Project) -> str:
    """The role of a job."""
    return f"repo:github.com/{project.owner}/{project.name}:cron:{name}"
