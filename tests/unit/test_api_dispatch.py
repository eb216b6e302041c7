"""What a call is checked for, in which order, and what is answered, over HTTP."""

import json
import logging
import time

import pytest

from tcbox.api import declare
from tcbox.credentials import bewit as bewits
from tcbox.credentials import sign_header
from tests.support import demo

JSON = {"Content-Type": "application/json"}
THING = b'{"size": 1}'
BAD = {"Authorization": 'Hawk id="nobody", ts="1", nonce="n", mac="bWFj"'}


async def ask(d, verb, path, body=b"", headers=None, *, sign=False, token=demo.TOKEN, content=None):
    """One request; its status, headers and decoded body."""
    headers = {"Host": f"127.0.0.1:{d.port}", **(headers or {})}
    target = f"/api/demo/v1{path}"
    if sign:
        kind = headers.get("Content-Type") if body else None
        headers["Authorization"] = sign_header(
            "tester",
            token,
            method=verb,
            url=d.url + target,
            now_ms=int(time.time() * 1000),
            content=body if content is None and body else content,
            content_type=kind,
        )
    if body or verb in ("PUT", "POST"):
        headers["Content-Length"] = str(len(body))
    head = f"{verb} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    ((status, got, raw),) = await d.raw(head.encode() + body)
    return status, got, json.loads(raw) if raw else None


# verb, path, body, headers, signed, status, code, in the message
CASES = {
    "put": ("PUT", "/things/a", THING, JSON, True, 204, None, None),
    "a charset": ("PUT", "/things/a", THING, {"Content-Type": "Application/JSON; charset=utf-8"}, True, 204, None, None),
    "not json": ("PUT", "/things/a", b"{size", JSON, True, 400, "MalformedPayload", "Failed to parse JSON: "),
    "not json comes before credentials": ("PUT", "/things/a", b"{size", {**JSON, **BAD}, False, 400, "MalformedPayload", "Failed to parse JSON: "),
    "a bare value": ("PUT", "/things/a", b"3", JSON, True, 400, "MalformedPayload", "object or a list"),
    "not utf-8": ("PUT", "/things/a", b'{"size": "\xff"}', JSON, True, 400, "MalformedPayload", "Failed to parse JSON: "),
    "deeply nested": ("PUT", "/things/a", b"[" * 100_000, JSON, True, 400, "MalformedPayload", "Failed to parse JSON: "),
    "no content type": ("PUT", "/things/a", THING, {}, True, 400, "MalformedPayload", "Payload must be JSON with content-type: application/json"),
    "another content type": ("PUT", "/things/a", THING, {"Content-Type": "text/plain"}, True, 400, "MalformedPayload", "got content-type: text/plain"),
    "almost the content type": ("PUT", "/things/a", THING, {"Content-Type": "application/json-patch+json"}, True, 400, "MalformedPayload", "json-patch"),
    "no body": ("PUT", "/things/a", b"", JSON, True, 400, "InputValidationError", "  * /size: is missing"),
    "all faults": ("PUT", "/things/a", b'{"size": -1, "colour": 3, "x": 1}', JSON, True, 400, "InputValidationError", "/colour"),
    "credentials come before the schema": ("PUT", "/things/a", b"{}", {**JSON, **BAD}, False, 401, "AuthenticationFailed", ""),
    "credentials come before parameters": ("PUT", "/things/A!", b"{}", {**JSON, **BAD}, False, 401, "AuthenticationFailed", ""),
    "parameters come before the schema": (
        "PUT",
        "/things/A!",
        b"{}",
        JSON,
        True,
        400,
        "InvalidRequestArguments",
        "Invalid URL patterns:\nURL parameter 'name' given as 'A!' must match regular expression: '/^[a-z0-9/ €-]+$/'",
    ),
    "the query comes before the schema": (
        "PUT",
        "/things/a?x=1",
        b"{}",
        JSON,
        True,
        400,
        "InvalidRequestArguments",
        "Query-string parameter: x is not supported!",
    ),
    "a query that does not match": (
        "GET",
        "/things/?limit=ten",
        b"",
        {},
        False,
        400,
        "InvalidRequestArguments",
        'Query-string parameter: limit="ten" does not match expression: /^[0-9]',
    ),
    "a line break at the end of a query": ("GET", "/things/?limit=1%0A", b"", {}, False, 400, "InvalidRequestArguments", "does not match"),
    "a query twice": ("GET", "/things/?limit=1&limit=2", b"", {}, False, 400, "InvalidRequestArguments", "Query-string parameter: limit must be a string!"),
    "a NUL in a query": ("GET", "/things/?continuationToken=%00", b"", {}, False, 400, "InvalidRequestArguments", "NUL"),
    "a query that is no UTF-8": ("GET", "/things/?continuationToken=%ff", b"", {}, False, 400, "InvalidRequestArguments", "not well-formed"),
    "a token of another method": ("GET", "/things/?continuationToken=abc", b"", {}, False, 400, "InputError", "continuationToken abc"),
    "a line break at the end of a parameter": ("GET", "/things/a%0A", b"", {}, True, 400, "InvalidRequestArguments", "must match"),
    "bad percent-encoding": ("GET", "/public/a%zz", b"", {}, False, 400, "InvalidRequestArguments", "not well-formed"),
    "a parameter that is no UTF-8": ("GET", "/public/%ff", b"", {}, False, 400, "InvalidRequestArguments", "not well-formed"),
    "a NUL in a parameter": ("GET", "/public/a%00b", b"", {}, False, 400, "InvalidRequestArguments", "NUL"),
    "anonymous": ("PUT", "/things/a", THING, JSON, False, 403, "InsufficientScopes", "demo:put:a"),
    "nothing there": (
        "GET",
        "/things/a",
        b"",
        {},
        True,
        404,
        "ResourceNotFound",
        "There is no thing a.\n\n---\n\n* method:     getThing\n* errorCode:  ResourceNotFound\n* statusCode: 404\n* time:       ",
    ),
    "no method": ("GET", "/nothing", b"", {}, False, 404, "ResourceNotFound", "no method GET /nothing"),
    "another verb": ("DELETE", "/ping", b"", {}, False, 404, "ResourceNotFound", "no method DELETE /ping"),
    "public needs no valid credentials": ("GET", "/ping", b"", BAD, False, 200, None, None),
    "a slash too many": ("GET", "/ping/", b"", {}, False, 200, None, None),
    "a slash too few": ("GET", "/things", b"", {}, False, 200, None, None),
    "a public GET with a strange body": ("GET", "/ping", b"<x/>", {"Content-Type": "text/xml"}, False, 200, None, None),
    "a fault of ours": ("GET", "/fails", b"", {}, False, 500, "InternalServerError", "Internal Server Error, incidentId "),
    "scopes never checked": ("GET", "/forgets", b"", {}, True, 500, "InternalServerError", "incidentId"),
    "a header that would break out": ("GET", "/headers?value=a%0D%0ASet-Cookie:%20x", b"", {}, False, 500, "InternalServerError", "incidentId"),
}


