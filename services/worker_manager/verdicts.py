"""What becomes of a worker after its machine was looked at, and which workers a pool no longer needs: rules alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from tcbox import clock as clocks
from tcbox.services.worker_manager import model
from tcbox.services.worker_manager.lifecycle import QUEUE_INACTIVITY
from tcbox.services.worker_manager.model import Worker

Machine = Literal["there", "going", "gone"]
"""How a machine is: starting or running; being stopped; stopped, or unknown to its provider."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the queue knows of a worker; all None when the worker has never asked for work. Times in ms."""

    first_claim: int | None = None
    last_active: int | None = None
    quarantined_until: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a worker.

    Attributes:
        do: keep it; write that it is stopping, or has stopped; or have its machine removed.
        why: for people; empty when it is kept.
        unregistered: whether it goes without ever having registered, which the pool's owner must learn.
    """

    do: Literal["keep", "stopping", "stopped", "remove"]
    why: str = ""
    unregistered: bool = False


KEEP = Verdict("keep")


def judge(worker: Worker, machine: Machine, seen: Seen | None, now: int) -> Verdict:
    """What to do with a worker whose machine is like that.

    Args:
        seen: what the queue knows of it; None when the queue could not be asked.
    """
    new = worker.state == model.REQUESTED
    if machine == "gone":
        return Verdict("stopped", "its machine is gone", unregistered=new)
    if machine == "going":
        return KEEP if worker.state == model.STOPPING else Verdict("stopping", "its machine is being stopped", unregistered=new)
    if worker.state == model.STOPPING:
        return Verdict("remove", "its machine is still there")
    if worker.terminate_after is not None and worker.terminate_after < now:
        return Verdict("remove", "terminateAfter time exceeded: it did not register in time" + ("" if new else " again"), unregistered=new)
    why = idle(worker, seen, now) if seen is not None else ""
    return Verdict("remove", why, unregistered=new) if why else KEEP


def idle(worker: Worker, seen: Seen, now: int) -> str:
    """Why a worker counts as one that does nothing though its machine is there; empty when it does not."""
    span = worker.queue_inactivity_timeout or QUEUE_INACTIVITY
    seconds = span // clocks.SECOND
    if seen.first_claim is None and worker.created < now - span:
        return f"worker never claimed work, and was asked for more than {seconds} s ago"
    if seen.last_active is not None and seen.last_active < now - span:
        return f"worker inactive: it has not asked for work for more than {seconds} s"
    return ""


def dispensable(running: Iterable[Worker], archived: Collection[str], capacity: float) -> list[tuple[Worker, bool, str]]:
    """For each running worker of a pool whether it should end, and why: the newest ones stay.

    Args:
        archived: launchConfigIds by which nothing more is launched.
        capacity: what the pool has work for.
    """
    decided = []
    for worker in sorted(running, key=lambda worker: worker.created, reverse=True):
        if worker.launch_config_id is not None and worker.launch_config_id in archived:
            decided.append((worker, True, "launch config archived"))
        elif capacity > 0:
            decided.append((worker, False, "needed"))
            capacity -= worker.capacity
        else:
            decided.append((worker, True, "over capacity"))
    return decided
