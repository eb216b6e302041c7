"""Whoever lacks a method's scopes is refused before anything has changed, whatever the method."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tcbox import ids
from tcbox.credentials import hawk, temporary
from tests.support.box import Box

QUIET = "log: {level: warning}\nworkers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n"
SERVICES = ("auth", "queue", "secrets", "object", "index", "purge-cache")


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Instance:
    """An instance in a process of its own, with one of each thing, and a client that has no scopes."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.root = (box.info["credentials"]["clientId"], box.info["credentials"]["accessToken"])
        self.task, self.running, self.upload = ids.slugid(), ids.slugid(), ids.slugid()
        self.methods = {(name, entry["name"]): entry for name in SERVICES for entry in self.published(name) if "scopes" in entry}
        self.plant()
        made = self.must("PUT", "/auth/v1/clients/nobody", {"expires": at(3600), "description": "", "scopes": []})
        self.nobody = ("nobody", made["accessToken"])
        self.must("POST", "/auth/v1/roles/anonymous", {"description": "", "scopes": []})

    def call(self, verb: str, path: str, body: Any, who: tuple[str, str] | None, ext: str = "") -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.box.port, timeout=30)
        url = f"http://127.0.0.1:{self.box.port}/api{path}"
        headers = {} if body is None else {"Content-Type": "application/json"}
        if who is not None:
            headers["Authorization"] = hawk.sign_header(*who, method=verb, url=url, now_ms=int(time.time() * 1000), ext=ext)
        connection.request(verb, f"/api{path}", None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        answer = reply.read()
        connection.close()
        return reply.status, json.loads(answer) if answer else None

    def published(self, service: str) -> list[dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.box.port, timeout=30)
        connection.request("GET", f"/references/{service}/v1/api.json")
        entries = json.loads(connection.getresponse().read())["entries"]
        connection.close()
        return entries

    def must(self, verb: str, path: str, body: Any = None) -> Any:
        status, answer = self.call(verb, path, body, self.root)
        assert status < 300, answer
        return answer

    def definition(self) -> dict[str, Any]:
        metadata = {"name": "n", "description": "d", "owner": "a@example.com", "source": "https://example.com/"}
        return {"taskQueueId": "prov/wt", "created": at(0), "deadline": at(3600), "payload": {}, "metadata": metadata, "scopes": ["a"], "routes": ["r"]}

    def plant(self) -> None:
        for task in (self.task, self.running):
            self.must("PUT", f"/queue/v1/task/{task}", self.definition())
        self.must("POST", f"/queue/v1/task/{self.running}/runs/0/claim", {"workerGroup": "wg", "workerId": "w"})
        reference = {"storageType": "reference", "url": "https://example.com/", "expires": at(3600), "contentType": "text/plain"}
        self.must("POST", f"/queue/v1/task/{self.running}/runs/0/artifacts/private%2Fx", reference)
        self.must("POST", f"/queue/v1/task-group/{self.task}/seal")
        self.must("PUT", "/secrets/v1/secret/private%2Fx", {"secret": {}, "expires": at(3600)})
        self.must("PUT", "/auth/v1/clients/c", {"expires": at(3600), "description": "", "scopes": ["a"]})
        self.must("PUT", "/auth/v1/roles/r", {"scopes": ["x:*"], "description": ""})
        inline = {"dataInline": {"contentType": "text/plain", "objectData": "eHh4"}}
        upload = {"projectId": "p", "uploadId": self.upload}
        self.must("PUT", "/object/v1/upload/private%2Fx", {**upload, "expires": at(3600), "proposedUploadMethods": inline})
        self.must("POST", "/object/v1/finish-upload/private%2Fx", upload)
        self.must("PUT", "/index/v1/task/a.b", {"taskId": self.running, "rank": 1, "data": {}, "expires": at(3600)})

    def parameters(self, name: str) -> dict[str, str]:
        """Values of route parameters that lead to what is there."""
        return {
            "taskId": self.task if name in ("scheduleTask", "cancelTask", "createTask", "changeTaskPriority", "claimTask") else self.running,
            "taskGroupId": self.task, "runId": "0", "taskQueueId": "prov/wt", "name": "private/x", "provisionerId": "prov", "workerType": "wt",
            "workerGroup": "wg", "workerId": "w", "clientId": "c", "roleId": "r", "entityType": "client", "entityId": "c", "level": "read-write",
            "bucket": "bucket", "prefix": "p", "project": "p", "projectId": "p", "serviceAccount": "a@b.c", "wstAudience": "a", "wstClient": "c",
            "appName": "app", "owner": "owner", "namespace": "a.b", "indexPath": "a.b", "workerPoolId": "prov/wt",
        }  # fmt: skip

    def bodies(self, name: str) -> Any:
        """Bodies that fit the schemas, and would change something."""
        worker = {"workerGroup": "wg", "workerId": "w"}
        upload = {"projectId": "p", "uploadId": self.upload}
        inline = {"dataInline": {"contentType": "text/plain", "objectData": "eHh4"}}
        return {
            "createTask": self.definition(),
            "claimWork": {**worker, "tasks": 1},
            "claimTask": worker,
            "reportException": {"reason": "internal-error"},
            "createArtifact": {"storageType": "link", "artifact": "private/x", "expires": at(3000), "contentType": "text/plain"},
            "finishArtifact": {"uploadId": self.upload},
            "changeTaskPriority": {"newPriority": "highest"},
            "changeTaskGroupPriority": {"newPriority": "highest"},
            "taskQueueCountsBatch": {"taskQueueIds": ["prov/wt"]},
            "statuses": {"taskIds": [self.task]}, "tasks": {"taskIds": [self.task]},
            "declareProvisioner": {"expires": at(3000)}, "declareWorkerType": {"expires": at(3000)}, "declareWorker": {"expires": at(3000)},
            "quarantineWorker": {"quarantineUntil": at(3000), "quarantineInfo": "i"},
            "createClient": {"expires": at(3000), "description": "new"}, "updateClient": {"expires": at(3000), "description": "new", "scopes": ["a", "b"]},
            "createRole": {"description": "new", "scopes": ["b"]}, "updateRole": {"description": "new", "scopes": ["x:*", "b"]},
            "expandScopes": {"scopes": ["a"]}, "githubRepoToken": {"repositories": ["r"], "permissions": {"contents": "read"}},
            "set": {"secret": {"a": 1}, "expires": at(3000)},
            "createUpload": {**upload, "expires": at(3000), "proposedUploadMethods": inline}, "finishUpload": {**upload, "hashes": {"sha256": "0" * 64}},
            "startDownload": {"acceptDownloadMethods": {"simple": True}},
            "insertTask": {"taskId": self.task, "rank": 5, "data": {}, "expires": at(3000)}, "findTasksAtIndex": {"indexes": ["a.b"]},
            "purgeCache": {"cacheName": "c"},
        }.get(name)  # fmt: skip

    def ask(self, service: str, name: str, who: tuple[str, str] | None, ext: str = "") -> tuple[int, Any]:
        entry = self.methods[service, name]
        path, values = entry["route"], self.parameters(name)
        for param in entry["args"]:
            path = path.replace(f"<{param}>", quote(values[param], safe=""))
        return self.call(entry["method"].upper(), f"/{service}/v1{path}", self.bodies(name), who, ext)

    def content(self) -> dict[str, list[Any]]:
        """All that is in the database."""
        with sqlite3.connect(f"file:{self.box.data / 'tcbox.db'}?mode=ro", uri=True) as database:
            tables = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
            return {table: sorted(map(repr, database.execute(f'select * from "{table}"'))) for table in tables}  # noqa: S608 - names from the database itself


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    box = Box(Path(tmp_path_factory.mktemp("scopes")), QUIET).start()
    try:
        yield Instance(box)
    finally:
        box.stop()


def settled(instance: Instance) -> dict[str, list[Any]]:
    """What is in the database once nothing changes any more: sightings and events are written a little later."""
    before = instance.content()
    for _ in range(50):
        time.sleep(0.2)
        now = instance.content()
        if now == before:
            return now
        before = now
    raise AssertionError("the database goes on changing")


def test_without_scopes_every_method_is_refused_and_nothing_changes(instance):
    """A caller without scopes gets 403 InsufficientScopes from every method that has scopes, and the database is as before."""
    assert len(instance.methods) > 75
    before = settled(instance)
    wrong = {}
    for service, name in instance.methods:
        for who in (instance.nobody, None):
            status, answer = instance.ask(service, name, who)
            if (status, (answer or {}).get("code")) != (403, "InsufficientScopes"):
                wrong[service, name, who and who[0]] = (status, answer)
    assert not wrong
    assert differing(before, settled(instance)) == {}


def test_with_wrong_credentials_every_method_is_refused_and_nothing_changes(instance):
    """Whoever signs with a wrong token, or as a client that is not there, gets 401 from every method that has scopes."""
    before = settled(instance)
    wrong = {}
    for service, name in instance.methods:
        for who in ((instance.root[0], "x" * 44), ("missing", "x" * 44)):
            status, answer = instance.ask(service, name, who)
            if (status, (answer or {}).get("code")) != (401, "AuthenticationFailed"):
                wrong[service, name, who[0]] = (status, answer)
    assert not wrong
    assert differing(before, settled(instance)) == {}


def test_authorized_scopes_and_temporary_credentials_hold_back_the_root_client(instance):
    """The root client's own requests and temporary credentials do no more than the scopes that they are limited to."""
    before = settled(instance)
    now = int(time.time() * 1000)
    made = temporary.create(*instance.root, scopes=["other:scope"], start_ms=now - 1000, expiry_ms=now + 60_000)
    limited = (instance.root, temporary.make_ext(None, ["other:scope"]))
    lent = ((made.client_id, made.access_token), temporary.make_ext(made.certificate))
    wrong = {}
    for service, name in instance.methods:
        for who, ext in (limited, lent):
            status, answer = instance.ask(service, name, who, ext)
            if (status, (answer or {}).get("code")) != (403, "InsufficientScopes"):
                wrong[service, name] = (status, answer)
    assert not wrong
    assert differing(before, settled(instance)) == {}


def differing(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> dict[str, Any]:
    """The rows that are not the same, but for the time at which a client was last used."""
    return {table: [row for row in rows if row not in before[table]] for table, rows in after.items() if rows != before[table] and "used" not in table}
