"""Reads `.taskcluster.yml`: text to value, value held against its schema, value and event to tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tcbox import clock as clocks
from tcbox import errors
from tcbox.services.github import compiling, names
from tcbox.services.github.compiling import Graph, Trigger
from tcbox.services.github.renderer import Renderer, RenderError

FILE = ".taskcluster.yml"
_SCHEMAS = {0: "taskcluster-github-config", 1: "taskcluster-github-config.v1"}


class ConfigInvalid(errors.TcboxError):
    """A `.taskcluster.yml` that cannot be used; the message says what is wrong and where, for its author."""


class Checker(Protocol):
    """Checks a value against a schema, as `tcbox.api.schemas.Validator` does."""

    def fill(self, value: Any) -> Any:
        """The value with defaults."""
        ...

    def check(self, value: Any) -> list[Any]:
        """What is wrong with it."""
        ...


class Configs:
    """Reads files and makes tasks of them.

    Args:
        validator: finds a schema of the service by its name.
        task_queue: what the docker parameters of version 0 stand for.
    """

    def __init__(self, validator: Callable[[str], Checker], *, root_url: str, task_queue: str) -> None:
        self._validator = validator
        self._root_url = root_url
        self._task_queue = task_queue

    async def load(self, renderer: Renderer, text: str) -> dict[str, Any]:
        """The file's value, with defaults.

        Raises ConfigInvalid.
        """
        try:
            config = await renderer.load(text)
        except RenderError as error:
            raise ConfigInvalid(str(error)) from None
        if not isinstance(config, dict):
            raise ConfigInvalid("The file must hold a mapping, with `version: 1` in it.")
        version = config.get("version")
        if isinstance(version, bool) or version not in _SCHEMAS:
            raise ConfigInvalid("`version` must be 1, or 0 for files of the older form: add `version: 1`.")
        checker = self._validator(_SCHEMAS[version])
        config = checker.fill(config)
        faults = checker.check(config)
        if faults:
            listed = "\n".join(f"* `{fault.path or '/'}`: {fault.message}" for fault in faults)
            raise ConfigInvalid(f"The file does not fit version {version} of `{FILE}`:\n\n{listed}")
        filled: dict[str, Any] = config
        return filled

    async def compile(self, renderer: Renderer, config: dict[str, Any], trigger: Trigger) -> Graph:
        """The tasks that a file asks for.

        Raises ConfigInvalid.
        """
        try:
            if config["version"] == 0:
                return await self._version_0(renderer, config, trigger)
            plain = {key: value for key, value in config.items() if key not in ("version", "hooks")}
            rendered = await renderer.template(plain, compiling.context(trigger, self._root_url), seed=trigger.seed, now=trigger.now)
            return compiling.version_1(rendered, config.get("hooks") or [], trigger)
        except (RenderError, compiling.ConfigError, names.RefError) as error:
            raise ConfigInvalid(str(error)) from None

    async def _version_0(self, renderer: Renderer, config: dict[str, Any], trigger: Trigger) -> Graph:
        params = compiling.parameters(trigger, self._task_queue, clocks.from_wire(trigger.now))
        plain = {key: value for key, value in config.items() if key != "version"}
        return compiling.version_0(await renderer.parameters(plain, params, trigger.now), trigger)
