"""What was asked for on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """All of it, checked.

    Attributes:
        path: a project's folder, its `.taskcluster.yml`, or a task's definition.
        event: a kind, `cron:JOB`, or the path of a file with an event.
        only: names of tasks; empty for all.
        env: variables of every task.
        jobs: how many tasks run at once.
        served_urls: the event's URLs lead to the work tree; else they are GitHub's, and git in the tasks is led to it.
        allow_skipped: tasks that nothing here can run do not count.
        fresh: caches of earlier runs are thrown away.
    """

    path: Path
    event: str = "push"
    only: tuple[str, ...] = ()
    secrets: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 2
    list: bool = False
    dry_run: bool = False
    watch: bool = False
    keep: bool = False
    shell: bool = False
    fresh: bool = False
    served_urls: bool = False
    allow_skipped: bool = False
