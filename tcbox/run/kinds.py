"""What can run a task here, by the form of its payload; pools of production need not exist. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox.run.leading import Lead
from tcbox.run.plan import queue

DOCKER, HOST, BUILTIN = "docker", "host", "builtin"
_BUILTIN = ("built-in/succeed", "built-in/fail")
_WINDOWS = re.compile(r"(?:^|[^a-z])(?:win|windows)(?:\d|[^a-z]|$)", re.IGNORECASE)
_MAC = re.compile(r"(?:^|[^a-z])(?:mac|macos|macosx|osx|darwin)(?:\d|[^a-z]|$)", re.IGNORECASE)
_NO_BEARING = {
    "chainOfTrust": "no certificate of chain of trust is made", "interactive": "there is --shell-on-failure instead",
    "runTaskAsCurrentUser": "tasks run as the present user anyway",
}  # fmt: skip
"""Features that a task asks for, and runs without."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """Why nothing here can run a task."""

    why: str


def serving(task: Mapping[str, Any], *, platform: str = sys.platform) -> str | Unserved:
    """The kind of worker for a task."""
    name, payload = queue(task), task.get("payload")
    if name in _BUILTIN:
        return BUILTIN
    payload = payload if isinstance(payload, Mapping) else {}
    command = payload.get("command")
    if "image" in payload:
        return DOCKER
    system = _system(name, payload, command)
    if system is not None and not platform.startswith(system[0]):
        return Unserved(f"{name} is a pool of {system[1]} machines")
    if isinstance(command, list) and command and all(isinstance(each, list) for each in command):
        return HOST
    if command is None:
        return Unserved("its payload has no command, so only a worker made for it can run it")
    return Unserved("its payload is neither docker-worker's nor generic-worker's")


def _system(name: str, payload: Mapping[str, Any], command: Any) -> tuple[str, str] | None:
    features = payload.get("features")
    features = features if isinstance(features, Mapping) else {}
    lines = isinstance(command, list) and bool(command) and all(isinstance(each, str) for each in command)
    if _WINDOWS.search(name) or lines or features.get("runAsAdministrator") or payload.get("rdpInfo"):
        return "win32", "Windows"
    return ("darwin", "macOS") if _MAC.search(name) else None


def prepared(task: Mapping[str, Any], env: Mapping[str, str], lead: Lead | None = None) -> tuple[dict[str, Any], list[str]]:
    """A task as it is run here, and what of it is left out: variables added where it has none of that name, led to the work tree."""
    led = task if lead is None else lead.task(task)
    payload = dict(led["payload"])
    own = payload.get("env") or {}
    added = dict(env)
    if lead is not None and "GIT_CONFIG_COUNT" not in own:
        added = {**lead.env, **added}
    if added:
        payload["env"] = {**added, **own}
    features = payload.get("features")
    left_out: list[str] = []
    if isinstance(features, Mapping):
        left_out = [f"features.{name}: {why}" for name, why in _NO_BEARING.items() if features.get(name)]
        payload["features"] = {name: value for name, value in features.items() if name not in _NO_BEARING}
    return {**task, "payload": payload}, left_out


def log_name(task: Mapping[str, Any]) -> str:
    """The artifact that a task's log is written to while it runs."""
    payload = task.get("payload")
    payload = payload if isinstance(payload, Mapping) else {}
    logs = payload.get("logs")
    name = payload.get("log") if "image" in payload else logs.get("live") if isinstance(logs, Mapping) else None
    return str(name) if name else "public/logs/live.log"
