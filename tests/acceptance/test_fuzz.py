"""Every published method, called with odd parameters and with bodies right, nearly right and broken, answers as it should."""

from __future__ import annotations

import copy
import http.client
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support import shared
from tests.support.box import Box
from tcbox import ids
from tcbox.credentials import hawk

pytestmark = pytest.mark.contract

SERVICES = ("auth", "queue", "secrets", "object", "index", "purge-cache", "notify", "hooks", "worker-manager", "web-server", "github")
EXAMPLES = 5 if shared.WANTED else 20
"""Calls of each method by each kind of caller; a cluster is sent fewer, for what it does with them one box has shown."""
CONFIG = """
log: {level: warning}
workers:
  docker: {enabled: false}
  host: {enabled: false}
  builtin: {enabled: false}
"""
ODD = (
    "a", "a/b", "..", "../../x", "%", "%00", "\0", "é", "\u2028", " ", "\n", "\\", '"', "<script>", "{}", "-1", "0", "007", "9" * 25, "9" * 5000, "1e9",
    "x" * 3000, "static/taskcluster/root", "anonymous", "hook-id:*", "*", "**", "public/a.txt", "constructor", "true", "null", "read-only", "client", "proj-x",
)  # fmt: skip
TOKENS = (
    "",
    "x",
    "W10",
    "WzFd",
    "WyJhIl0",
    "Wy0xXQ",
    "WzE4NDQ2NzQ0MDczNzA5NTUxNjE2XQ",
    "WzEsMTg0NDY3NDQwNzM3MDk1NTE2MTZd",
    "WyJcdTAwMDAiXQ",
    "W1tbW1s" * 500,
    "é",
    "=",
)
NUMBERS = ("0", "1", "1000", "-1", "1.5", "", "x", "9" * 15, "9" * 400, "9" * 5000)
RAW = (
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"a":"\\ud800"}', b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b"[" * 200_000, b"[" * 240 + b"]" * 240,
    b"[" * 900 + b"]" * 900, b'{"x":' * 500 + b"1" + b"}" * 500, b'{"a":1,"a":2}', b"\xef\xbb\xbf{}", b'{"\\u0000":"\\u0000"}', b"NaN",
)  # fmt: skip


