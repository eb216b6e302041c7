"""Artifacts of every storage type: created, replaced where that is allowed, and found again, on both engines."""

from __future__ import annotations

from typing import Any

import pytest

from tcbox import clock as clocks
from tests.support import queue as support
from tests.support.databases import database  # noqa: F401
from tests.support.queue import Queue, clock, queue  # noqa: F401

migrations = support.MIGRATIONS


async def running(queue: Queue) -> str:
    task_id = await queue.create(projectId="p1")
    await queue.call("claimTask", task_id, "0", payload=support.WORKER)
    await queue.events()
    return task_id


def request(queue: Queue, kind: str, hours: int = 5, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"storageType": kind, "expires": clocks.to_wire(queue.clock.now() + hours * clocks.HOUR)}
    base |= {
        "s3": {"contentType": "text/plain"},
        "object": {"contentType": "text/plain"},
        "link": {"artifact": "public/target"},
        "reference": {"contentType": "text/html", "url": "https://example.com/x"},
        "error": {"reason": "file-missing-on-worker", "message": "not there"},
    }[kind]
    return base | more


async def create(queue: Queue, task_id: str, name: str, payload: dict[str, Any]) -> Any:
    return await queue.call("createArtifact", task_id, "0", name, payload=payload)


async def test_s3_artifacts_get_signed_urls(queue: Queue) -> None:
    """The reply has a URL to PUT to; a GET is redirected to another; no message is sent."""
    task_id = await running(queue)
    payload = request(queue, "s3", contentLength=12)
    reply = await create(queue, task_id, "public/a.txt", payload)
    assert reply["putUrl"] == f"https://blobs.example/put/{task_id}/0/public/a.txt?type=text/plain"
    assert (await create(queue, task_id, "public/a.txt", payload))["putUrl"] == reply["putUrl"]
    assert await queue.events() == []
    found = await queue.reply("getArtifact", task_id, "0", "public/a.txt")
    url = f"https://blobs.example/get/{task_id}/0/public/a.txt"
    assert (found.status, found.headers["location"], found.body) == (303, url, {"storageType": "s3", "url": url})
    assert found.headers["x-taskcluster-artifact-storage-type"] == "s3"
    assert await queue.call("latestArtifact", task_id, "public/a.txt") == {"storageType": "s3", "url": url}
    info = await queue.call("artifactInfo", task_id, "0", "public/a.txt")
    assert (info["contentType"], info["contentLength"], info["storageType"]) == ("text/plain", 12, "s3")


async def test_object_artifacts_are_there_once_they_are_finished(queue: Queue) -> None:
    """The upload is announced to the object service; only after finishArtifact can the artifact be had."""
    task_id = await running(queue)
    payload = request(queue, "object")
    reply = await create(queue, task_id, "public/o", payload)
    name = f"t/{task_id}/0/public/o"
    assert (reply["name"], reply["projectId"]) == (name, "p1")
    assert queue.objects.uploads[name]["uploadId"] == reply["uploadId"]
    assert reply["credentials"]["clientId"] == f"artifact-upload/{task_id}/0/on/group/worker"
    assert (await queue.refused("getArtifact", task_id, "0", "public/o")).status == 404
    finish = {"uploadId": reply["uploadId"]}
    assert (await queue.refused("finishArtifact", task_id, "0", "public/o", payload=finish)).code == "InputError"
    queue.objects.finished.add(name)
    assert (await queue.refused("finishArtifact", task_id, "0", "public/o", payload={"uploadId": task_id})).code == "InputError"
    assert await queue.call("finishArtifact", task_id, "0", "public/o", payload=finish) is None
    assert await queue.call("finishArtifact", task_id, "0", "public/o", payload=finish) is None
    assert await queue.exchanges() == ["artifact-created"]
    found = await queue.reply("getArtifact", task_id, "0", "public/o")
    assert (found.status, found.headers["location"]) == (303, f"https://objects.example/{name}")
    content = await queue.call("artifact", task_id, "0", "public/o")
    assert (content["storageType"], content["name"]) == ("object", name)
    assert f'"object:download:{name}"' in content["credentials"]["certificate"]
    error = await queue.refused("createArtifact", task_id, "0", "public/o", payload=payload)
    assert (error.status, "Artifact already exists: the upload of public/o is finished" in str(error)) == (409, True)


async def test_an_object_artifact_is_created_again_until_it_is_finished(queue: Queue) -> None:
    """The repeated call goes on with the upload that was begun; one with other properties is a conflict, and begins no other."""
    task_id = await running(queue)
    payload = request(queue, "object", contentLength=3)
    first = await create(queue, task_id, "public/o", payload)
    queue.clock.advance(clocks.MINUTE)
    again = await create(queue, task_id, "public/o", payload)
    assert {**again, "credentials": None} == {**first, "credentials": None}
    for change in ({"contentType": "text/html"}, {"contentLength": 4}, {"expires": clocks.to_wire(queue.clock.now() + clocks.HOUR)}):
        error = await queue.refused("createArtifact", task_id, "0", "public/o", payload={**payload, **change})
        assert (error.status, "Artifact already exists" in error.message) == (409, True)
    await create(queue, task_id, "public/r", request(queue, "reference"))
    assert (await queue.refused("createArtifact", task_id, "0", "public/r", payload=payload)).status == 409
    assert [upload["uploadId"] for upload in queue.objects.uploads.values()] == [first["uploadId"]]
    queue.objects.uploads[f"t/{task_id}/0/public/taken"] = {"uploadId": "another"}
    error = await queue.refused("createArtifact", task_id, "0", "public/taken", payload=payload)
    assert (error.status, "public/taken belongs to another upload" in str(error)) == (409, True)


