"""Who signed a request: permanent and temporary credentials, authorized scopes, bewits, and nobody."""

import base64
import datetime
import json
from dataclasses import replace

import pytest
import taskcluster

from tcbox.credentials import (
    NO_CLIENT, CertificateError, ClientRecord, Failure, SignatureValidator, SignedRequest, Success, bewit, create, make_ext, sign_header, temporary,
)  # fmt: skip
from tcbox.scopes import Roles, ScopeSet

NOW = 1_780_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
URL = "https://tc.example/api/x/v1/y?z=1"
ROLES = Roles({"anonymous": ["public"], "group:*": ["secrets:get:<..>"]})


class Box:
    """A validator over clients that a test may change."""

    def __init__(self):
        self.clients = {
            "root": ClientRecord("root", "root-token", ScopeSet(["*"]), NOW + 2 * HOUR),
            "small": ClientRecord("small", "small-token", ROLES.expand(["scope2", "assume:group:a"]), NOW + 2 * HOUR),
        }
        self.expansions = []
        self.validator = SignatureValidator(self.clients.get, self.expand)

    def expand(self, scopes):
        self.expansions.append(tuple(scopes))
        return ROLES.expand(scopes)

    def header(self, client_id, token, *, ext="", now=NOW, method="GET", at=NOW, **changes):
        authorization = sign_header(client_id, token, method=method, url=URL, ext=ext, now_ms=at, **changes)
        return self.validator.validate(SignedRequest(method.lower(), "/api/x/v1/y?z=1", "tc.example", 443, authorization), now)

    def temporary(self, issuer, scopes, *, name=None, start=-MINUTE, end=HOUR, now=NOW, authorized=None, token=None, using=None, changes=None):
        """A request with temporary credentials; `changes` are made to the certificate after it was signed."""
        made = create(issuer, token or self.clients[issuer].access_token, scopes=scopes, start_ms=NOW + start, expiry_ms=NOW + end, name=name)
        certificate = json.dumps(json.loads(made.certificate) | (changes or {}))
        return self.header(using or made.client_id, made.access_token, ext=make_ext(certificate, authorized), now=now, at=now)


@pytest.fixture
def box():
    return Box()


def refused(result):
    assert isinstance(result, Failure), result
    return result.message


def test_a_clients_request(box):
    """A signed request is its client's, with the client's scopes and end, and every caller may what `anonymous` may."""
    result = box.header("small", "small-token")
    assert isinstance(result, Success)
    assert (result.scheme, result.client_id, result.expires_ms, result.hash) == ("hawk", "small", NOW + 2 * HOUR, None)
    assert result.scopes.satisfied("secrets:get:a")
    assert box.expansions == []
    assert result.scopes.satisfied("public")
    assert result.scopes.expanded.scopes == ("assume:anonymous", "assume:group:a", "public", "scope2", "secrets:get:a")


def test_the_hash_of_the_body_is_handed_on(box):
    """The body's hash, which the signature covers, is for the caller to compare."""
    result = box.header("root", "root-token", content=b"{}")
    assert result.hash == "XtNvx1FqrUYVOLlne3l2WzcyRfj9QeC6YtmhMKKFMGY="


def test_nobodys_request(box):
    """Without a signature the caller is anonymous, has the role's scopes, and keeps them for 15 minutes."""
    result = box.validator.validate(SignedRequest("get", "/x", "tc.example", 443), NOW)
    assert (result.scheme, result.client_id, result.expires_ms) == ("none", NO_CLIENT, NOW + 15 * MINUTE)
    assert result.scopes.expanded.scopes == ("assume:anonymous", "public")