@pytest.mark.parametrize("name", CASES)
async def test_cases(name, caplog):
    """Each request is answered with its published status and code, and a message that says what is wrong."""
    verb, path, body, headers, signed, status, code, text = CASES[name]
    with caplog.at_level(logging.CRITICAL):
        async with demo.running() as d:
            got, sent, reply = await ask(d, verb, path, body, headers, sign=signed)
    assert got == status, reply
    assert "set-cookie" not in sent
    if code is not None:
        assert set(reply) == {"code", "message", "requestInfo"}
        assert set(reply["requestInfo"]) == {"method", "params", "payload", "time"}
        assert reply["code"] == code
        assert text in reply["message"]
    if status == 401:
        assert sent["www-authenticate"] == "hawk"


async def test_a_whole_error_body():
    """An error says which method was called with what."""
    async with demo.running() as d:
        status, headers, reply = await ask(d, "PUT", "/things/b%2Fc", b'{"size": "x"}', JSON, sign=True)
        assert (status, headers["content-type"]) == (400, "application/json; charset=utf-8")
        info = reply["requestInfo"]
        assert (info["method"], info["params"]) == ("putThing", {"name": "b/c"})
        assert info["payload"]["size"] == "x"
        assert info["time"].endswith("Z")
        assert "/schemas/demo/v1/thing.json#" in reply["message"]
        assert d.calls == [("putThing", 400)]


async def test_what_is_concealed():
    """A method that says so keeps its payload out of error replies."""
    async with demo.running() as d:
        for body in (b'{"size": 1}', b'{"size": "hidden"}'):
            _, _, reply = await ask(d, "POST", "/secretly", body, JSON)
            assert reply["requestInfo"]["payload"] is None


async def test_a_fault_of_ours_is_logged_under_its_id(caplog):
    """What went wrong inside stands in the log under the request's id, and not in the reply."""
    async with demo.running() as d:
        _, headers, reply = await ask(d, "GET", "/fails", headers={"X-Request-Id": "trace-me"})
    assert headers["x-request-id"] == "trace-me"
    assert "trace-me" in reply["message"]
    assert "of all things" not in json.dumps(reply)
    logged = [record for record in caplog.records if getattr(record, "requestId", "") == "trace-me"]
    assert any(record.exc_info and "of all things" in str(record.exc_info[1]) for record in logged)


async def test_a_hash_that_does_not_fit_the_body():
    """A signature that covers another body than the one that came is refused."""
    async with demo.running() as d:
        status, _, reply = await ask(d, "PUT", "/things/a", THING, JSON, sign=True, content=b'{"size": 2}')
        assert (status, reply["code"]) == (401, "AuthenticationFailed")
        assert "Invalid payload hash" in reply["message"]


