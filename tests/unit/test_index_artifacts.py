"""Artifacts by the index: of the task that a name stands for, redirected to or by a signed URL, and never more than its reader may read."""

import pytest

from tcbox import clock as clocks
from tcbox.credentials import bewit, temporary
from tests.support.databases import database  # noqa: F401
from tests.support.index import MIGRATIONS, ROOT_URL, TOKEN, call, entry, index, made  # noqa: F401
from tests.support.queue import clock, queue  # noqa: F401
from tests.support.service import Caller

migrations = MIGRATIONS


@pytest.fixture
async def artifacts(queue, call, entry):
    """An indexed task with an artifact of each kind."""
    task_id = await queue.create()
    await queue.call("claimTask", task_id, "0", payload={"workerGroup": "g", "workerId": "w"})
    expires = clocks.to_wire(queue.clock.now() + clocks.DAY)
    for name, payload in {
        "public/ref": {"storageType": "reference", "url": "https://elsewhere.example/x%20y"},
        "private/ref": {"storageType": "reference", "url": "https://elsewhere.example/secret"},
        "public/link": {"storageType": "link", "artifact": "public/ref"},
        "public/leak": {"storageType": "link", "artifact": "private/ref"},
        "private/link": {"storageType": "link", "artifact": "private/ref"},
    }.items():
        await queue.call("createArtifact", task_id, "0", name, payload={"contentType": "text/plain", "expires": expires, **payload})
    error = {"storageType": "error", "reason": "file-missing-on-worker", "message": "none", "expires": expires}
    await queue.call("createArtifact", task_id, "0", "public/error", payload=error)
    await call("insertTask", "a.b", payload=entry(taskId=task_id))
    return task_id


async def location(call, name):
    reply = await call("findArtifactFromTask", "a.b", name)
    assert (reply.status, reply.raw.startswith(b"See http")) == (303, True)
    return reply.headers["location"]


async def test_public_artifacts_are_redirected_to_their_bytes(call, artifacts):
    """Who may read an artifact because everybody may is sent straight to its bytes, without a signature, links followed."""
    for scopes in (("*",), ("queue:get-artifact:public/*",)):
        call.scopes = scopes
        assert await location(call, "public/ref") == "https://elsewhere.example/x%20y"
        assert await location(call, "public/link") == "https://elsewhere.example/x%20y"


@pytest.mark.parametrize("name", ["public/error", "public/absent", "public/with space"])
async def test_the_queue_says_what_is_wrong_with_an_artifact(call, artifacts, name):
    """For a public artifact that has no URL the caller is sent to the queue, without a signature."""
    encoded = name.replace("/", "%2F").replace(" ", "%20")
    assert await location(call, name) == f"{ROOT_URL}/api/queue/v1/task/{artifacts}/artifacts/{encoded}"


async def test_private_artifacts_get_a_signed_url(call, artifacts, clock):
    """A private artifact is read by the queue's URL, which is signed for 15 minutes and for no more than the caller's scopes."""
    call.scopes = ("queue:get-artifact:private/r*", "queue:create-task:*")
    url = await location(call, "private/ref")
    plain, _, code = url.partition("?bewit=")
    assert plain == f"{ROOT_URL}/api/queue/v1/task/{artifacts}/artifacts/private%2Fref"
    parsed = bewit.parse(code)
    assert parsed.id == "static/taskcluster/index"
    assert abs(parsed.exp * 1000 - clock.now() - 15 * clocks.MINUTE) < 5000
    certificate = temporary.parse_ext(parsed.ext).certificate
    assert certificate.scopes == ("queue:get-artifact:private/r*",)
    assert bewit.verify(parsed, temporary.derived_token(TOKEN, certificate.seed), resource=plain.removeprefix(ROOT_URL), host="tc.example.com", port=443)


async def test_a_link_opens_nothing_that_its_reader_may_not_read(call, artifacts):
    """A public link to a private artifact leads to a signed URL that only carries the scopes that its reader has."""
    call.scopes = ("queue:get-artifact:public/*",)
    certificate = temporary.parse_ext(bewit.parse((await location(call, "public/leak")).partition("?bewit=")[2]).ext).certificate
    assert certificate.scopes == ("queue:get-artifact:public/*",)


async def test_a_caller_with_very_many_scopes_still_gets_a_url(call, artifacts):
    """The URL does not grow with the caller's scopes beyond what servers take."""
    call.scopes = tuple(f"queue:get-artifact:private/{number}{'x' * 50}" for number in range(500)) + ("queue:get-artifact:private/ref",)
    url = await location(call, "private/ref")
    assert len(url) < 2500
    assert temporary.parse_ext(bewit.parse(url.partition("?bewit=")[2]).ext).certificate.scopes == ("queue:get-artifact:private/ref",)


async def test_whether_an_artifact_is_public_is_asked_each_time(queue, artifacts, clock):
    """When nobody may read an artifact without credentials any more, this holds at once."""
    call = Caller(made(queue, public=()), clock)
    assert "?bewit=" in await location(call, "public/ref")


async def test_artifacts_of_what_is_not_indexed(call, artifacts, clock):
    """For a name that stands for nothing, or no longer does, the answer is 404; without the scope it is 403."""
    missing = await call("findArtifactFromTask", "no.such", "public/ref")
    assert (missing.status, missing.code) == (404, "ResourceNotFound")
    clock.advance(2 * clocks.DAY)
    assert (await call("findArtifactFromTask", "a.b", "public/ref")).status == 404
    call.scopes = ("queue:get-artifact:public/*",)
    assert (await call("findArtifactFromTask", "a.b", "private/ref")).status == 403
