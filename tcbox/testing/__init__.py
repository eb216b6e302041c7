"""Throwaway instances inside a test: a whole Taskcluster in the test's own process, with time that can be moved.

    from tcbox.testing import start

    with start() as taskcluster:
        task_id = taskcluster.create_task()

With pytest there is nothing to import: the fixtures `taskcluster` and `taskcluster_session` come with the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tcbox.testing.instance import NotReached, Taskcluster, start
    from tcbox.testing.recorder import Events, NoSuchEvent, Recorded

__all__ = ["Events", "NoSuchEvent", "NotReached", "Recorded", "Taskcluster", "start"]
_RECORDER = ("Events", "NoSuchEvent", "Recorded")


def __getattr__(name: str) -> Any:
    """Import what is asked for: pytest loads this package for its plugin in every run, also in those that use none of it."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'recorder' if name in _RECORDER else 'instance'}"), name)
