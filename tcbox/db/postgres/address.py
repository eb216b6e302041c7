"""A PostgreSQL URL taken apart: what goes to the driver, what is tcbox's, and what may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from tcbox import errors
from tcbox.runtime import silence

_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_SHORTEST, _LONGEST = 4, 3600  # seconds of `lost_after`


@dataclass(frozen=True)
class Address:
    """Where a database is: `dsn` for the driver, `schema` (empty: the user's own), `pool` connections at most.

    Attributes:
        lost_after: seconds of silence after which a connection counts as lost, on both sides.
    """

    dsn: str
    schema: str
    pool: int
    lost_after: int
    place: str


def parse(url: str) -> Address:
    """The parts of a URL; `place` has no password in it.

    Raises TcboxError when one of tcbox's own options has a wrong value.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema, pool = options.pop("schema", ""), options.pop("pool", "10")
    lost_after = options.pop("lost_after", f"{silence.LOST_AFTER:.0f}")
    if schema and not _SCHEMA.fullmatch(schema):
        raise errors.TcboxError(f"the database's option schema={schema} is no name: use letters, digits and `_`")
    if not pool.isdecimal() or int(pool) < 1:
        raise errors.TcboxError(f"the database's option pool={pool} is no number of connections: write one from 1")
    if not lost_after.isdecimal() or not _SHORTEST <= int(lost_after) <= _LONGEST:
        raise errors.TcboxError(f"the database's option lost_after={lost_after} is no number of seconds: write one from {_SHORTEST} to {_LONGEST}")
    host = parts.netloc.rpartition("@")[2] or options.get("host", "localhost")
    return Address(
        dsn=parts._replace(scheme="postgresql", query=urlencode(options)).geturl(),
        schema=schema,
        pool=int(pool),
        lost_after=int(lost_after),
        place=f"{parts.path.strip('/')} on {host}",
    )
