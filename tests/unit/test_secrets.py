"""The secrets service: what is set comes back exactly, to those who may, until it expires."""

import logging
import os

import pytest

from tcbox import clock as clocks
from tcbox.credentials.sealed import Sealer
from tcbox.db import Tx
from tcbox.services.secrets.service import Service
from tcbox.services.secrets.store import migrations as own
from tests.support.databases import database  # noqa: F401
from tests.support.service import Caller

migrations = [own]
KEY = os.urandom(32)
NAME = "project/x/y z%2F"


class Audit:
    def __init__(self):
        self.entries = []

    async def record(self, tx: Tx, entity_type, entity_id, action, by):
        assert tx.now
        self.entries.append((entity_type, entity_id, action, by))


@pytest.fixture
def audit():
    return Audit()


@pytest.fixture
def service(database, clock, audit):
    return Service(database=database, sealer=Sealer(KEY), clock=clock, audit=audit)


@pytest.fixture
def call(service, clock):
    return Caller(service, clock)


@pytest.fixture
def secret(clock):
    return lambda value=None, **after: {"secret": value or {"a": 1}, "expires": clocks.to_wire(clock.now() + after.get("ms", clocks.DAY))}


async def test_set_get_remove(call, secret, audit):
    """A secret is set, read, replaced and removed; each change is recorded with who made it."""
    assert (await call("set", NAME, payload=secret({"a": "1"}))).body == {}
    second = secret({"b": "2"}, ms=5000)
    await call("set", NAME, payload=second)
    got = await call("get", NAME)
    assert (got.status, got.body) == (200, second)
    assert (await call("remove", NAME)).body == {}
    assert (await call("get", NAME)).status == 404
    assert (await call("remove", NAME)).status == 200
    assert [entry[2] for entry in audit.entries] == ["created", "updated", "deleted", "deleted"]
    assert audit.entries[0] == ("secret", NAME, "created", "tester")


async def test_the_value_comes_back_exactly(call, clock):
    """Key order, integers beyond 64 bits, 1.0, nulls, NUL and text of any kind come back as they were sent."""
    text = '{"z":1,"a":123456789012345678901234567890,"f":1.0,"n":null,"s":"\\u0000é\U0001f600","l":[{}, [], -0.5,true],"":{"b":1,"a":2}}'
    body = '{"secret":' + text + ',"expires":"2099-01-01T00:00:00.000Z"}'
    assert (await call("set", NAME, payload=body.encode())).status == 200
    raw = (await call("get", NAME)).raw
    for part in (
        '{"z":1,"a":123456789012345678901234567890,"f":1.0,"n":null',
        '{"b":1,"a":2}',
        "-0.5",
        '\\u0000é\U0001f600"',
        '"expires":"2099-01-01T00:00:00.000Z"',
    ):
        assert part.encode() in raw


async def test_large_secret(call, secret):
    """A secret of some megabytes is kept like any other."""
    value = {"data": "x" * 5_000_000}
    assert (await call("set", NAME, payload=secret(value))).status == 200
    assert (await call("get", NAME)).body["secret"] == value


async def test_names_may_have_slashes(call, secret):
    """A name is taken with its slashes encoded or not."""
    assert (await call.request("PUT", "/secret/project/a/b", secret())).status == 200
    assert (await call.request("GET", "/secret/project%2Fa/b")).status == 200
    assert (await call("list")).body == {"secrets": ["project/a/b"]}


@pytest.mark.parametrize(
    ("scopes", "method", "status"),
    [
        (("secrets:set:captain:*",), "set", 200), (("secrets:get:captain:*",), "set", 403), (("secrets:set:other:*",), "set", 403),
        (("secrets:set:captain:*",), "get", 403), (("secrets:get:captain:*",), "get", 200), ((), "get", 403),
        (("secrets:set:captain:*",), "remove", 200), (("secrets:get:captain:*",), "remove", 403),
    ],
)  # fmt: skip
async def test_scopes(call, secret, scopes, method, status):
    """Setting and removing need secrets:set:<name>, reading secrets:get:<name>."""
    await call("set", "captain:x", payload=secret())
    call.scopes = scopes
    assert (await call(method, "captain:x", payload=secret() if method == "set" else None)).status == status