@pytest.mark.parametrize(
    ("change", "message", "reason"),
    [
        ({"access_token": "other"}, "Bad mac", "invalid_signature"),
        ({"disabled": True}, "is disabled", "other"),
        ({"expires_ms": NOW - 1}, "has expired", "other"),
        (None, "'small' not found", "client_not_found"),
    ],
)
def test_clients_that_are_refused(box, change, message, reason):
    """A wrong token, a disabled, expired or unknown client is refused, and says which."""
    if change is None:
        del box.clients["small"]
    else:
        box.clients["small"] = replace(box.clients["small"], **change)
    result = box.header("small", "small-token")
    assert message in refused(result)
    assert result.reason == reason


@pytest.mark.parametrize(("off", "fine"), [(15 * MINUTE, True), (-15 * MINUTE, True), (15 * MINUTE + 1000, False), (-15 * MINUTE - 1000, False)])
def test_clocks_may_be_a_quarter_of_an_hour_off(box, off, fine):
    """A request's time may be 15 minutes off, either way."""
    result = box.header("root", "root-token", at=NOW + off)
    assert isinstance(result, Success) if fine else "Stale timestamp" in refused(result)


def test_two_signatures_are_refused(box):
    """A header and a bewit in the query do not go together; a path that looks like a bewit does no harm."""
    for resource, fine in (("/x?bewit=abc", False), ("/x?a=1&bewit=abc", False), ("/x&bewit=abc", True)):
        authorization = sign_header("root", "root-token", method="GET", url=f"https://tc.example{resource}", now_ms=NOW)
        result = box.validator.validate(SignedRequest("get", resource, "tc.example", 443, authorization), NOW)
        assert isinstance(result, Success) if fine else "two authentication schemes" in refused(result)


def test_temporary_credentials(box):
    """Temporary credentials go by their issuer's name, with their own scopes, and end with the certificate."""
    result = box.temporary("small", ["assume:group:a"])
    assert (result.client_id, result.expires_ms) == ("small", NOW + HOUR)
    assert result.scopes.satisfied("assume:group:a")
    assert box.expansions == []
    assert result.scopes.expanded.scopes == ("assume:anonymous", "assume:group:a", "public", "secrets:get:a")
    assert not result.scopes.satisfied("scope2")


def test_named_temporary_credentials(box):
    """Named ones go by their own name, for which the issuer needs auth:create-client."""
    assert box.temporary("root", ["a"], name="root/tmp").client_id == "root/tmp"
    assert "doesn't have `auth:create-client:mine`" in refused(box.temporary("small", ["scope2"], name="mine"))


def test_temporary_credentials_end_no_later_than_their_issuer(box):
    """A certificate that outlives its issuer ends with the issuer."""
    assert box.temporary("root", ["a"], end=3 * HOUR).expires_ms == NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"start": -2 * HOUR, "end": -5 * MINUTE - 1}, "ext.certificate.expiry < now"),
        ({"start": 5 * MINUTE + 1}, "ext.certificate.start > now"),
        ({"scopes": ["scope3"]}, "doesn't satisfy all certificate scopes scope3"),
        ({"token": "not-its-token"}, "ext.certificate.signature is not valid"),
        ({"scopes": []}, None),
    ],
)
def test_certificates_out_of_place(box, call, message):
    """A certificate out of its time, beyond its issuer's scopes, or by another key is refused."""
    result = box.temporary("small", **{"scopes": ["scope2"], **call})
    assert isinstance(result, Success) if message is None else message in refused(result)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": NOW - 20 * DAY, "expiry": NOW + 11 * DAY + 1}, "cannot last longer than 31 days"),
        ({"signature": "short"}, "ext.certificate.signature is not valid"),
        ({"signature": 3}, "ext.certificate.signature is not valid"),
        ({"expiry": NOW + 2 * HOUR}, "ext.certificate.signature is not valid"),
        ({"version": 2}, "ext.certificate.version must be 1"),
        ({"version": True}, "ext.certificate.version must be 1"),
        ({"version": 1.0}, None),
        ({"seed": 1}, "ext.certificate.seed must be a string"),
        ({"seed": "x" * 43}, "ext.certificate.seed must be 44 characters"),
        ({"start": "now"}, "ext.certificate.start must be a number"),
        ({"expiry": "later"}, "ext.certificate.expiry must be a number"),
        ({"expiry": float(NOW + HOUR)}, None),
        ({"scopes": "all"}, "ext.certificate.scopes must be an array"),
        ({"scopes": ["a\nb"]}, "ext.certificate.scopes must be an array of valid scopes"),
        ({"issuer": "small"}, "ext.certificate.issuer must differ"),
        ({"issuer": 7}, "ext.certificate.issuer must be a string"),
        ({"clientId": "small"}, "ext.certificate.clientId must only be used with ext.certificate.issuer"),
        ({"future": 1}, None),
    ],
)
def test_malformed_certificates(box, changes, message):
    """Each thing that is wrong in a certificate is refused by its name; unknown properties are let be."""
    result = box.temporary("small", ["scope2"], changes=changes)
    assert isinstance(result, Success) if message is None else message in refused(result)


