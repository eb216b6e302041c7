"""The launch configurations of a pool: their ids, and what changes when the pool's configuration does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from tcbox.services.worker_manager.model import LaunchConfig

OWN = "workerManager"
"""The part of a launch configuration that can be changed without making another of it."""


_ID = re.compile(r"[a-zA-Z0-9_-]{1,38}")


class Conflict(Exception):
    """A launch configuration has the id of another one."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written.

    Attributes:
        created, updated: JSON text by launchConfigId.
        archived: launchConfigIds.
    """

    created: Mapping[str, str]
    updated: Mapping[str, str]
    archived: tuple[str, ...]


def changes(worker_pool_id: str, config: Mapping[str, Any], there: Iterable[LaunchConfig]) -> Changes:
    """What becomes of a pool's launch configurations with a new configuration.

    Args:
        there: those there are, with those in the archive.

    Raises Conflict when two different ones have the same id.
    """
    known = {each.launch_config_id: each for each in there}
    wanted: dict[str, Any] = {}
    for one in _listed(config):
        launch_config_id = identify(worker_pool_id, one)
        before = wanted.get(launch_config_id, known[launch_config_id].settings if launch_config_id in known else one)
        if _without_own(before) != _without_own(one):
            raise Conflict(launch_config_id)
        wanted[launch_config_id] = one
    created = {key: _text(value) for key, value in wanted.items() if key not in known}
    updated = {key: _text(value) for key, value in wanted.items() if key in known and (known[key].archived or known[key].configuration != _text(value))}
    archived = tuple(key for key, each in known.items() if key not in wanted and not each.archived)
    return Changes(created, updated, archived)


def identify(worker_pool_id: str, config: Any) -> str:
    """A launch configuration's id: the one that it names itself, if that can be one, or one made of the pool and of what it says.

    The made ones are as PostgreSQL's `jsonb` has them in a Taskcluster deployment, so that a pool that moves here keeps
    its ids.
    """
    own = config.get(OWN) if isinstance(config, dict) else None
    given = own.get("launchConfigId") if isinstance(own, dict) else None
    if isinstance(given, str) and _ID.fullmatch(given):
        return given
    text = worker_pool_id + "".join(_canonical(_without_own(config)))
    return f"lc-{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:20]}"


def _listed(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A pool's launch configurations; where the configuration is free of form, something else may stand among them."""
    found = config.get("launchConfigs")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _without_own(config: Any) -> Any:
    return {key: value for key, value in config.items() if key != OWN} if isinstance(config, dict) else config


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _canonical(value: Any) -> Iterator[str]:
    """JSON as `jsonb` writes it: keys by length, then by their bytes; a blank after commas and colons; no exponents."""
    if isinstance(value, dict):
        yield "{"
        for at, key in enumerate(sorted(value, key=lambda key: (len(key.encode()), key.encode()))):
            yield f"{', ' if at else ''}{json.dumps(key, ensure_ascii=False)}: "
            yield from _canonical(value[key])
        yield "}"
    elif isinstance(value, list):
        yield "["
        for at, each in enumerate(value):
            yield ", " if at else ""
            yield from _canonical(each)
        yield "]"
    elif isinstance(value, float):
        yield format(Decimal(repr(value)), "f")
    else:
        yield json.dumps(value, ensure_ascii=False)