async def test_bewits():
    """A signed URL works for reading, though its query parameter is no published one, and not together with a header."""
    async with demo.running() as d:
        await ask(d, "PUT", "/things/a", THING, JSON, sign=True)
        code = bewits.make("tester", demo.TOKEN, url=f"{d.url}/api/demo/v1/things/a", expires_ms=int(time.time() * 1000) + 60_000)
        assert (await ask(d, "GET", f"/things/a?bewit={code}"))[0] == 200
        assert (await ask(d, "GET", f"/things/b?bewit={code}"))[0] == 401
        status, _, reply = await ask(d, "GET", f"/things/a?bewit={code}", sign=True)
        assert status == 401
        assert "two authentication schemes" in reply["message"]


async def test_missing_scopes_are_named():
    """A caller without the scopes is told which it lacks."""
    async with demo.running(["demo:get:*"]) as d:
        status, _, reply = await ask(d, "PUT", "/things/a", THING, JSON, sign=True)
        assert (status, reply["code"]) == (403, "InsufficientScopes")
        assert reply["message"].startswith("Client ID tester does not have sufficient scopes and is missing the following scopes:")
        assert "demo:put:a" in reply["message"]


async def test_who_calls_a_public_method():
    """A public method sees who calls, a stand-in and no scopes for bad credentials."""
    async with demo.running() as d:
        assert (await ask(d, "GET", "/public/x", sign=True))[2]["clientId"] == "tester"
        assert (await ask(d, "GET", "/public/x"))[2]["clientId"] == "auth-failed:no-auth"
        bad = (await ask(d, "GET", "/public/x", headers=BAD))[2]
        assert (bad["clientId"], bad["scopes"]) == ("auth-failed:auth-failed", [])


async def test_exact_values_and_defaults():
    """Free-form parts come back exactly, defaults are filled in, and ready JSON goes out as it is."""
    body = b'{"size":1,"extra":{"z":1.0,"a":1e400,"n":123456789012345678901234567890,"e":null}}'.replace(b"1e400", b"1e40")
    async with demo.running() as d:
        ((_, _, raw),) = await d.raw(
            f"POST /api/demo/v1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        assert raw == b'{"size":1,"extra":{"z":1.0,"a":1e40,"n":123456789012345678901234567890,"e":null},"colour":"red"}'
        ((_, _, raw),) = await d.raw(b"GET /api/demo/v1/encoded HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw == b'{"n":123456789012345678901234567890,"f":1.0}'


async def test_redirects():
    """A redirect carries its URL, percent-encoded where it must be, and a body."""
    async with demo.running() as d:
        status, headers, reply = await ask(d, "GET", "/goes?to=https://x/%E2%82%AC%20a%0D%0A%25b")
        assert status == 303
        assert headers["location"] == "https://x/%E2%82%AC%20a%0D%0A%b"
        assert reply["url"].startswith("https://x/")


async def test_paging():
    """Pages join up to the whole list, in order."""
    async with demo.running() as d:
        d.things.kept = {f"n{n:02}": {"size": n} for n in range(25)}
        names, token = [], ""
        for count in (10, 10, 5):
            _, _, reply = await ask(d, "GET", "/things/?limit=10" + (f"&continuationToken={token}" if token else ""))
            assert len(reply["things"]) == count
            names, token = names + reply["things"], reply.get("continuationToken")
        assert token is None
        assert names == sorted(d.things.kept)
        assert len((await ask(d, "GET", "/things/?limit=0"))[2]["things"]) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/asleep/v1/ping", 503), ("/api/none/v1/ping", 404), ("/api/demo/v2/ping", 404), ("/api/demo", 404), ("/api/", 404), ("/api/demo/v1", 404)],
)
async def test_no_such_service(path, status):
    """A service that does not run just now is told from one that there is not."""
    async with demo.running() as d:
        ((got, headers, raw),) = await d.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert got == status
        assert json.loads(raw)["code"] in ("ServiceUnavailable", "ResourceNotFound")
        assert ("retry-after" in headers) == (status == 503)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        (r"^[a-z$]+$", ["a$", "$"], ["a\n", "a$\n", ""]),
        (r"^a\$$", ["a$"], ["a", "a$\n"]),
        (".", ["x", "xy"], ["", "\n"]),
        ("^(a|b$)", ["ac", "b"], ["b\n", "bc"]),
    ],
)
def test_published_patterns(text, yes, no):
    """A pattern means what it means to JavaScript, where `$` is the very end, and is published as it was written."""
    pattern = declare.pattern(text)
    assert all(pattern.search(value) for value in yes)
    assert not any(pattern.search(value) for value in no)
    assert declare.published(pattern) == text
