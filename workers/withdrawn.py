"""Parts of payloads that Taskcluster has withdrawn: each is refused with the reason, and with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PROXY = "this proxy is no longer part of docker-worker payloads: leave it out"
FEATURES = {
    "dockerSave": "saving the container is no longer part of docker-worker payloads: build the image in the task and upload it as an artifact",
    "relengAPIProxy": _PROXY,
    "balrogVPNProxy": _PROXY,
    "balrogStageVPNProxy": _PROXY,
}
"""Features that docker-worker had once and its schema has no more."""
_SUPERSEDER = (
    "payload.supersederUrl: Taskcluster no longer supersedes tasks, so that this one would run although another has taken its place: leave it out, "
    "and cancel tasks that are no longer wanted (queue.cancelTask, queue.cancelTaskGroup; on GitHub by autoCancelPreviousChecks)"
)


def faults(given: Mapping[str, Any]) -> list[str]:
    """What a payload that has the form of its schema asks for, although no worker does it any more."""
    return [_SUPERSEDER] if "supersederUrl" in given else []


def asked(payload: Any) -> dict[str, Any]:
    """The features that the payload itself names, without defaults."""
    features = payload.get("features") if isinstance(payload, dict) else None
    return dict(features) if isinstance(features, dict) else {}


def features(asked: Mapping[str, Any]) -> list[str]:
    """What is to be said of those features that were withdrawn."""
    return [f"payload.features.{name}: {FEATURES[name]}" for name in asked if name in FEATURES]


def without(payload: Any, names: set[str]) -> Any:
    """The payload without some features, so that the rest of it can be held against its schema."""
    if not asked(payload).keys() & names:
        return payload
    return {**payload, "features": {name: value for name, value in payload["features"].items() if name not in names}}
