"""From `tcbox.yml`, flags and references to settings; every mistake is found, not the first alone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tcbox.config import checks, places, variables
from tcbox.config.faults import ConfigError, Fault
from tcbox.config.nodes import Node, overridden
from tcbox.config.reader import BAD, Reader
from tcbox.config.references import Resolver
from tcbox.config.settings import Settings


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file, with variables over them, and flags over those; `origins` says where each value was said.

    Args:
        path: the file; None for none.
        overrides: values by key (`port`), by a dotted path (`log.level`) or nested, from flags; None values say nothing.
        env: for `TCBOX_…`, `${env:NAME}` and the default data folder; the process's environment when not given.

    Raises ConfigError with every mistake.
    """
    env = os.environ if env is None else env
    settings, faults = _read(path, {**variables.overrides(env), **{key: value for key, value in (overrides or {}).items() if value is not None}}, env)
    if faults:
        raise ConfigError(faults)
    return settings if "data" in settings.origins else dataclasses.replace(settings, data=places.default_data(env))


def check(path: Path | None = None, overrides: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> tuple[Fault, ...]:
    """What is wrong, instead of an error; empty when nothing is. Arguments as those of `load`."""
    try:
        load(path, overrides, env)
    except ConfigError as error:
        return error.faults
    return ()


@dataclass(frozen=True)
class Template:
    """A configuration for processes elsewhere: what it refers to is there, not here.

    Attributes:
        settings: texts with references stand in them as they were written; numbers and the like with references have their
            default.
        kept: the texts with references, by the path of their key.
        folder: what relative paths of files start from.
        faults: every mistake that shows without what is referred to.
    """

    settings: Settings
    kept: Mapping[str, str]
    folder: Path
    faults: tuple[Fault, ...]
    _reader: Reader

    def fault(self, key: str, expected: str, found: str, hint: str = "") -> Fault:
        """A further mistake, at the place of a key or of the section that it would stand in."""
        return _nearest(self._reader, key).fault(key, expected, found, hint)


def template(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Template:
    """A configuration with its references left as they are. Arguments as those of `load`."""
    faults: list[Fault] = []
    folder = path.parent if path is not None else Path()
    reader = Reader(Resolver({}, folder, keeps=True), faults)
    settings = _with(reader, path, overrides or {}, faults)
    return Template(settings, reader.kept, Path(os.path.abspath(folder)), tuple(faults), reader)


def _read(path: Path | None, overrides: Mapping[str, Any], env: Mapping[str, str]) -> tuple[Settings, list[Fault]]:
    faults: list[Fault] = []
    reader = Reader(Resolver(env, path.parent if path is not None else Path()), faults)
    return _with(reader, path, overrides, faults), faults


def _with(reader: Reader, path: Path | None, overrides: Mapping[str, Any], faults: list[Fault]) -> Settings:
    root = Node({})
    if path is not None:
        from tcbox.config import yamlfile

        root = yamlfile.read(path, faults)
    settings: Any = reader.section(Settings, overridden(root, overrides))
    assert settings is not BAD, "every key of the settings is optional"
    told = reader.bad | reader.kept.keys()
    clashes = [each for each in checks.clashes(settings, reader.origins.__contains__) if not any(_known(key, told) for key in (each.key, *each.beside))]
    faults += [_nearest(reader, each.key).fault(each.key, each.expected, each.found, each.hint) for each in clashes]
    return cast("Settings", dataclasses.replace(settings, origins=reader.origins))


def _known(key: str, bad: set[str]) -> bool:
    """Whether a key, or something above or below it, has a mistake already."""
    return any(key == each or key.startswith(f"{each}.") or each.startswith(f"{key}.") for each in bad)


def _nearest(reader: Reader, key: str) -> Node:
    """The node of a key, or of the section that it would stand in."""
    while key and key not in reader.nodes:
        key = key.rpartition(".")[0]
    return reader.nodes.get(key, Node(None))
