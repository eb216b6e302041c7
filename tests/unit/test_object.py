"""The object service: uploads agreed on, carried out and finished; downloads; expiry. With files and with S3."""

import asyncio
import base64
import hashlib
import os
import re

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from tcbox import clock as clocks
from tcbox import ids
from tcbox.blobs import copy
from tcbox.services.object.api.downloads import Cdn
from tcbox.services.object.service import Service
from tcbox.services.object.store import migrations as own
from tests.support import blobs as places
from tests.support.blobs import blobs, s3_endpoint  # noqa: F401
from tests.support.databases import database  # noqa: F401
from tests.support.service import Caller

migrations = [own]
NAME = "public/a b/c%2F.txt"
DATA = os.urandom(128)


def sha(data, algorithm="sha256"):
    return hashlib.new(algorithm, data).hexdigest()


@pytest.fixture
def service(database, blobs, clock):
    return Service(database=database, blobs=blobs, clock=clock)


@pytest.fixture
def call(service, clock):
    return Caller(service, clock)


@pytest.fixture
def upload(clock):
    expires = clocks.to_wire(clock.now() + 30 * clocks.DAY)

    def upload(upload_id=None, methods=None, **changes):
        return {"projectId": "x", "uploadId": upload_id or ids.slugid(), "expires": expires, "proposedUploadMethods": methods or {}, **changes}

    return upload


def inline(data=DATA, content_type="application/binary"):
    return {"dataInline": {"contentType": content_type, "objectData": base64.b64encode(data).decode()}}


def put_url(length, content_type="text/plain"):
    return {"putUrl": {"contentType": content_type, "contentLength": length}}


async def make(call, upload, name=NAME, data=DATA, **changes):
    asked = upload(methods=inline(data), **changes)
    assert (await call("createUpload", name, payload=asked)).body["uploadMethod"] == {"dataInline": True}
    assert (await call("finishUpload", name, payload={"projectId": "x", "uploadId": asked["uploadId"]})).body == {}
    return asked


async def fetch(url):
    async with aiohttp.ClientSession() as session, session.get(URL(url, encoded=True)) as reply:
        return reply.status, await reply.read(), reply.headers


async def send(put, data, **headers):
    async with aiohttp.ClientSession() as session, session.put(URL(put["url"], encoded=True), data=data, headers={**put["headers"], **headers}) as reply:
        return reply.status


async def download(call, name=NAME, method="getUrl"):
    reply = await call("startDownload", name, payload={"acceptDownloadMethods": {method: True}})
    assert reply.status == 200, reply.message
    return reply.body


async def test_data_inline(call, upload):
    """Small data in the request itself becomes an object that every download method gives back."""
    await make(call, upload, hashes={"sha256": sha(DATA)})
    reply = await download(call, method="simple")
    assert set(reply) == {"method", "url"}
    status, data, headers = await fetch(reply["url"])
    assert (status, data, headers["Content-Type"]) == (200, DATA, "application/binary")
    reply = await download(call)
    assert reply["hashes"] == {"sha256": sha(DATA)}
    assert (await fetch(reply["url"]))[1] == DATA
    redirect = await call("download", NAME)
    assert redirect.status == 303
    assert (await fetch(redirect.headers["location"]))[1] == DATA


