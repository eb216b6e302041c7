"""Leads tasks to the served work tree wherever they mean the repository on GitHub. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcbox.run.event import SITE


@dataclass(frozen=True, slots=True)
class Lead:
    """From a repository on GitHub to where it is served.

    Attributes:
        full_name: its owner and name.
        url: where it is served.
    """

    full_name: str
    url: str

    @property
    def _olds(self) -> tuple[str, ...]:
        name = self.full_name
        return (f"{SITE}/{name}", f"git@github.com:{name}", f"ssh://git@github.com/{name}", f"git://github.com/{name}")

    @property
    def env(self) -> dict[str, str]:
        """Variables by which git takes the repository's URLs on GitHub for the served one, without any file of configuration.

        Git has the numbered ones since 2.31; earlier ones have but that with which `git -c` hands on what it was given.
        """
        key = f"url.{self.url}.insteadOf"
        made = {"GIT_CONFIG_COUNT": str(len(self._olds)), "GIT_CONFIG_PARAMETERS": " ".join(f"'{key}={old}'" for old in self._olds)}
        for index, old in enumerate(self._olds):
            made |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": old}
        return made

    def point(self, value: Any) -> Any:
        """A value with all URLs of the repository, and below it, leading to where it is served."""
        if isinstance(value, str):
            old = next((old for old in self._olds if value == old or value.startswith((f"{old}/", f"{old}.git"))), None)
            return value if old is None else self.url + value[len(old) :]
        if isinstance(value, list):
            return [self.point(each) for each in value]
        if isinstance(value, dict):
            return {key: self.point(each) for key, each in value.items()}
        return value

    def task(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """A task whose worker fetches what it mounts of the repository from where it is served."""
        payload = task.get("payload")
        if not isinstance(payload, Mapping) or not isinstance(payload.get("mounts"), list):
            return dict(task)
        return {**task, "payload": {**payload, "mounts": self.point(payload["mounts"])}}