def test_a_named_certificate_serves_its_name_alone(box):
    """Used under another name, the certificate's signature does not fit."""
    assert "or wrong clientId provided" in refused(box.temporary("root", ["a"], name="one", using="another"))


@pytest.mark.parametrize("skewed", [{"start": -HOUR, "end": -5 * MINUTE}, {"start": 5 * MINUTE}])
def test_certificates_bear_five_minutes_of_skew(box, skewed):
    """Five minutes before its start and after its end a certificate is still taken."""
    assert isinstance(box.temporary("root", ["a"], **skewed), Success)


def test_what_can_change_is_looked_at_each_time(box):
    """A certificate once found good fails when its time is over, or its issuer changed, and lives by the issuer's end."""
    made = create("small", "small-token", scopes=["scope2"], start_ms=NOW, expiry_ms=NOW + HOUR)
    ext = make_ext(made.certificate)

    def again(now=NOW):
        return box.header("small", made.access_token, ext=ext, now=now, at=now)

    assert isinstance(again(), Success)
    assert isinstance(again(), Success)
    assert "expiry < now" in refused(again(NOW + HOUR + 6 * MINUTE))
    before = box.clients["small"]
    box.clients["small"] = replace(before, expires_ms=NOW + MINUTE)
    assert again().expires_ms == NOW + MINUTE
    box.clients["small"] = replace(before, scopes=ScopeSet(["other"]))
    assert "doesn't satisfy" in refused(again())
    box.clients["small"] = replace(before, access_token="renewed")
    assert "signature is not valid" in refused(again())
    box.clients["small"] = replace(before, disabled=True)
    assert "is disabled" in refused(again())
    box.clients["small"] = before
    assert again().expires_ms == NOW + HOUR


def test_authorized_scopes(box):
    """A request may rely on fewer scopes than its credentials have, among them what their roles and `anonymous` give."""
    for authorized in (["scope2"], ["public"], ["secrets:get:a"]):
        result = box.temporary("small", ["scope2", "assume:group:a"], authorized=authorized)
        assert set(result.scopes.expanded) == {*authorized, "assume:anonymous", "public"}
    assert list(box.header("root", "root-token", ext=make_ext(None, [])).scopes.expanded) == ["assume:anonymous", "public"]


def test_authorized_scopes_that_are_not_there(box):
    """Scopes that the credentials do not have cannot be authorized; both lists are told to who has the key."""
    message = refused(box.header("small", "small-token", ext=make_ext(None, ["scope3"])))
    assert "do not satisfy authorizedScopes" in message
    assert "scope2" in message
    assert "scope2" not in refused(box.header("small", "guessed", ext=make_ext(None, ["scope3"])))


