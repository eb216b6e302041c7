"""Where a task has run: what is needed to look around there before it is cleaned up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class HostPlace:
    """A folder of this machine, and the variables that the task had."""

    folder: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DockerPlace:
    """A container that has ended.

    Attributes:
        url: of the Docker engine.
        container: its id.
        config: what it was made with.
    """

    url: str
    container: str
    config: Mapping[str, Any]


Place = HostPlace | DockerPlace