def stamp(seconds: float) -> str:
    """A time so far from now, as the API writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Api:
    """A running instance, asked over HTTP, and what it publishes of itself."""

    def __init__(self, box: Box) -> None:
        self.root_url = box.root_url
        at = urlsplit(box.root_url)
        self.address = str(at.hostname), at.port or 80
        self.credentials = box.info["credentials"]
        self._connection: http.client.HTTPConnection | None = None
        self._resolved: dict[str, Any] = {}
        self.methods = {name: [entry for entry in self.get(f"/references/{name}/v1/api.json")["entries"] if entry["type"] == "function"] for name in SERVICES}

    def get(self, path: str) -> Any:
        return json.loads(self.send("GET", path, None, {})[1])

    def send(self, verb: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float = 30) -> tuple[int, bytes]:
        connection = self._connection or http.client.HTTPConnection(*self.address)
        connection.timeout, self._connection = seconds, None
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        try:
            connection.request(verb, path, body, headers)
            reply = connection.getresponse()
            answer = reply.status, reply.read()
        except BaseException:
            connection.close()
            raise
        if reply.will_close:
            connection.close()
        else:
            self._connection = connection
        return answer

    def call(self, verb: str, path: str, body: bytes | None = None, *, signed: bool = True, kind: str | None = "application/json") -> tuple[int, bytes]:
        headers = {} if body is None or kind is None else {"Content-Type": kind}
        if signed:
            url = f"{self.root_url}{path}"
            headers["Authorization"] = hawk.sign_header(
                self.credentials["clientId"], self.credentials["accessToken"], method=verb, url=url, now_ms=int(time.time() * 1000)
            )
        patient = "/claim-work/" in path
        try:
            return self.send(verb, path, body, headers, 0.2 if patient else 30)
        except TimeoutError:
            if patient:
                return 200, b"{}"
            raise

    def made(self, verb: str, path: str, body: Any = None) -> Any:
        status, answer = self.call(verb, path, None if body is None else json.dumps(body).encode())
        assert status < 300, answer
        return json.loads(answer) if answer else None

    def schema(self, service: str, name: str) -> Any:
        """A published schema with all references filled in."""
        return self._inlined(f"/schemas/{service}/{name.removesuffix('#')}")

    def _inlined(self, path: str) -> Any:
        if path not in self._resolved:
            document = self.get(path)
            self._resolved[path] = {key: self._fill(value, path, document) for key, value in document.items() if key not in ("$id", "$schema")}
        return self._resolved[path]

    def _fill(self, value: Any, base: str, document: Any) -> Any:
        if isinstance(value, list):
            return [self._fill(each, base, document) for each in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("$ref"), str):
            place, _, pointer = value["$ref"].partition("#")
            found = document if not place else self._inlined(place if place.startswith("/") else f"{base.rpartition('/')[0]}/{place}")
            for part in filter(None, pointer.split("/")):
                found = found[part]
            return self._fill(found, base, document) if not place else found
        return {key: self._fill(each, base, document) for key, each in value.items() if key not in ("format", "default", "description", "title")}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """An instance with one of each thing."""
    box = Box(Path(tmp_path_factory.mktemp("fuzz")), CONFIG).start()
    try:
        api = Api(box)
        api.known = plant(api)
        yield api
        assert box.alive(), box.log_tail()
    finally:
        box.stop()


def plant(api: Api) -> dict[str, tuple[str, ...]]:
    """Make one of each thing; the values of parameters that lead to them."""
    task, running = ids.slugid(), ids.slugid()
    definition = {
        "taskQueueId": "prov/wt", "created": stamp(0), "deadline": stamp(3600), "payload": {},
        "metadata": {"name": "n", "description": "d", "owner": "a@example.com", "source": "https://example.com/"},
    }  # fmt: skip
    for each in (task, running):
        api.made("PUT", f"/api/queue/v1/task/{each}", definition)
    api.made("POST", f"/api/queue/v1/task/{running}/runs/0/claim", {"workerGroup": "wg", "workerId": "w"})
    reference = {"storageType": "reference", "url": "https://example.com/", "expires": stamp(3600), "contentType": "text/html"}
    api.made("POST", f"/api/queue/v1/task/{running}/runs/0/artifacts/public%2Fa.txt", reference)
    api.made("PUT", "/api/secrets/v1/secret/s", {"secret": {}, "expires": stamp(3600)})
    api.made("PUT", "/api/auth/v1/clients/c", {"expires": stamp(3600), "description": ""})
    api.made("PUT", "/api/auth/v1/roles/r", {"scopes": ["x:*"], "description": ""})
    upload = {"projectId": "p", "uploadId": ids.slugid(), "expires": stamp(3600), "hashes": {}}
    inline = {"dataInline": {"contentType": "text/plain", "objectData": "eHh4"}}
    api.made("PUT", "/api/object/v1/upload/o", {**upload, "proposedUploadMethods": inline})
    api.made("POST", "/api/object/v1/finish-upload/o", {"projectId": "p", "uploadId": upload["uploadId"]})
    entry = {"taskId": running, "rank": 1, "data": {}, "expires": stamp(3600)}
    api.made("PUT", "/api/index/v1/task/a.b.c", entry)
    api.made("POST", "/api/purge-cache/v1/purge-cache/prov/wt", {"cacheName": "c"})
    metadata = {"name": "n", "description": "d", "owner": "a@example.com", "emailOnError": False}
    bindings = [{"exchange": "exchange/taskcluster-queue/v1/task-failed", "routingKeyPattern": "#"}]
    api.made("PUT", "/api/hooks/v1/hooks/hg/hk", {"metadata": metadata, "task": {"$if": "false", "then": {}}, "bindings": bindings, "triggerSchema": {}})
    api.made("PUT", "/api/hooks/v1/hooks/hg/broken", {"metadata": metadata, "task": {"$eval": "payload.x"}, "triggerSchema": {}})
    token = api.made("GET", "/api/hooks/v1/hooks/hg/hk/token")["token"]
    pool = {"providerId": "static", "description": "", "owner": "a@example.com", "emailOnError": False, "config": {}}
    api.made("PUT", "/api/worker-manager/v1/worker-pool/prov%2Fwt", pool)
    api.made("PUT", "/api/worker-manager/v1/workers/prov%2Fwt/wg/w", {"expires": stamp(3600), "providerInfo": {"staticSecret": "s" * 44}})
    return {
        "hookGroupId": ("hg",), "hookId": ("hk", "broken", "a/b"), "token": (token, "x"),
        "taskId": (task, running), "taskGroupId": (task, running), "runId": ("0", "1"), "taskQueueId": ("prov/wt", "prov/other"), "name": ("public/a.txt", "s", "o"),
        "provisionerId": ("prov",), "workerType": ("wt",), "workerGroup": ("wg",), "workerId": ("w",), "clientId": ("c", "static/taskcluster/root"),
        "roleId": ("r", "anonymous"), "entityType": ("client",), "entityId": ("c",), "level": ("read-only", "read-write"), "project": ("p",),
        "namespace": ("a.b", "a.b.c", "a"), "indexPath": ("a.b.c",), "workerPoolId": ("prov/wt", "prov/other"),
    }  # fmt: skip


LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(ODD)
)
JSON = st.recursive(
    LEAF, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), below, max_size=3), max_leaves=6
)
TIME = st.sampled_from(
    (stamp(1), stamp(3000), stamp(86400 * 300), stamp(-86400), "2030-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0000-00-00T00:00:00Z", "x")
)


def fitting(schema: Any) -> st.SearchStrategy[Any]:
    """Values that fit a schema, but for formats and rules between properties."""
    if not isinstance(schema, dict):
        return JSON
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    for several in ("oneOf", "anyOf"):
        if several in schema:
            own = {key: value for key, value in schema.items() if key != several}
            return st.sampled_from(schema[several]).flatmap(lambda branch: fitting({**own, **branch}))
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.sampled_from(kind).flatmap(lambda one: fitting({**schema, "type": one}))
    if kind == "object":
        return st.builds(
            dict.__or__, fitting_properties(schema), st.dictionaries(st.text(max_size=5), LEAF, max_size=1) if "properties" not in schema else st.just({})
        )
    if kind == "array":
        return st.lists(fitting(schema.get("items")), min_size=schema.get("minItems", 0), max_size=max(3, schema.get("minItems", 0)))
    if kind == "string":
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True).map(lambda text: text[: schema.get("maxLength")])
        most = min(schema.get("maxLength", 20), 20)
        return st.text(st.characters(codec="utf-8"), min_size=min(schema.get("minLength", 0), most), max_size=most) | st.sampled_from(ODD)
    if kind in ("integer", "number"):
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    return {"boolean": st.booleans(), "null": st.none()}.get(kind, JSON)


def fitting_properties(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with all required properties, and some of the others."""
    own = {name: fitting(value) for name, value in schema.get("properties", {}).items()}
    required = {name: own.pop(name, JSON) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=own)


