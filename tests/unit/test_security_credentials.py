"""What strangers can put into credentials, tokens and URLs of the instance does them no good."""

from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import parse_qsl, urlencode

import pytest

from tcbox import errors
from tcbox.api import paging, wire
from tcbox.blobs import signing
from tcbox.box.control import Control
from tcbox.credentials import ClientRecord, Failure, SignatureValidator, SignedRequest, hawk, temporary
from tcbox.scopes import ScopeSet

NOW = 1_800_000_000_000
KEY = "k" * 44


@pytest.fixture
def validator():
    record = ClientRecord("issuer", KEY, ScopeSet(["*"]), NOW * 2)
    return SignatureValidator({"issuer": record}.get, ScopeSet)


def signed(client_id: str, token: str, ext: str, **changes) -> SignedRequest:
    url = "http://tc.example.com/api/queue/v1/ping"
    header = hawk.sign_header(client_id, token, method="GET", url=url, now_ms=changes.pop("now", NOW), ext=ext)
    return SignedRequest("get", "/api/queue/v1/ping", "tc.example.com", 80, header)


def ext_of(**certificate) -> str:
    whole = {"version": 1, "scopes": ["a"], "start": NOW - 1000, "expiry": NOW + 60_000, "seed": "s" * 44, "signature": "x", **certificate}
    return base64.b64encode(json.dumps({"certificate": whole}).encode()).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"expiry": 10**400, "start": 0.5}, {"expiry": 1e308}, {"start": -1e308}, {"start": -(10**400), "expiry": 1.5}, {"version": 10**400},
        {"expiry": True}, {"start": None}, {"expiry": "9"}, {"signature": None}, {"signature": "é\u0000"}, {"issuer": "issuer"}, {"issuer": ["issuer"]},
        {"clientId": "issuer"}, {"seed": "s" * 43}, {"scopes": ["a\nb"]}, {"scopes": "a"}, {"scopes": [["a"]]}, {"expiry": NOW + 32 * 86_400_000},
    ],
)  # fmt: skip
def test_a_forged_certificate_is_refused(validator, changes):
    """A certificate that the issuer did not sign, with whatever in it, is a failure that is told, never an error of the server."""
    assert isinstance(validator.validate(signed("issuer", KEY, ext_of(**changes)), NOW), Failure)


def test_a_certificate_cannot_be_widened_or_used_by_another(validator):
    """Changing the scopes, the times or the name of temporary credentials makes them worthless."""
    made = temporary.create("issuer", KEY, scopes=["a"], start_ms=NOW - 1000, expiry_ms=NOW + 60_000, name="named")
    good = json.loads(made.certificate)
    assert not isinstance(validator.validate(signed("named", made.access_token, temporary.make_ext(made.certificate)), NOW), Failure)
    for change in (
        {"scopes": ["*"]},
        {"scopes": ["a", ""]},
        {"scopes": []},
        {"expiry": NOW + 120_000},
        {"start": NOW - 2000},
        {"seed": "t" * 44},
        {"issuer": None},
    ):
        text = json.dumps({**good, **change})
        assert isinstance(validator.validate(signed("named", made.access_token, temporary.make_ext(text)), NOW), Failure), change
    assert isinstance(validator.validate(signed("other", made.access_token, temporary.make_ext(made.certificate)), NOW), Failure)
    later = NOW + 60_000 + temporary.SKEW_MS + 1
    assert isinstance(validator.validate(signed("named", made.access_token, temporary.make_ext(made.certificate), now=later), later), Failure)


def test_a_remembered_certificate_ends_with_its_issuer(validator):
    """Credentials that were good a moment ago are refused once their issuer is disabled, has fewer scopes or another token."""
    clients = {"issuer": ClientRecord("issuer", KEY, ScopeSet(["*"]), NOW * 2)}
    validator = SignatureValidator(clients.get, ScopeSet)
    made = temporary.create("issuer", KEY, scopes=["a"], start_ms=NOW - 1000, expiry_ms=NOW + 60_000)
    ends(validator, clients, signed("issuer", made.access_token, temporary.make_ext(made.certificate)), widest=False)
    ends(validator, clients, signed("issuer", KEY, ""), widest=True)


def ends(validator: SignatureValidator, clients: dict[str, ClientRecord], request: SignedRequest, *, widest: bool) -> None:
    """Check that a request is refused, or has fewer scopes, after each change of the client."""
    for record in (
        ClientRecord("issuer", KEY, ScopeSet(["*"]), NOW * 2, disabled=True), ClientRecord("issuer", KEY, ScopeSet(["b"]), NOW * 2),
        ClientRecord("issuer", "j" * 44, ScopeSet(["*"]), NOW * 2), ClientRecord("issuer", KEY, ScopeSet(["*"]), NOW - 1), None,
    ):  # fmt: skip
        clients["issuer"] = ClientRecord("issuer", KEY, ScopeSet(["*"]), NOW * 2)
        assert not isinstance(validator.validate(request, NOW), Failure)
        if record is None:
            del clients["issuer"]
        else:
            clients["issuer"] = record
        found = validator.validate(request, NOW)
        if widest and record is not None and record.scopes == ScopeSet(["b"]):
            assert list(found.scopes.base) == ["b"]
        else:
            assert isinstance(found, Failure), record


