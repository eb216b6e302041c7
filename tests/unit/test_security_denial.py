"""No single request, by anybody, keeps all others waiting for long."""

from __future__ import annotations

import json
import time

import pytest

from tcbox.api import schemas
from tcbox.api.declare import pattern
from tcbox.services.auth.declarations import api as auth
from tcbox.services.index.declarations import api as index
from tcbox.services.object.declarations import api as objects
from tcbox.services.purge_cache.declarations import api as purge_cache
from tcbox.services.queue.declarations import api as queue
from tcbox.services.secrets.declarations import api as secrets
from tests.support.service import SERVICES

APIS = (auth, queue, secrets, objects, index, purge_cache)
LONG = 60_000
"""Characters, about as many as a request line can have."""
PARTS = ("1", "0", "a", "-", "a-", "a/", ".", "a.", "*", "%", " ", "A", "_")


def forms():
    """All patterns that parameters of routes and queries are held against."""
    found = {form.pattern: form for api in APIS for form in api.params.values()}
    found |= {form.pattern: form for api in APIS for method in api.methods.values() for form in method.query.values()}
    return sorted(found)


@pytest.mark.parametrize("text", forms())
def test_no_parameter_takes_long_to_check(text):
    """The patterns of parameters take time in proportion to what they are held against, whatever it is."""
    form = pattern(text.replace(r"\Z", "$"))
    for part in PARTS:
        for end in ("", "!", "\n", "\0", "/"):
            value = (part * LONG)[:LONG] + end
            started = time.perf_counter()
            form.search(value)
            assert time.perf_counter() - started < 0.25, (part, end)


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": ["a\0"] * 200_000}, {"scopes": [[]] * 200_000}, {f"k{number}": 1 for number in range(200_000)}, {"scopes": ["a"] * 200_000},
        {"scopes": [{"a": 1}] * 100_000 + ["a"] * 100_000},
    ],
    ids=["patterns", "kinds", "names", "twice", "mixed"],
)  # fmt: skip
def test_faults_of_a_large_body_are_found_soon(body):
    """A large body with very many faults is refused about as fast as a good one is taken, and the refusal is short."""
    validator = schemas.SchemaSet({"auth": SERVICES / "auth" / "schemas"}).validator("auth", "scopeset")
    validator.check({"scopes": []})
    started = time.perf_counter()
    faults = validator.check(json.loads(json.dumps(body)), brief=True)
    assert time.perf_counter() - started < 2.5
    assert 1 <= len(faults) <= schemas.MOST_FAULTS