@st.composite
def bodies(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """A body that fits its schema but for times, mostly; or one with something changed in it; or one that is no JSON."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(RAW))
    value = copy.deepcopy(draw(values))
    if isinstance(value, dict):
        for name in ("expires", "created", "deadline", "quarantineUntil"):
            if name in value:
                value[name] = stamp(5) if name == "created" else draw(TIME)
        for _ in range(draw(st.integers(0, 2))):
            key = draw(st.sampled_from([*value, "more"]))
            if draw(st.booleans()):
                value.pop(key, None)
            else:
                value[key] = draw(JSON)
    return json.dumps(value).encode()


@st.composite
def paths(draw: st.DrawFn, service: str, entry: dict[str, Any], known: dict[str, tuple[str, ...]]) -> str:
    """The path of a method, its parameters sensible or odd."""
    path = entry["route"]
    for name in entry["args"]:
        value = draw(
            st.sampled_from(known.get(name, ODD)) if draw(st.integers(0, 3)) else st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), min_size=1)
        )
        path = path.replace(f"<{name}>", quote(value, safe="" if draw(st.booleans()) else "/%!*"))
    query = {}
    for name in entry.get("query", []):
        if draw(st.booleans()):
            query[name] = draw(st.sampled_from({"limit": NUMBERS, "continuationToken": TOKENS}.get(name, ODD)))
    if draw(st.integers(0, 15)) == 0:
        query[draw(st.sampled_from(("bewit", "more", "limit")))] = draw(st.sampled_from(ODD))
    return f"/api/{service}/v1{path}" + (f"?{urlencode(query)}" if query else "")


def check(status: int, answer: bytes) -> None:
    """An answer is no failure of the server, and if it is a refusal, one of the published form."""
    text = answer.decode()
    assert status < 500, text
    assert "Traceback" not in text
    assert 'File \\"' not in text
    if status < 400:
        return
    body = json.loads(text)
    if status == 424 and "code" not in body:  # an artifact that stands for an error
        return
    assert set(body) == {"code", "message", "requestInfo"}, text
    assert body["code"].isalpha()
    assert body["message"]
    assert {"method", "params", "payload", "time"} == set(body["requestInfo"])


@pytest.mark.slow
@pytest.mark.parametrize("signed", [True, False], ids=["root", "nobody"])
@pytest.mark.parametrize("service", SERVICES)
def test_whatever_is_sent_is_answered_in_the_published_form(api: Api, service: str, signed: bool) -> None:
    """No method answers 5xx, shows a traceback, or refuses in another form than the published one, whatever is sent to it."""
    faults = []
    for entry in api.methods[service]:
        try:
            try_out(api, service, entry, signed=signed)
        except AssertionError as fault:
            faults.append(fault)
    if faults:
        raise ExceptionGroup(f"{len(faults)} methods of {service} fail", faults)


def try_out(api: Api, service: str, entry: dict[str, Any], *, signed: bool) -> None:
    values = fitting(api.schema(service, entry["input"])) if entry.get("input") else JSON
    body = bodies(values) if entry["method"] != "get" else st.none() | bodies(JSON)
    kinds = st.sampled_from(("application/json",) * 6 + ("application/json; charset=utf-8", "text/plain", "", None))

    @seed(77)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(path=paths(service, entry, api.known), body=body, kind=kinds)
    def one(path: str, body: bytes | None, kind: str | None) -> None:
        status, answer = api.call(entry["method"].upper(), path, body, signed=signed, kind=kind)
        check(status, answer)

    one()


HEADS = (
    b"GET /instance/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n",
    b"GET /blobs/a%0Aexpires=1?method=GET&sig=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /blobs/a?expires=x&method=GET&sig= HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /blobs/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
    b"GET /ui/%00.js HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /ui/..%2f__init__.py HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /schemas/queue/v1/..%2f..%2f..%2fmodel.json HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /references/%00/v1/api.json HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /live/x/live.log HTTP/1.1\r\nHost: x\r\n\r\n",
    b'GET /api/auth/v1/ping HTTP/1.1\r\nHost: \xff\r\nAuthorization: Hawk id="\xff"\r\n\r\n',
    b"GET /api/auth/v1/clients/%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/auth/v1/scopes/expand HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}{}{}",
    b"POST /api/auth/v1/scopes/expand HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/auth/v1/scopes/expand HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
)


@pytest.mark.parametrize("raw", HEADS, ids=range(len(HEADS)))
def test_odd_requests_outside_of_the_api_are_refused(api: Api, raw: bytes) -> None:
    """What no client would send is refused with a 4xx, or answered, but is no failure of the server."""
    import socket

    with socket.create_connection(api.address, timeout=10) as connection:
        connection.sendall(raw)
        first = connection.recv(65536)
    assert 200 <= int(first.split(b" ", 2)[1]) < 500, first
    assert b"Traceback" not in first