async def test_absence_is_hidden_from_those_without_the_scope(call):
    """Without the scope the answer is 403, whether or not there is a secret."""
    call.scopes = ()
    assert (await call("get", "none")).status == 403


async def test_expired(call, secret, clock, service, audit):
    """A secret that has expired is neither read nor listed, and the sweep forgets it alone."""
    await call("set", "short", payload=secret(ms=1000))
    await call("set", "long", payload=secret(ms=100_000))
    clock.advance(2000)
    got = await call("get", "short")
    assert (got.status, got.code) == (404, "ResourceNotFound")
    assert got.message.startswith("Secret not found") and "expired at" in got.message
    assert (await call("list")).body == {"secrets": ["long"]}
    await service.expire()
    assert audit.entries[-1] == ("secret", "short", "expired", "static/taskcluster/secrets")
    assert await service.store.get("short") is None
    assert (await call("get", "long")).status == 200
    await call("set", "short", payload=secret())
    assert (await call("get", "short")).status == 200


async def test_set_in_the_past(call, secret):
    """A secret may be set that has expired already; it cannot be read."""
    assert (await call("set", NAME, payload=secret(ms=-7_200_000))).status == 200
    assert (await call("get", NAME)).status == 404


async def test_list(call, secret):
    """Names come in order, in pages whose tokens lead on, and only with the scope."""
    for number in range(7):
        await call("set", f"n/{number}", payload=secret())
    names, token = [], {}
    while True:
        page = (await call("list", limit="3", **token)).body
        assert len(page["secrets"]) <= 3
        names += page["secrets"]
        if "continuationToken" not in page:
            break
        token = {"continuationToken": page["continuationToken"]}
    assert names == [f"n/{number}" for number in range(7)]
    assert (await call("list", continuationToken="nonsense")).code == "InputError"
    call.scopes = ("secrets:get:*", "secrets:set:*")
    assert (await call("list")).code == "InsufficientScopes"


async def test_secrets_stand_in_no_error_and_no_log(call, secret, caplog, database):
    """A value stands in no error reply, log or table."""
    caplog.set_level(logging.DEBUG)
    await call("set", NAME, payload=secret({"k": "hush-hush"}))
    wrong = await call("set", NAME, payload={"secret": {"k": "hush-hush"}, "expires": "soon"})
    assert wrong.code == "InputValidationError"
    call.scopes = ()
    refused = await call("set", NAME, payload=secret({"k": "hush-hush"}))
    assert refused.status == 403
    assert b"hush" not in wrong.raw + refused.raw and "hush" not in caplog.text
    from tcbox.services.secrets.store import sql

    assert b"hush" not in bytes((await database.point(sql.get_secret, name=NAME))["sealed"])


async def test_another_key(call, secret, database, clock, caplog):
    """With another key reading fails with an error that the log explains, and nothing is given out."""
    await call("set", NAME, payload=secret())
    other = Caller(Service(database=database, sealer=Sealer(os.urandom(32)), clock=clock), clock)
    assert (await other("get", NAME)).status == 500
    assert "needs the key" in caplog.text
    rotated = Caller(Service(database=database, sealer=Sealer(os.urandom(32), old_keys=[KEY]), clock=clock), clock)
    assert (await rotated("get", NAME)).status == 200


@pytest.mark.parametrize(
    "payload", [{}, {"secret": {}}, {"secret": "text", "expires": "2099-01-01T00:00:00Z"}, {"secret": {}, "expires": "2099-01-01T00:00:00Z", "x": 1}]
)
async def test_malformed(call, payload):
    """What is no secret is refused with its faults."""
    assert (await call("set", NAME, payload=payload)).code == "InputValidationError"


async def test_nul_in_a_name(call, secret):
    """A name that no database can hold is refused in words."""
    assert (await call("set", "a\x00b", payload=secret())).code == "InvalidRequestArguments"
