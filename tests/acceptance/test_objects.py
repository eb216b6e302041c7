"""Objects and large artifacts through a whole instance, with the published client's own helpers."""

import datetime
import hashlib
import io
import os
import urllib.request

import pytest
import taskcluster
import taskcluster.download
import taskcluster.upload

from tests.support import definitions

MIB = 1024 * 1024
SIZE = int(os.environ.get("TCBOX_TEST_LARGE", 256 * MIB))
"""Bytes of the large artifact; 2147483648 for the full size."""
BOUND = 64 * MIB


class Generated(io.RawIOBase):
    """A stream of so many bytes that nobody has to keep."""

    def __init__(self, size):
        self.left, self.block, self.digest = size, os.urandom(MIB), hashlib.sha256()

    def readable(self):
        return True

    def read(self, size=-1):
        count = min(self.left, MIB if size < 0 else min(size, MIB))
        self.left -= count
        self.digest.update(self.block[:count])
        return self.block[:count]

    def readinto(self, buffer):
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def memory(box):
    """Resident bytes of the instance's process."""
    with open(f"/proc/{box.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def test_the_clients_own_upload_and_download(quiet_box):
    """What the PyPI client uploads, small (inline) or larger (by URL), it downloads again byte for byte."""
    service = taskcluster.Object(quiet_box.options)
    for name, content in (("public/small.txt", b"hello"), ("public/larger.bin", os.urandom(3 * MIB))):
        taskcluster.upload.uploadFromBuf(
            data=content,
            projectId="test",
            name=name,
            contentLength=len(content),
            contentType="application/octet-stream",
            expires=taskcluster.fromNow("1 day"),
            objectService=service,
        )
        received, kind = taskcluster.download.downloadToBuf(name=name, objectService=service)
        assert (bytes(received), kind) == (content, "application/octet-stream")
        with urllib.request.urlopen(service.buildSignedUrl("download", name), timeout=30) as reply:
            assert reply.read() == content


@pytest.mark.contract
def test_an_object_artifact(quiet_box):
    """An artifact of the storage type object is uploaded with the credentials that createArtifact gives, and read back."""
    queue, task_id = _claimed(quiet_box)
    reply = queue.createArtifact(
        task_id, "0", "public/object.bin", {"storageType": "object", "contentType": "application/octet-stream", "expires": taskcluster.fromNow("1 hour")}
    )
    content = os.urandom(100_000)
    taskcluster.upload.uploadFromBuf(
        data=content, projectId=reply["projectId"], name=reply["name"], contentLength=len(content), contentType="application/octet-stream", expires=datetime.datetime.fromisoformat(reply["expires"]),
        uploadId=reply["uploadId"], objectService=taskcluster.Object({"rootUrl": quiet_box.root_url, "credentials": reply["credentials"]}),
    )  # fmt: skip
    queue.finishArtifact(task_id, "0", "public/object.bin", {"uploadId": reply["uploadId"]})
    received, _ = taskcluster.download.downloadArtifactToBuf(
        taskId=task_id, runId=0, name="public/object.bin", queueService=taskcluster.Queue(quiet_box.options)
    )
    assert bytes(received) == content


def test_a_large_artifact_passes_through_in_bounded_memory(quiet_box):
    """A large artifact is uploaded and fetched whole and in part, while the instance's memory grows by less than 64 MiB."""
    queue, task_id = _claimed(quiet_box)
    reply = queue.createArtifact(
        task_id, "0", "public/large.bin", {"storageType": "s3", "contentType": "application/octet-stream", "expires": taskcluster.fromNow("1 hour")}
    )
    before, sent = memory(quiet_box), Generated(SIZE)
    request = urllib.request.Request(
        reply["putUrl"], data=sent, method="PUT", headers={"Content-Type": "application/octet-stream", "Content-Length": str(SIZE)}
    )
    with urllib.request.urlopen(request, timeout=600):
        pass
    grown = memory(quiet_box) - before
    url = taskcluster.Queue(quiet_box.options).buildUrl("getArtifact", task_id, "0", "public/large.bin")
    digest, size, first = hashlib.sha256(), 0, b""
    with urllib.request.urlopen(url, timeout=600) as reply:
        while block := reply.read(MIB):
            digest.update(block)
            size += len(block)
            first += block if len(first) < 2 * MIB else b""
            if size % (32 * MIB) == 0:
                grown = max(grown, memory(quiet_box) - before)
    assert (size, digest.digest()) == (SIZE, sent.digest.digest())
    assert grown < BOUND, f"memory grew by {grown / MIB:.0f} MiB"
    with urllib.request.urlopen(url, timeout=30) as reply:
        direct = reply.geturl()
    ranged = urllib.request.Request(direct, headers={"Range": f"bytes={MIB - 5}-{MIB + 4}"})
    with urllib.request.urlopen(ranged, timeout=30) as reply:
        assert reply.status == 206
        assert reply.read() == first[MIB - 5 : MIB + 5]


def _claimed(box):
    """A running task, and a queue client with its credentials."""
    owner, task_id = taskcluster.Queue(box.options), taskcluster.slugId()
    owner.createTask(task_id, definitions.task())
    claim = owner.claimWork("test/queue", {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"][0]
    return taskcluster.Queue({"rootUrl": box.root_url, "credentials": claim["credentials"]}), task_id
