"""What a test proves of compatibility: which methods a real client called with success, and which events it received.

    with proof.by("taskcluster (PyPI)", box.root_url, request) as proven:
        ...                                   # the client at work
        proven.received("exchange/taskcluster-queue/v1/task-completed")

What stands in `tests/acceptance/proof.json` for a test must be seen when it runs, or the test fails; docs/compatibility.md is
made from that file. With TCBOX_PROOF=write in the environment the file is written anew from what is seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import shared

FILE = Path(__file__).resolve().parents[1] / "acceptance" / "proof.json"
_LINE = re.compile(r"^tcbox_calls_total\{(?P<labels>[^}]*)\} (?P<count>\d+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
OWN_WORKERS = frozenset(
    f"queue.{name}"
    for name in (
        "claimWork",
        "reclaimTask",
        "reportCompleted",
        "reportFailed",
        "reportException",
        "createArtifact",
        "finishArtifact",
        "listTaskQueues",
        "listClaimedTasks",
        "taskQueueCounts",
    )
)
"""What the workers inside call by themselves, so that it proves nothing of a client beside them."""

LOOPS = frozenset({"queue.listClaimedTasks", "queue.taskQueueCounts"})
"""What services call in their loops whenever it is time, for tests whose client does not."""


class Proven:
    """What is seen while the block runs."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def received(self, *exchanges: str) -> None:
        """The client received messages of these exchanges, by their full addresses."""
        self.found.update(exchanges)


@contextlib.contextmanager
def by(
    client: str, root_url: str, request: pytest.FixtureRequest, *, beside_workers: bool = False, without: frozenset[str] = frozenset(), part: str = ""
) -> Iterator[Proven]:
    """Note what a client does within the block, and hold it against what is claimed of this test.

    Args:
        client: its name as it stands in docs/compatibility.md.
        beside_workers: the instance has workers inside, whose own calls are not counted.
        without: what the test itself calls, which is not counted either.
        part: which part of a test that has parameters.
    """
    before = _calls(root_url)
    proven = Proven()
    yield proven
    after = _calls(root_url)
    proven.found |= {name for name, count in after.items() if count > before.get(name, 0)} - (OWN_WORKERS if beside_workers else set()) - without
    test = f"{Path(str(request.node.path)).name}::{getattr(request.node, 'originalname', None) or request.node.name}{f'[{part}]' if part else ''}"
    if os.environ.get("TCBOX_PROOF") == "write":
        _write(client, test, proven.found)
        return
    claimed = set(read().get(client, {}).get(test, ()))
    assert claimed, f"{FILE.name} says nothing of {client} in {test}: run the test with TCBOX_PROOF=write, then python build/reference.py"
    missing = sorted(claimed - proven.found)
    assert not missing, f"{FILE.name} claims what {client} did not do in {test}: {missing}"


def read() -> dict[str, dict[str, list[str]]]:
    """By client and test, what is proven: methods as service.name, exchanges by their addresses."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def _write(client: str, test: str, found: set[str]) -> None:
    with open(FILE.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read()
        known.setdefault(client, {})[test] = sorted(found)
        FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    FILE.with_suffix(".lock").unlink(missing_ok=True)


def _calls(root_url: str) -> dict[str, int]:
    """How often each method was answered with success so far."""
    counts: dict[str, int] = {}
    for url in shared.metrics(root_url):
        with urllib.request.urlopen(url, timeout=30) as reply:
            lines = reply.read().decode().splitlines()
        for line in lines:
            found = _LINE.match(line)
            if found:
                labels = dict(_LABEL.findall(found["labels"]))
                if int(labels["status"]) < 400:
                    name = f"{labels['service']}.{labels['method']}"
                    counts[name] = counts.get(name, 0) + int(found["count"])
    return counts
