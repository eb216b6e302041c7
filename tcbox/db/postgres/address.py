"""A PostgreSQL URL taken apart: what goes to the driver, what is tcbox's, and what may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from tcbox import errors

_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True)
class Address:
    """Where a database is: `dsn` for the driver, `schema` (empty: the user's own), `pool` connections at most."""

    dsn: str
    schema: str
    pool: int
    place: str


def parse(url: str) -> Address:
    """The parts of a URL; `place` has no password in it.

    Raises TcboxError when one of tcbox's own options has a wrong value.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema, pool = options.pop("schema", ""), options.pop("pool", "10")
    if schema and not _SCHEMA.fullmatch(schema):
        raise errors.TcboxError(f"the database's option schema={schema} is no name: use letters, digits and `_`")
    if not pool.isdecimal() or int(pool) < 1:
        raise errors.TcboxError(f"the database's option pool={pool} is no number of connections: write one from 1")
    host = parts.netloc.rpartition("@")[2] or options.get("host", "localhost")
    return Address(
        dsn=parts._replace(scheme="postgresql", query=urlencode(options)).geturl(),
        schema=schema,
        pool=int(pool),
        place=f"{parts.path.strip('/')} on {host}",
    )
