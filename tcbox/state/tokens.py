"""The access tokens of clients that were made: each is told once, when its client is made, so it is kept at once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tcbox import errors
from tcbox.config.instance import write_private

FILE = "access-tokens.json"


class Tokens:
    """Credentials by client id, in a file for its owner alone.

    Args:
        path: the file; those that are in it stay. None to keep them in memory alone.

    Attributes:
        made: those that were added, by client id.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.made: dict[str, str] = {}
        self._known = {} if path is None else _known(path)

    def add(self, client_id: str, access_token: str) -> None:
        """Keep a token.

        Raises TcboxError when it cannot be written.
        """
        self.made[client_id] = access_token
        self._known[client_id] = {"clientId": client_id, "accessToken": access_token}
        self._write()

    def prepare(self) -> None:
        """Make sure that tokens can be kept, before there are any.

        Raises TcboxError when they cannot.
        """
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        try:
            write_private(self.path, msgspec.json.format(msgspec.json.encode(dict(sorted(self._known.items()))), indent=2) + b"\n")
        except OSError as error:
            raise errors.TcboxError(f"cannot write access tokens to {self.path}: {error.strerror}; give another file with --tokens") from error


def _known(path: Path) -> dict[str, dict[str, str]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, str]])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise errors.TcboxError(f"{path} is no file of access tokens that can be added to ({error}): move it away, or give another with --tokens") from error
