"""The artifacts and objects of a whole instance move to S3 beside its database, and every one is found there by the public API."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import pytest
import taskcluster
import taskcluster.download
import taskcluster.upload

from tests.support import postgres_server
from tests.support.blobs import s3_endpoint  # noqa: F401
from tests.support.box import TCBOX, Box
from tests.support.definitions import task

OFF = "workers: {docker: {enabled: false}, host: {enabled: false}, builtin: {enabled: false}}\n"
SMALL = 120
BIG = 24_000_001


@pytest.fixture
def url() -> str:
    return postgres_server.server().anew("moved")


class Bucket:
    """A new bucket, and the words by which a copy finds it; its key stands in the environment alone."""

    def __init__(self, endpoint: str) -> None:
        self.name, self.endpoint = f"moved-{os.getpid()}-{random.randrange(10**9)}", endpoint
        self.client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
        self.client.create_bucket(Bucket=self.name)
        self.where = f"s3://{self.name}/prod?endpoint={endpoint}&region=us-east-1&access_key_id=a&secret_access_key=${{env:COPY_SECRET}}"
        self.config = (
            f"blobs: {{url: 's3://{self.name}/prod', endpoint: '{endpoint}', region: us-east-1, access_key_id: a, secret_access_key: '${{env:COPY_SECRET}}'}}\n"
        )

    def count(self) -> int:
        return int(self.client.list_objects_v2(Bucket=self.name)["KeyCount"])


@pytest.fixture
def bucket(s3_endpoint, monkeypatch):
    monkeypatch.setenv("COPY_SECRET", "b")
    return Bucket(s3_endpoint)


class Filled:
    """A task of a box with artifacts of every kind; what each must be found as."""

    def __init__(self, box: Box) -> None:
        queue, self.task_id = taskcluster.Queue(box.options), taskcluster.slugId()
        queue.createTask(self.task_id, task("proj/ci"))
        claim = queue.claimWork("proj/ci", {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"][0]
        self.queue = taskcluster.Queue({"rootUrl": box.root_url, "credentials": claim["credentials"]})
        self.box, self.found, self.refused = box, {}, {"public/error": 424}
        for number in range(SMALL):
            self.put(f"public/small/{number}.txt", b"%d\n" % number * 100, "text/plain; charset=utf-8")
        for number in range(3):
            self.put(f"private/big {number}%2F.bin", random.Random(number).randbytes(BIG), "application/octet-stream")
        self.put("public/logs/live.log", b"line\n" * 100_000, "text/plain", packed=True)
        self.objects = {name: self.object(name, size) for name, size in (("public/inline.bin", 100), ("public/object.bin", 300_000))}
        self.create("public/link", {"storageType": "link", "contentType": "text/plain", "artifact": "public/small/7.txt"})
        self.found["public/link"] = self.found["public/small/7.txt"]
        self.create("public/error", {"storageType": "error", "reason": "file-missing-on-worker", "message": "it is not there"})

    def create(self, name: str, request: dict) -> dict:
        return self.queue.createArtifact(self.task_id, "0", name, {"expires": taskcluster.fromNow("1 hour"), **request})

    def put(self, name: str, data: bytes, content_type: str, *, packed: bool = False) -> None:
        sent = gzip.compress(data) if packed else data
        headers = {"Content-Type": content_type, **({"Content-Encoding": "gzip"} if packed else {})}
        url = self.create(name, {"storageType": "s3", "contentType": content_type})["putUrl"]
        with urllib.request.urlopen(urllib.request.Request(url, data=sent, method="PUT", headers=headers), timeout=60):
            self.found[name] = (sent, content_type, "gzip" if packed else None)

    def object(self, name: str, size: int) -> bytes:
        reply, data = self.create(name, {"storageType": "object", "contentType": "application/octet-stream"}), random.Random(size).randbytes(size)
        taskcluster.upload.uploadFromBuf(
            data=data, projectId=reply["projectId"], name=reply["name"], contentLength=size, contentType="application/octet-stream",
            expires=datetime.datetime.fromisoformat(reply["expires"]), uploadId=reply["uploadId"],
            objectService=taskcluster.Object({"rootUrl": self.box.root_url, "credentials": reply["credentials"]}),
        )  # fmt: skip
        self.queue.finishArtifact(self.task_id, "0", name, {"uploadId": reply["uploadId"]})
        self.found[name] = (data, "application/octet-stream", None)
        return data

    def found_again(self, box: Box) -> None:
        """Every artifact is what it was, whichever way it is asked for."""
        queue = taskcluster.Queue(box.options)
        for name, wanted in self.found.items():
            with urllib.request.urlopen(queue.buildSignedUrl("getArtifact", self.task_id, "0", name), timeout=60) as reply:
                assert (reply.read(), reply.headers["Content-Type"], reply.headers["Content-Encoding"]) == wanted, name
        for name, data in self.objects.items():
            received, _ = taskcluster.download.downloadArtifactToBuf(taskId=self.task_id, runId=0, name=name, queueService=queue)
            assert bytes(received) == data
        for name, status in self.refused.items():
            with pytest.raises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(queue.buildSignedUrl("getLatestArtifact", self.task_id, name), timeout=60)
            assert raised.value.code == status


def copied(box: Box, *words: str, check: bool = True) -> dict:
    return json.loads(box.command("blobs", "copy", *words, "--json", check=check).stdout)


def broken_off(box: Box, bucket: Bucket) -> int:
    """A copy that was killed when some of it had been written; how many blobs are there."""
    process = subprocess.Popen([*TCBOX, "blobs", "copy", "--from", str(box.data), "--to", bucket.where, "--at-once", "2"], env=box.env)
    try:
        until = time.monotonic() + 60
        while bucket.count() < 10:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return bucket.count()


def test_an_instance_moves_to_s3_and_back(make_box, tmp_path, url, bucket):
    """A copy that is killed midway, gone on with while the instance serves and caught up with, leaves every artifact to be fetched."""
    box = make_box(OFF)
    filled = Filled(box)
    blobs = SMALL + 3 + 1 + 2
    there = broken_off(box, bucket)
    assert 10 <= there < blobs
    first = copied(box, "--from", str(box.data), "--to", bucket.where)
    assert (first["seen"]["blobs"], first["sourceInUse"], first["same"]) == (blobs, True, True)
    assert blobs - there <= first["written"]["blobs"] < blobs
    filled.put("public/late.txt", b"late\n", "text/plain")
    box.stop()
    box.command("db", "copy", "--from", str(box.data), "--to", url)
    second = copied(box, "--from", str(box.data), "--to", bucket.where)
    assert (second["written"]["blobs"], second["seen"]["blobs"], second["sourceInUse"]) == (1, blobs + 1, False)
    held = copied(box, "--from", str(box.data), "--to", bucket.where, "--compare")
    assert (held["same"], held["seen"], held["extra"]["blobs"]) == (True, second["seen"], 0)
    (box.data / "blobs").rename(tmp_path / "away")
    box.config.write_text(f"{OFF}database: {url}\n{bucket.config}")
    box.start()
    filled.found_again(box)
    filled.box = box
    box.stop()
    back = copied(box, "--from", str(box.config), "--to", str(box.data))
    assert (back["written"]["blobs"], back["same"]) == (blobs + 1, True)
    box.config.write_text(f"{OFF}database: {url}\n")
    box.start()
    filled.found_again(box)


def test_what_cannot_be_copied_is_said(make_box, bucket, tmp_path):
    """Unknown places, a place twice, a missing bucket, wrong keys, a target in use: one line says it, and nothing is written."""
    box = make_box(OFF)
    Filled(box)
    data = str(box.data)
    other = tmp_path / "other"
    other.mkdir()
    for source, target, words in (
        (data, str(tmp_path / "no"), "is no place for artifacts: give a data folder"),
        (str(other), bucket.where, "there is no folder"),
        (data, data, "are the same folder"),
        (bucket.where, bucket.where, "are the same place"),
        (data, f"s3://nowhere?endpoint={bucket.endpoint}&access_key_id=a&secret_access_key=b", "nowhere: NoSuchBucket"),
        (data, bucket.where.replace("COPY_SECRET", "NO_SECRET"), "secret_access_key refers to no environment variable NO_SECRET"),
        (bucket.where, data, "is in use by an instance of tcbox (process"),
    ):
        refused = box.command("blobs", "copy", "--from", source, "--to", target, check=False)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), refused.stderr
        assert words in refused.stderr
    assert bucket.client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    differ = box.command("blobs", "copy", "--compare", "--from", data, "--to", bucket.where, check=False)
    assert differ.returncode == 1
    assert "not the same yet: run this without --compare" in differ.stderr
    assert f"missing there: {SMALL + 6 - 10} more" in differ.stderr
    told = box.command("blobs", "copy", "--from", data, "--to", bucket.where)
    assert f"{SMALL + 6} written" in told.stdout
    assert "though the source is in use and goes on changing" in told.stdout
