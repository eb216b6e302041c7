"""Where an AMQP server is, taken apart: what goes to the driver, and what may be shown."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tcbox import errors

_PORTS = {"amqp": 5672, "amqps": 5671}
HEARTBEAT = 10
"""Seconds; the server takes a connection for lost that was silent for twice as long, this side one that was for about three times."""
_MISSING = (
    "events go to an AMQP server, and its client library aiormq is not installed: install tcbox with its extra `amqp` "
    "(pip install 'tcbox[amqp]'), or leave `events` out of the configuration"
)


@dataclass(frozen=True, slots=True)
class Address:
    """An AMQP server and a user there.

    Attributes:
        url: for the driver, with the password in it.
        user: the Pulse user, whose queues are `queue/<user>/…` and whose exchanges are `exchange/<user>/…`.
        place: what may be shown.
    """

    url: str
    user: str
    place: str

    def __repr__(self) -> str:
        return f"Address({self.place!r})"

    def queue(self, name: str) -> str:
        """The full name of a queue of this user's."""
        return f"queue/{self.user}/{name}"


def parse(url: str) -> Address:
    """The parts of `amqp(s)://user:password@host:port/vhost`; without a virtual host it is `/`, which is also `%2F`.

    Its options are the driver's, such as `heartbeat` (in seconds).
    """
    parts = urlsplit(url)
    user = unquote(parts.username or "guest")
    port = parts.port or _PORTS.get(parts.scheme, 5672)
    host = parts.hostname or "localhost"
    path = parts.path if parts.path not in ("", "/") else "/%2F"
    login = parts.netloc.rpartition("@")[0] or "guest:guest"
    shown = f"[{host}]" if ":" in host else host
    options = {"heartbeat": str(HEARTBEAT), **dict(parse_qsl(parts.query))}
    return Address(
        url=parts._replace(netloc=f"{login}@{shown}:{port}", path=path, query=urlencode(options)).geturl(),
        user=user,
        place=f"{parts.scheme}://{shown}:{port}/{path.removeprefix('/').replace('%2F', '/').removeprefix('/')}",
    )


def require() -> None:
    """Raises TcboxError when the client library is not there, saying how to install it."""
    if importlib.util.find_spec("aiormq") is None:
        raise errors.TcboxError(_MISSING)
