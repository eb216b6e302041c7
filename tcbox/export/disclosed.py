"""The secrets themselves, for a pipe: read from where the settings refer to, and from the data folder of the instance that moves."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tcbox import errors
from tcbox.box import identity
from tcbox.config.instance import Instance
from tcbox.export import needs
from tcbox.export.references import References

_TOKENS = {"builtin": "workers", "web-session": "web-session"}
"""What tokens are derived for, where that is not a service."""


@dataclass
class Source:
    """Where secrets are read from; what is missing is gathered, to be told at once.

    Attributes:
        env: the variables.
        folder: what relative paths start from.
        instance: the data folder whose identity goes along.
    """

    env: Mapping[str, str]
    folder: Path
    instance: Instance
    missing: list[str] = field(default_factory=list)

    def all(self, owner: str, refers: References) -> dict[str, str]:
        """All that the Secret of an owner holds, by key."""
        found = {name: self.variable(owner, name) for name in refers.variables}
        return {**found, **{file.name: self.file(file.path) for file in refers.files}}

    def variable(self, owner: str, name: str) -> str:
        """One variable: of the instance's identity, or of the environment."""
        if name == needs.TOKEN:
            return self.token(owner)
        if name == needs.INSTANCE_KEY:
            return base64.b64encode(self._key()).decode()
        if name == needs.ROOT_TOKEN:
            return self.root()
        return self._env(name)

    def token(self, owner: str) -> str:
        """With what an owner signs: derived from the key, as the instance itself derives it."""
        return identity.derive(self._key(), _TOKENS.get(owner, f"service:{owner}"))

    def root(self) -> str:
        """With what the instance's owner signs."""
        if needs.ROOT_TOKEN in self.env:
            return self.env[needs.ROOT_TOKEN]
        try:
            return identity.root_token(self.instance.root_client)
        except OSError:
            return self._lacks(f"{needs.ROOT_TOKEN}, the access token of the owner: set it, or name the data folder of the instance with --data")

    def file(self, path: str) -> str:
        """The content of a file."""
        try:
            return (self.folder / Path(path).expanduser()).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return self._lacks(f"the file {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}")

    def refuse_if_missing(self) -> None:
        """Raise TcboxError with all that is missing."""
        if self.missing:
            raise errors.TcboxError("secrets are missing:\n" + "\n".join(f"  {each}" for each in dict.fromkeys(self.missing)))

    def _env(self, name: str) -> str:
        return self.env[name] if name in self.env else self._lacks(f"{name}: set this variable")

    def _key(self) -> bytes:
        given = self.env.get(needs.INSTANCE_KEY)
        path = self.instance.key_file("instance")
        if given is None and not path.exists():
            self._lacks(
                f"{needs.INSTANCE_KEY}, from which all tokens derive: name the data folder of the instance with --data, or set it to 32 bytes in base64"
            )
            return b""
        if given is not None:
            return identity.key_of(given.encode(), needs.INSTANCE_KEY, "set it to that of the instance that moves, or make one with: openssl rand -base64 32")
        return identity.key_of(path.read_bytes(), str(path))

    def _lacks(self, what: str) -> str:
        self.missing.append(what)
        return ""


def dotenv(values: Mapping[str, str]) -> str:
    """Lines of a file .env, taken as they are."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(values.items()))


def _quoted(value: str) -> str:
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'


def shell(values: Mapping[str, str]) -> str:
    """Lines for a shell to read."""
    import shlex

    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))


def names(text: str) -> Iterable[str]:
    """The variables that `envsubst` fills in."""
    import re

    return sorted(set(re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", text)))