@pytest.mark.parametrize("data", [b"", DATA * 7_000], ids=["empty", "large"])
async def test_put_url(call, upload, data):
    """Data of any size is PUT to the URL with the headers given, and comes back once the upload is finished."""
    asked = upload(methods=put_url(len(data)))
    reply = (await call("createUpload", NAME, payload=asked)).body
    assert {key: reply[key] for key in ("projectId", "uploadId", "expires")} == {key: asked[key] for key in ("projectId", "uploadId", "expires")}
    put = reply["uploadMethod"]["putUrl"]
    assert put["headers"] == {"Content-Type": "text/plain", "Content-Length": str(len(data)), "Content-Encoding": "identity"}
    assert await send(put, data) == 200
    assert (await call("startDownload", NAME, payload={"acceptDownloadMethods": {"simple": True}})).status == 404
    hashes = {"sha256": sha(data), "sha512": sha(data, "sha512"), "rot13": "unknown here"}
    assert (await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"], "hashes": hashes})).body == {}
    reply = await download(call)
    assert reply["hashes"] == hashes
    status, got, headers = await fetch(reply["url"])
    assert (status, got, headers["Content-Type"]) == (200, data, "text/plain")
    assert headers.get("Content-Encoding", "identity") == "identity"


async def test_choice_of_method(call, upload):
    """dataInline is taken before putUrl; with no proposal the reply is empty, and proposals may follow."""
    asked = upload()
    assert (await call("createUpload", NAME, payload=asked)).body["uploadMethod"] == {}
    asked["proposedUploadMethods"] = {**put_url(3), **inline()}
    assert (await call("createUpload", NAME, payload=asked)).body["uploadMethod"] == {"dataInline": True}


async def test_bytes_must_have_their_hashes(call, upload):
    """An upload whose bytes have other hashes is not finished, and says which; right bytes can still be sent."""
    asked = upload(methods=inline(b"wrong"))
    finish = {"projectId": "x", "uploadId": asked["uploadId"], "hashes": {"sha256": sha(DATA)}}
    await call("createUpload", NAME, payload=asked)
    reply = await call("finishUpload", NAME, payload=finish)
    assert (reply.status, reply.code) == (400, "InputError")
    assert sha(DATA) in reply.message and sha(b"wrong") in reply.message
    assert (await call("object", NAME)).status == 404
    asked["proposedUploadMethods"] = put_url(len(DATA))
    assert await send((await call("createUpload", NAME, payload=asked)).body["uploadMethod"]["putUrl"], DATA) == 200
    assert (await call("finishUpload", NAME, payload=finish)).status == 200
    assert (await fetch((await download(call))["url"]))[1] == DATA


async def test_hashes_given_at_the_start_are_checked_at_the_end(call, upload):
    """Hashes from createUpload count as much as those from finishUpload."""
    asked = upload(methods=inline(), hashes={"sha512": sha(b"other", "sha512")})
    await call("createUpload", NAME, payload=asked)
    assert (await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"]})).code == "InputError"


async def test_finishing_without_bytes(call, upload):
    """An upload for which no bytes came is not finished."""
    asked = upload(methods=put_url(5))
    await call("createUpload", NAME, payload=asked)
    reply = await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"]})
    assert (reply.status, reply.code) == (400, "InputError")
    assert "No bytes have come" in reply.message


async def test_going_on_with_an_upload(call, upload):
    """The same call again is the same upload; another uploadId, expiry or project, or one finished, is a conflict."""
    asked = upload(methods=inline())
    for _ in range(2):
        assert (await call("createUpload", NAME, payload=asked)).status == 200
    for change in ({"uploadId": ids.slugid()}, {"expires": "2099-01-01T00:00:00.000Z"}, {"projectId": "y"}):
        reply = await call("createUpload", NAME, payload={**asked, **change})
        assert (reply.status, reply.code) == (409, "RequestConflict"), change
    assert (await call("createUpload", "other/name", payload=asked)).code == "RequestConflict"
    assert (await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"]})).status == 200
    reply = await call("createUpload", NAME, payload=asked)
    assert (reply.status, reply.code) == (409, "RequestConflict")


async def test_hashes_are_added_not_changed(call, upload):
    """Later calls add hashes, and a hash that is known cannot get another value."""
    asked = upload(hashes={"sha256": sha(DATA)})
    await call("createUpload", NAME, payload=asked)
    asked["hashes"] = {"sha256": sha(b"x")}
    assert (await call("createUpload", NAME, payload=asked)).code == "RequestConflict"
    asked["hashes"] = {"sha256": sha(DATA), "sha512": sha(DATA, "sha512")}
    asked["proposedUploadMethods"] = inline()
    assert (await call("createUpload", NAME, payload=asked)).status == 200
    finish = {"projectId": "x", "uploadId": asked["uploadId"]}
    assert (await call("finishUpload", NAME, payload={**finish, "hashes": {"sha256": sha(b"x")}})).code == "RequestConflict"
    assert (await call("finishUpload", NAME, payload=finish)).status == 200
    assert (await call("object", NAME)).body["hashes"] == asked["hashes"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({}, 200, None),
        ({"hashes": {"sha256": sha(DATA)}}, 200, None),
        ({"uploadId": "V3SVIuxDTAWJ2_4d71Q4dw"}, 200, None),
        ({"hashes": {"sha512": sha(DATA, "sha512")}}, 409, "RequestConflict"),
        ({"hashes": {"sha256": sha(b"x")}}, 409, "RequestConflict"),
        ({"projectId": "y"}, 400, "InputError"),
    ],
)
async def test_finishing_again(call, upload, change, status, code):
    """Finishing a finished upload with the same or fewer hashes does nothing; with others it is refused."""
    asked = await make(call, upload, hashes={"sha256": sha(DATA)})
    reply = await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"], **change})
    assert reply.status == status
    assert code is None or reply.code == code


async def test_finishing_something_else(call, upload):
    """What was never begun is 404, another project 400, another uploadId 409."""
    asked = upload(methods=inline())
    finish = {"projectId": "x", "uploadId": asked["uploadId"]}
    assert (await call("finishUpload", NAME, payload=finish)).status == 404
    await call("createUpload", NAME, payload=asked)
    assert (await call("finishUpload", NAME, payload={**finish, "projectId": "y"})).status == 400
    assert (await call("finishUpload", NAME, payload={**finish, "uploadId": ids.slugid()})).status == 409


async def test_finishing_at_once(call, upload):
    """Of calls that finish an upload at once, those that agree succeed, and the others cannot undo it."""
    asked = upload(methods=inline())
    await call("createUpload", NAME, payload=asked)
    finish = {"projectId": "x", "uploadId": asked["uploadId"]}
    right, wrong = {"hashes": {"sha256": sha(DATA)}}, {"hashes": {"sha256": sha(b"x")}}
    replies = await asyncio.gather(*(call("finishUpload", NAME, payload={**finish, **hashes}) for hashes in (wrong, right, right, wrong)))
    assert [reply.status for reply in replies] == [400, 200, 200, 409]
    assert (await call("object", NAME)).body["hashes"] == right["hashes"]


async def test_a_finished_object_does_not_change(call, upload, blobs):
    """The URL of a finished upload does not replace its bytes, where the place for bytes can refuse that."""
    asked = upload(methods=put_url(len(DATA)))
    put = (await call("createUpload", NAME, payload=asked)).body["uploadMethod"]["putUrl"]
    assert await send(put, DATA) == 200
    await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"]})
    if blobs.backend == "files":
        assert await send(put, bytes(len(DATA))) == 409
        assert (await fetch((await download(call))["url"]))[1] == DATA


async def test_pages_are_saved_not_shown(call, upload):
    """HTML is served as an attachment, whichever way it was uploaded."""
    for name, methods in (("a", inline(b"<p>", "text/html; charset=utf-8")), ("b", put_url(3, "Text/HTML"))):
        asked = upload(methods=methods)
        method = (await call("createUpload", name, payload=asked)).body["uploadMethod"]
        if "putUrl" in method:
            assert method["putUrl"]["headers"]["Content-Disposition"] == "attachment"
            assert await send(method["putUrl"], b"<p>") == 200
        await call("finishUpload", name, payload={"projectId": "x", "uploadId": asked["uploadId"]})
        assert (await fetch((await download(call, name))["url"]))[2]["Content-Disposition"] == "attachment"


@pytest.mark.parametrize(
    "methods", [put_url(-1), put_url(1, "a\r\nX-Evil: 1"), inline(b"x", "a\nb"), inline(b"x", ""), {"dataInline": {"contentType": "x/y", "objectData": "!!!!"}}]
)
async def test_proposals_that_make_no_sense(call, upload, methods):
    """A negative length, a type that cannot stand in a header or data that is no base64 is refused in words."""
    reply = await call("createUpload", NAME, payload=upload(methods=methods))
    assert (reply.status, reply.code) == (400, "InputError")


async def test_inline_data_is_small(call, upload):
    """More than 8 KiB inline is refused; just that much is taken."""
    assert (await call("createUpload", NAME, payload=upload(methods=inline(bytes(8193 + 6))))).code == "InputValidationError"
    await make(call, upload, data=bytes(8192))
    assert (await fetch((await download(call))["url"]))[1] == bytes(8192)


async def test_not_there(call):
    """What was not uploaded is 404, by every method."""
    assert (await call("object", NAME)).status == 404
    assert (await call("download", NAME)).status == 404
    assert (await call("startDownload", NAME, payload={"acceptDownloadMethods": {"getUrl": True}})).status == 404


async def test_methods_of_download(call, upload):
    """getUrl is given before simple; 406 says what there is when the caller accepts none of it."""
    await make(call, upload)
    reply = await call("startDownload", NAME, payload={"acceptDownloadMethods": {"simple": True, "getUrl": True}})
    assert reply.body["method"] == "getUrl"
    reply = await call("startDownload", NAME, payload={"acceptDownloadMethods": {}})
    assert (reply.status, reply.code) == (406, "NoMatchingMethod")
    assert "getUrl, simple" in reply.message
    assert (await call("startDownload", NAME, payload={"acceptDownloadMethods": {"torrent": True}})).code == "InputValidationError"


async def test_metadata(call, upload):
    """An object's project, expiry and hashes can be read."""
    asked = await make(call, upload, hashes={"sha256": sha(DATA)})
    assert (await call("object", NAME)).body == {"projectId": "x", "expires": asked["expires"], "hashes": {"sha256": sha(DATA)}}


@pytest.mark.parametrize(
    ("scopes", "method", "status"),
    [
        (("object:upload:x:public/*",), "createUpload", 200), (("object:upload:y:public/*",), "createUpload", 403), ((), "createUpload", 403),
        (("object:upload:x:public/*",), "finishUpload", 404), (("object:upload:y:*",), "finishUpload", 403),
        (("object:download:public/*",), "object", 404), (("object:upload:*",), "object", 403), ((), "download", 403), ((), "startDownload", 403),
    ],
)  # fmt: skip
async def test_scopes(call, upload, scopes, method, status):
    """Uploading needs object:upload:<projectId>:<name>, downloading object:download:<name>."""
    call.scopes = scopes
    payload = {
        "createUpload": upload(),
        "finishUpload": {"projectId": "x", "uploadId": ids.slugid()},
        "startDownload": {"acceptDownloadMethods": {"simple": True}},
    }
    assert (await call(method, NAME, payload=payload.get(method))).status == status


async def test_names(call, upload):
    """A name is printable ASCII, and may be one that a path could not be."""
    for name in ("../../etc/passwd", "a//b/./", "~!@#$^&*()_+=[]{}|;:'\",<>?`", "x" * 2000):
        await make(call, upload, name=name)
        assert (await fetch((await download(call, name))["url"]))[1] == DATA
    for name in ("ü", "a\n", "\t"):
        assert (await call("object", name)).code == "InvalidRequestArguments"


async def test_expiry(call, upload, clock, service, blobs, database):
    """An object that has expired, and an upload that was never finished, lose their bytes, then their record; others stay."""
    expires = clocks.to_wire(clock.now() + 2 * clocks.DAY)
    old = await make(call, upload, name="old", expires=expires)
    kept = await make(call, upload, name="kept")
    never = upload(methods=inline())
    await call("createUpload", "never", payload=never)
    await service.expire()
    assert (await call("object", "old")).status == 200
    clock.advance(3 * clocks.DAY)
    await service.expire()
    for name, asked in (("old", old), ("never", never)):
        assert (await call("object", name)).status == 404
        assert await blobs.stat(f"object/{asked['uploadId']}/{name}") is None
        await make(call, upload, name=name)
    assert (await call("object", "kept")).status == 200
    assert await blobs.stat(f"object/{kept['uploadId']}/kept") is not None


async def test_renewing_gives_more_time(call, upload, clock, service):
    """An upload that goes on within its day gets another day."""
    asked = upload(methods=inline())
    await call("createUpload", NAME, payload=asked)
    clock.advance(20 * clocks.HOUR)
    assert (await call("createUpload", NAME, payload=asked)).status == 200
    clock.advance(20 * clocks.HOUR)
    await service.expire()
    assert (await call("finishUpload", NAME, payload={"projectId": "x", "uploadId": asked["uploadId"]})).status == 200


async def test_expiry_when_bytes_cannot_be_deleted(call, upload, clock, service, blobs, monkeypatch):
    """While bytes cannot be deleted their object is out of use, its name is taken, and the next sweep tries again."""
    asked = await make(call, upload, expires=clocks.to_wire(clock.now() + 1000))
    clock.advance(2000)
    real = blobs.delete

    async def fail(keys):
        raise OSError("the disk is not there")

    monkeypatch.setattr(blobs, "delete", fail)
    await service.expire()
    assert (await call("object", NAME)).status == 404
    assert (await call("createUpload", NAME, payload=upload(methods=inline()))).code == "RequestConflict"
    monkeypatch.setattr(blobs, "delete", real)
    await service.expire()
    assert await blobs.stat(f"object/{asked['uploadId']}/{NAME}") is None
    await make(call, upload)


@pytest_asyncio.fixture
async def elsewhere(clock, s3_endpoint):
    """Another place for bytes."""
    async with places.s3(s3_endpoint, clock) as made:
        yield made


async def test_another_place_for_bytes(call, upload, database, clock, elsewhere):
    """When the configuration names another place, objects in the old one are not lost silently: each method says so."""
    await make(call, upload)
    asked = upload(methods=inline())
    await call("createUpload", "begun", payload=asked)
    moved = Caller(Service(database=database, blobs=elsewhere, clock=clock), clock)
    for reply in (
        await moved("startDownload", NAME, payload={"acceptDownloadMethods": {"simple": True}}),
        await moved("download", NAME),
        await moved("finishUpload", "begun", payload={"projectId": "x", "uploadId": asked["uploadId"]}),
    ):
        assert (reply.status, reply.code) == (400, "NoMatchingBackend")
    assert (await moved("object", NAME)).status == 200


async def test_bytes_that_were_copied_to_another_place(call, upload, database, clock, blobs, elsewhere):
    """Objects are found in the new place once their bytes are there, uploads under way go on there, and what expires goes from there."""
    expires = clocks.to_wire(clock.now() + 2 * clocks.DAY)
    await make(call, upload, hashes={"sha256": sha(DATA)})
    old = await make(call, upload, name="old", expires=expires)
    sent, begun = upload(methods=inline()), upload()
    await call("createUpload", "sent", payload=sent)
    await call("createUpload", "begun", payload=begun)
    await copy.Copier(blobs, elsewhere, at_once=2, clock=clock).copy(remove=False)
    service = Service(database=database, blobs=elsewhere, clock=clock)
    moved = Caller(service, clock)
    for method in ("simple", "getUrl"):
        assert (await fetch((await download(moved, method=method))["url"]))[1] == DATA
    assert (await fetch((await moved("download", NAME)).headers["location"]))[1] == DATA
    begun["proposedUploadMethods"] = inline()
    assert (await moved("createUpload", "begun", payload=begun)).body["uploadMethod"] == {"dataInline": True}
    for name, asked in (("sent", sent), ("begun", begun)):
        assert (await moved("finishUpload", name, payload={"projectId": "x", "uploadId": asked["uploadId"]})).status == 200
        assert (await fetch((await download(moved, name))["url"]))[1] == DATA
    clock.advance(3 * clocks.DAY)
    await service.expire()
    assert await elsewhere.stat(f"object/{old['uploadId']}/old") is None
    await make(moved, upload, name="old")
    assert (await call("download", NAME)).status == 303


async def test_cdn(database, blobs, clock, upload):
    """Names that a CDN stands for are redirected to it."""
    cdns = [Cdn(re.compile("^public/"), "https://cdn.example.com/")]
    call = Caller(Service(database=database, blobs=blobs, clock=clock, cdns=cdns), clock)
    await make(call, upload, name="public/x")
    await make(call, upload, name="private/x")
    assert (await call("download", "public/x")).headers["location"] == "https://cdn.example.com/public/x"
    assert "cdn.example.com" not in (await call("download", "private/x")).headers["location"]


class Published:
    """What the published client's helpers need of an object service's client."""

    def __init__(self, call):
        self._call = call

    def __getattr__(self, method):
        async def ask(name, payload):
            inline = payload.get("proposedUploadMethods", {}).get("dataInline")
            if inline:
                inline["objectData"] = inline["objectData"].decode()
            reply = await self._call(method, name, payload=payload)
            assert reply.status == 200, reply.message
            return reply.body

        return ask


@pytest.mark.parametrize("size", [0, 100, 8191, 8192, 900_000])
async def test_published_client(call, upload, size):
    """The published client's upload and download helpers, which check hashes, work with objects of any size."""
    from taskcluster.aio.download import downloadToBuf
    from taskcluster.aio.upload import uploadFromBuf

    data = os.urandom(size)
    await uploadFromBuf(
        projectId="x",
        name=NAME,
        contentType="text/x-thing",
        contentLength=size,
        expires=upload()["expires"],
        data=data,
        maxRetries=0,
        objectService=Published(call),
    )
    got, content_type = await downloadToBuf(name=NAME, maxRetries=0, objectService=Published(call))
    assert (bytes(got), content_type) == (data, "text/x-thing")