async def test_references_and_errors_are_told_as_they_are(queue: Queue) -> None:
    """A reference redirects to its URL; an error artifact answers 424 with the reason."""
    task_id = await running(queue)
    await create(queue, task_id, "r", request(queue, "reference"))
    await create(queue, task_id, "e", request(queue, "error"))
    assert await queue.exchanges() == ["artifact-created"] * 2
    assert (await queue.reply("getLatestArtifact", task_id, "r")).headers["location"] == "https://example.com/x"
    found = await queue.reply("getArtifact", task_id, "0", "e")
    assert (found.status, found.body) == (424, {"reason": "file-missing-on-worker", "message": "not there"})
    assert await queue.call("latestArtifact", task_id, "e") == {"storageType": "error", **found.body}
    error = await queue.refused("finishArtifact", task_id, "0", "r", payload={"uploadId": task_id})
    assert error.code == "InputError"


async def test_links_are_followed_with_scopes_for_each_name(queue: Queue) -> None:
    """A chain of links leads to its end for who may see each part; a circle is refused."""
    task_id = await running(queue)
    await create(queue, task_id, "public/target", request(queue, "reference"))
    await create(queue, task_id, "public/mid", request(queue, "link"))
    await create(queue, task_id, "secret/link", request(queue, "link", artifact="public/mid"))
    await create(queue, task_id, "public/loop", request(queue, "link", artifact="public/loop2"))
    await create(queue, task_id, "public/loop2", request(queue, "link", artifact="public/loop"))
    both = ["queue:get-artifact:public/*", "queue:get-artifact:secret/link"]
    assert (await queue.reply("getArtifact", task_id, "0", "secret/link", scopes=both)).headers["location"] == "https://example.com/x"
    assert (await queue.refused("getArtifact", task_id, "0", "secret/link", scopes=both[1:])).status == 403
    assert (await queue.refused("getArtifact", task_id, "0", "secret/link", scopes=both[:1])).status == 403
    assert "cycle" in (await queue.refused("artifact", task_id, "0", "public/loop")).message
    assert (await queue.call("artifactInfo", task_id, "0", "secret/link"))["storageType"] == "link"


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        (("reference", {}), ("reference", {"url": "https://example.com/y"}), True),
        (("reference", {}), ("link", {}), True),
        (("reference", {}), ("reference", {"contentType": "text/css"}), False),
        (("reference", {}), ("error", {}), False),
        (("link", {}), ("link", {"artifact": "other"}), False),
        (("link", {}), ("reference", {}), False),
        (("s3", {}), ("s3", {"hours": 6}), True),
        (("s3", {}), ("s3", {"hours": 4}), False),
        (("s3", {}), ("s3", {"contentType": "text/css"}), False),
        (("error", {}), ("error", {"message": "other"}), False),
    ],
)
async def test_only_some_artifacts_can_be_replaced(queue: Queue, first: Any, second: Any, allowed: bool) -> None:
    """References can become other references or links, and any artifact may live longer; all else is a conflict."""
    task_id = await running(queue)
    await create(queue, task_id, "a", request(queue, first[0], **first[1]))
    payload = request(queue, second[0], **second[1])
    if allowed:
        await create(queue, task_id, "a", payload)
        assert (await queue.call("artifactInfo", task_id, "0", "a"))["expires"] == payload["expires"]
    else:
        assert (await queue.refused("createArtifact", task_id, "0", "a", payload=payload)).code == "RequestConflict"


async def test_artifacts_belong_to_a_run_that_is_under_way(queue: Queue) -> None:
    """Not before the claim, not after the end, but for 25 minutes after an exception; never past the task's expiry."""
    task_id = await queue.create()
    payload = request(queue, "reference")
    assert (await queue.refused("createArtifact", task_id, "0", "a", payload=payload)).code == "InputError"
    assert (await queue.refused("createArtifact", task_id, "3", "a", payload=payload)).code == "InputError"
    await queue.call("claimTask", task_id, "0", payload=support.WORKER)
    for hours in (-1, 49):
        error = await queue.refused("createArtifact", task_id, "0", "a", payload=request(queue, "reference", hours=hours))
        assert error.code == "InputError"
    await queue.call("reportException", task_id, "0", payload={"reason": "internal-error"})
    queue.clock.advance(24 * clocks.MINUTE)
    await create(queue, task_id, "late", payload)
    queue.clock.advance(2 * clocks.MINUTE)
    assert (await queue.refused("createArtifact", task_id, "0", "too-late", payload=payload)).status == 409
    other = await queue.create()
    await queue.run(other)
    assert (await queue.refused("createArtifact", other, "0", "a", payload=payload)).status == 409


async def test_artifacts_are_listed_by_name_in_pages(queue: Queue) -> None:
    """listArtifacts and listLatestArtifacts give all of a run's artifacts in order."""
    task_id = await running(queue)
    for name in ("c", "a", "b"):
        await create(queue, task_id, name, request(queue, "reference"))
    page = await queue.call("listArtifacts", task_id, "0", query={"limit": "2"})
    rest = await queue.call("listLatestArtifacts", task_id, query={"continuationToken": page["continuationToken"]})
    assert [item["name"] for item in page["artifacts"] + rest["artifacts"]] == ["a", "b", "c"]