@pytest.mark.parametrize(
    ("ext", "message"),
    [
        (b"not json", "Failed to parse ext"),
        (b"null", "Failed to parse ext"),
        (b'{"certificate": true}', "ext.certificate must be a JSON object"),
        (b'{"authorizedScopes": "a"}', "ext.authorizedScopes must be an array"),
        (b'{"authorizedScopes": ["\\n"]}', "ext.authorizedScopes must be an array of valid scopes"),
        (b'{"certificate": null, "authorizedScopes": null, "future": 1}', None),
    ],
)
def test_ext(box, ext, message):
    """A malformed ext is refused; one with nothing known in it changes nothing."""
    result = box.header("root", "root-token", ext=base64.b64encode(ext).decode())
    assert isinstance(result, Success) if message is None else message in refused(result)


def signed_url(box, *, method="get", now=NOW, token="root-token", ext="", client_id="root"):
    code = bewit.make(client_id, token, url=URL, expires_ms=NOW + HOUR, ext=ext)
    return box.validator.validate(SignedRequest(method, f"/api/x/v1/y?z=1&bewit={code}", "tc.example", 443), now)


def test_bewits(box):
    """A signed URL may be got and headed until its end, with what its ext leaves of the scopes."""
    result = signed_url(box, ext=make_ext(None, ["a"]))
    assert (result.scheme, result.client_id, result.hash) == ("bewit", "root", None)
    assert set(result.scopes.expanded) == {"a", "assume:anonymous", "public"}
    assert isinstance(signed_url(box, method="head"), Success)
    assert "Invalid method" in refused(signed_url(box, method="post"))
    assert "Access expired" in refused(signed_url(box, now=NOW + HOUR))
    assert "Bad mac" in refused(signed_url(box, token="other"))
    assert "not found" in refused(signed_url(box, client_id="who"))


def test_bewits_by_temporary_credentials(box):
    """Named temporary credentials sign URLs too."""
    made = create("root", "root-token", scopes=["a"], start_ms=NOW, expiry_ms=NOW + HOUR, name="root/url")
    assert signed_url(box, client_id="root/url", token=made.access_token, ext=make_ext(made.certificate)).client_id == "root/url"


@pytest.mark.parametrize("name", [None, "root/named"])
def test_credentials_made_by_the_python_client(box, name):
    """What taskcluster.createTemporaryCredentials makes is taken, and makes what is made here."""
    start = datetime.datetime.fromtimestamp(NOW / 1000, datetime.UTC)
    theirs = taskcluster.createTemporaryCredentials("root", "root-token", start, start + datetime.timedelta(hours=1), ["a", "b*"], name)
    token = theirs["accessToken"].decode()
    content = json.loads(theirs["certificate"])
    certificate = temporary.parse_certificate(content)
    client_id = theirs["clientId"]
    assert temporary.signature(certificate, client_id, "root-token") == content["signature"]
    assert temporary.derived_token("root-token", content["seed"]) == token
    result = box.header(client_id, token, ext=make_ext(theirs["certificate"]))
    assert result.client_id == (name or "root")
    assert result.scopes.satisfied("b:c")


def test_impossible_credentials_are_not_made():
    """Credentials that no server would take are refused where they would be made."""
    with pytest.raises(CertificateError, match="31 days"):
        create("root", "t", scopes=[], start_ms=NOW, expiry_ms=NOW + 31 * DAY + 1)
    with pytest.raises(CertificateError, match="printable ASCII"):
        create("root", "t", scopes=["a\nb"], start_ms=NOW, expiry_ms=NOW + 1)
    with pytest.raises(CertificateError, match="must differ"):
        create("root", "t", scopes=[], start_ms=NOW, expiry_ms=NOW + 1, name="root")


def test_few_certificates_are_remembered():
    """The memory of certificates is bounded, and forgetting one does no harm."""
    box = Box()
    box.validator = SignatureValidator(box.clients.get, box.expand, remembered=2)
    made = [create("root", "root-token", scopes=[f"s{n}"], start_ms=NOW, expiry_ms=NOW + HOUR) for n in range(5)]
    for one in [*made, *made]:
        assert isinstance(box.header("root", one.access_token, ext=make_ext(one.certificate)), Success)
