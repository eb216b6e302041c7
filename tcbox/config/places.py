"""Where things are kept when nothing says otherwise: the folders of the XDG base directory specification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def default_data(env: Mapping[str, str]) -> Path:
    """The data folder of the instance that is started without naming one."""
    return _base(env, "XDG_DATA_HOME", ".local/share") / "tcbox" / "default"


def known_instances(env: Mapping[str, str]) -> Path:
    """The folder with a note on each instance that has run on this machine."""
    return _base(env, "XDG_STATE_HOME", ".local/state") / "tcbox" / "instances"


def run_caches(env: Mapping[str, str]) -> Path:
    """The folder of what runs of projects keep for later ones."""
    return _base(env, "XDG_CACHE_HOME", ".cache") / "tcbox" / "run"


def _base(env: Mapping[str, str], variable: str, below_home: str) -> Path:
    given = env.get(variable, "")
    if given.startswith("/"):  # the specification has relative paths ignored
        return Path(given)
    home = env.get("HOME", "")
    return (Path(home) if home else Path.home()) / below_home