@pytest.mark.parametrize("name", ["named\nissuer:issuer", "named\r", "\x00", "na\x7fmed"])
def test_a_bewit_has_no_line_breaks_in_its_id(name):
    """An id that could pass for further lines of what a certificate's signature covers is refused."""
    from tcbox.credentials import bewit

    code = base64.urlsafe_b64encode(f"{name}\\{NOW}\\mac\\".encode()).rstrip(b"=").decode()
    with pytest.raises(hawk.HawkError):
        bewit.parse(code)


@pytest.mark.parametrize(
    "key", ["[18446744073709551616]", "[9223372036854775808]", "[-9223372036854775809]", "[true]", "[1.5]", '["1"]', "[1,2]", "[" * 30_000]
)
def test_a_token_for_a_page_that_was_never_given_is_refused(key):
    """A continuation token that somebody made up is refused, and never reaches the database."""
    token = base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()
    with pytest.raises(errors.InputError):
        paging.after({"continuationToken": token}, int)


def test_a_token_with_nul_and_a_limit_of_any_length():
    """A key with a NUL character is refused, and a limit may have any number of digits."""
    with pytest.raises(errors.InputError):
        paging.after({"continuationToken": paging.token("a\0b")}, str)
    assert paging.limit({"limit": "9" * 5000}) == paging.MAXIMUM
    assert paging.limit({"limit": "7"}) == 7


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_bodies_that_nest_too_deep(opening, closing):
    """A body may nest as deep as anything that reads it later can follow, and no deeper; brackets side by side do not count."""

    def deep(levels: int) -> bool:
        body = (opening * levels + "1" + closing * levels).encode()
        return wire.too_deep(body, json.loads(body))

    assert not deep(wire.MAX_DEPTH)
    assert deep(wire.MAX_DEPTH + 1)
    wide = b"[" + b"[],{}," * 5000 + b"1]"
    assert not wire.too_deep(wide, json.loads(wide))


def test_a_signed_url_permits_just_what_was_signed():
    """No part of a signed URL can be moved into another part, changed, left out or added."""
    signer = signing.Signer(b"k" * 32)
    query = signer.query("artifact/x", method="PUT", expires_ms=NOW, type="text/plain", length=3)
    assert signer.check("artifact/x", query, method="PUT", now_ms=NOW)["type"] == "text/plain"
    params = dict(parse_qsl(query))
    without = {name: value for name, value in params.items() if name != "expires"}
    shifted = f"artifact/x\nexpires={params['expires']}\nlength=3"
    for location, changed in (
        (shifted, {name: params[name] for name in ("method", "type", "sig")}), ("artifact/y", params), ("artifact/x", without), ("artifact/x", {**params, "more": "1"}),
        ("artifact/x", {**params, "method": "GET"}), ("artifact/x", {**params, "expires": str(NOW * 2)}), ("artifact/x", {**params, "sig": ""}),
        ("artifact/x", {**params, "length": "3&type=text/html"}), ("artifact/x", {**params, "sig": "\udcff"}),
    ):  # fmt: skip
        for method in ("PUT", "GET", "HEAD"):
            with pytest.raises(signing.BadUrl):
                signer.check(location, urlencode(changed, errors="surrogateescape"), method=method, now_ms=NOW)
    for method, now in (("GET", NOW), ("HEAD", NOW), ("PUT", NOW + 1)):
        with pytest.raises(signing.BadUrl):
            signer.check("artifact/x", query, method=method, now_ms=now)
    with pytest.raises(signing.BadUrl):
        signer.check("artifact/x", f"{query}&type=text/html", method="PUT", now_ms=NOW)


@pytest.mark.parametrize(("authorization", "body", "status"), [
    (b"", b"", 401), (b"Bearer ", b"", 401), (b"Bearer \xff\xfe", b"", 401), (b"Bearer toke", b"", 401), (b"token", b"", 200), (b"Bearer token", b"{", 400),
    (b"Bearer token", b"[]", 400), (b"Bearer token", b"\xff", 400), (b"Bearer token", b"[" * 100_000, 400), (b"Bearer token", b"{}", 200),
])  # fmt: skip
async def test_the_control_endpoint_wants_its_token(authorization, body, status):
    """Only who holds the token controls the instance, and no request makes it fail."""
    from aiohttp import web

    async def action(asked):
        return asked

    runner = web.ServerRunner(web.Server(Control("token", {"status": action}).handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(b"POST /instance/status HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b" % (authorization, len(body), body))
    line = await reader.readline()
    writer.close()
    await runner.cleanup()
    assert int(line.split()[1]) == status
