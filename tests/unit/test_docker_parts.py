"""The parts of the docker worker that need no engine: archives without names, devices, limits, owners, scopes, room on the disk."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile

import pytest

from tcbox import clock as clocks
from tcbox.workers import room
from tcbox.workers.docker import limits, ownership, payload
from tcbox.workers.docker.devices import Devices, Given
from tcbox.workers.docker.limits import Limits, host_config
from tcbox.workers.docker.untag import ArchiveError, untagged
from tcbox.workers.outcomes import RunEnded
from tcbox.workers.settings import WorkerSettings

TASK = {"deadline": "2026-01-02T00:00:00.000Z", "expires": "2026-02-01T00:00:00.000Z"}
MANIFEST = [{"Config": "c.json", "RepoTags": ["debian:12"], "Layers": ["l/layer.tar"]}]


def read(**more) -> payload.Payload:
    allowed = more.pop("allowed", True)
    return payload.read({**TASK, "payload": {"image": "debian", "maxRunTime": 5, **more}}, longest=10, privileged=allowed, beside=allowed)


def archive(*entries: tuple, fmt: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of (name, content) or of (name, kind, target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        for name, *rest in entries:
            entry = tarfile.TarInfo(name)
            if len(rest) == 2:
                entry.type, entry.linkname = rest
                tar.addfile(entry)
            else:
                entry.size = len(rest[0])
                tar.addfile(entry, io.BytesIO(rest[0]))
    return out.getvalue()


def header(name: str, size: int, kind: bytes, link: str = "") -> bytes:
    """The header of an entry of any kind that claims any size, which tarfile would not write."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    made = bytearray(entry.tobuf(tarfile.USTAR_FORMAT))
    made[124:136] = b"%011o\0" % size
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def pax(record: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header of one record, such as b"size=0"; its length is put before it unless it is there."""
    records = record if record[:1].isdigit() else next(made for size in range(999) if len(made := b"%d %s\n" % (size, record)) == size)
    return header("pax", len(records), kind) + padded(records)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 512)


END = b"\0" * 1024
_LISTED = json.dumps(MANIFEST).encode()
HIDDEN = header("manifest.json", len(_LISTED), tarfile.REGTYPE) + padded(_LISTED)
"""A list with a name, which a reader meets that takes what is before it for empty."""


def contents(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isreg()}


def test_an_archive_loses_the_names_of_its_image():
    """manifest.json, repositories and index.json no longer name the image, and all else is as it was."""
    index = {"manifests": [{"digest": "d", "annotations": {"io.containerd.image.name": "debian:12", "other": "x"}}]}
    layer, deep = bytes(range(256)) * 5000, "d" * 120 + "/x"
    given = archive(
        ("l/layer.tar", layer), ("./manifest.json", json.dumps(MANIFEST).encode()), ("repositories", b'{"debian": {"12": "x"}}'),
        ("index.json", json.dumps(index).encode()), (deep, b"deep"), ("c.json", b"{}"),
    )  # fmt: skip
    made = contents(b"".join(untagged(io.BytesIO(given))))
    assert json.loads(made.pop("./manifest.json" if "./manifest.json" in made else "manifest.json")) == [{**MANIFEST[0], "RepoTags": None}]
    assert json.loads(made.pop("index.json")) == {"manifests": [{"digest": "d", "annotations": {"other": "x"}}]}
    assert made == {"l/layer.tar": layer, "repositories": b"{}", deep: b"deep", "c.json": b"{}"}


@pytest.mark.parametrize(
    "data",
    [
        b"no archive", b"x" * 5000, archive(("a", b"x" * 600))[:1000], archive(("manifest.json", b"[]")), archive(("manifest.json", b"no json")),
        archive(("manifest.json", json.dumps(MANIFEST * 2).encode())), archive(("other.json", b"[]"), ("manifest.json", tarfile.SYMTYPE, "other.json")),
        archive(("here", tarfile.SYMTYPE, "."), ("here/manifest.json", json.dumps(MANIFEST).encode())),
        archive(("x" * 200 + "/../manifest.json", json.dumps(MANIFEST).encode())),
        archive(("ü" + "x" * 200 + "/manifest.json", b"[]"), fmt=tarfile.PAX_FORMAT),
    ],
)  # fmt: skip
def test_archives_that_are_refused(data):
    """What is no archive of one image, or hides its lists behind links or long names, is refused."""
    with pytest.raises(ArchiveError):
        b"".join(untagged(io.BytesIO(data)))


@pytest.mark.parametrize(
    "data",
    [
        *(header("x", len(HIDDEN), kind, "nowhere") + HIDDEN + END for kind in (b"1", b"2", b"3", b"4", b"5", b"6")),
        header("x/", len(HIDDEN), tarfile.AREGTYPE) + HIDDEN + END, pax(b"size=0") + header("x", len(HIDDEN), tarfile.REGTYPE) + HIDDEN + END,
        pax(b"size=1536") + header("x", 512, tarfile.REGTYPE) + HIDDEN + END, pax(b"size=1536") + header("x", 0, tarfile.SYMTYPE, "y") + HIDDEN + END,
        pax(b"size=-10") + header("x", 0, tarfile.REGTYPE) + END, pax(b"size=0", tarfile.XGLTYPE) + header("x", len(HIDDEN), b"0") + HIDDEN + END,
        pax(b"GNU.sparse.major=1") + header("x", len(HIDDEN), tarfile.REGTYPE) + HIDDEN + END,
        header("x", len(HIDDEN), tarfile.GNUTYPE_SPARSE) + HIDDEN + END, header("x", len(HIDDEN), tarfile.CONTTYPE) + HIDDEN + END,
        header("x", len(HIDDEN), b"Q") + HIDDEN + END, header("x", 0, tarfile.FIFOTYPE) + END, header("x", 0, tarfile.CHRTYPE) + END,
        pax(b"99 path=x\n") + header("x", 0, tarfile.REGTYPE) + END, pax(b"path=x") + END, pax(b"path=a\0b") + header("x", 0, tarfile.REGTYPE) + END,
        pax(b"path=d/../../e") + header("x", 0, tarfile.REGTYPE) + END,
    ],
)  # fmt: skip
def test_archives_that_two_readers_would_read_differently(data):
    """An entry with content where its kind has none, two sizes, or of a kind that images do not have, could hide a list: it is refused."""
    with pytest.raises(ArchiveError):
        b"".join(untagged(io.BytesIO(data)))


def test_archives_are_written_anew():
    """Long names, links and extended headers come out as one reader of them understood them, and nothing behind the end does."""
    deep = "d" * 150
    given = (
        pax(b"mtime=1350244992.023960") + pax(b"path=%s/f" % deep.encode()) + header("x", 3, tarfile.REGTYPE) + padded(b"abc")
        + pax(b"size=3") + header("big", 0, tarfile.REGTYPE) + padded(b"abc") + pax(b"comment=x", tarfile.XGLTYPE)
        + header("l/layer.tar", 0, tarfile.SYMTYPE, "../m/layer.tar") + header("dir/", 0, tarfile.DIRTYPE) + END + HIDDEN + END
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(b"".join(untagged(io.BytesIO(given))))) as tar:
        made = [(entry.name, entry.type, entry.size, entry.linkname) for entry in tar]
        assert not tar.pax_headers
    assert made == [
        (f"{deep}/f", tarfile.REGTYPE, 3, ""), ("big", tarfile.REGTYPE, 3, ""), ("l/layer.tar", tarfile.SYMTYPE, 0, "../m/layer.tar"), ("dir", tarfile.DIRTYPE, 0, ""),
    ]  # fmt: skip


def test_lists_lose_names_however_their_keys_are_written():
    """The engine takes keys in any case of letters, and the last of several: none but those that are known come through."""
    image = json.dumps([{**MANIFEST[0], "repotags": ["debian:12"], "RepoTag\u017f": ["debian:12"]}]).encode()
    named = {"org.opencontainers.image.ref.name": "debian:12"}
    index = {"schemaVersion": 2, "manifests": [{"digest": "d", "Annotations": named, "annotations": named}], "Manifests": [{"annotations": named}]}
    made = contents(b"".join(untagged(io.BytesIO(archive(("manifest.json", image), ("index.json", json.dumps(index).encode()))))))
    assert json.loads(made["manifest.json"]) == [{**MANIFEST[0], "RepoTags": None}]
    assert json.loads(made["index.json"]) == {"schemaVersion": 2, "manifests": [{"digest": "d"}]}


async def test_devices_of_which_there_are_few(tmp_path):
    """A device that one task has is not given to another until it is given back; one that the machine lacks is refused."""
    (tmp_path / "dev/snd").mkdir(parents=True)
    for name in ("video0", "video10", "videox", "snd/controlC1", "snd/pcmC1D0c", "snd/pcmC1D1p", "snd/pcmC2D0c", "snd/timer"):
        (tmp_path / "dev" / name).touch()
    devices, said = Devices(tmp_path), []
    first, second = await devices.take("loopbackVideo", said.append), await devices.take("loopbackVideo", said.append)
    assert (first.nodes, second.nodes, said) == (("/dev/video0",), ("/dev/video10",), [])
    assert (await devices.take("loopbackAudio", said.append)).nodes == ("/dev/snd/controlC1", "/dev/snd/pcmC1D0c", "/dev/snd/pcmC1D1p")
    third = asyncio.create_task(devices.take("loopbackVideo", said.append))
    await asyncio.sleep(0.01)
    assert not third.done()
    assert said == ["Waiting for a loopbackVideo device: other tasks have all of them"]
    await devices.give_back(first)
    assert (await third).nodes == ("/dev/video0",)
    with pytest.raises(RunEnded, match="kvm: the worker's machine has no such device"):
        await devices.take("kvm", said.append)
    assert (await devices.take("hostSharedMemory", said.append)).shared_memory


def test_what_the_engine_is_told():
    """Limits and capabilities stand in the container's configuration, and nothing that was not asked for."""
    plain = host_config(read(), Limits(0, 0, 0), [], mounts={"/v": None, "/c": "vol"}, network=None, hosts=[])
    assert not {"Privileged", "CapAdd", "SecurityOpt", "Devices", "Memory", "PidsLimit", "NanoCpus", "NetworkMode"} & set(plain)
    assert [(each["Target"], each.get("Source")) for each in plain["Mounts"]] == [("/v", None), ("/c", "vol")]
    assert plain["ShmSize"] == 1_800_000_000
    asked = read(capabilities={"privileged": True, "disableSeccomp": True}, features={"allowPtrace": True})
    devices = [Given("kvm", ("/dev/kvm",)), Given("hostSharedMemory", shared_memory=True)]
    full = host_config(asked, Limits(10_000_000, 50, 1.5), devices, mounts={}, network="n", hosts=["taskcluster:1.2.3.4"])
    assert full["Privileged"]
    assert (full["CapAdd"], full["SecurityOpt"], full["NetworkMode"]) == (["SYS_PTRACE"], ["seccomp=unconfined"], "n")
    assert (full["Memory"], full["PidsLimit"], full["NanoCpus"]) == (10_000_000, 50, 1_500_000_000)
    assert full["Devices"] == [{"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}]
    assert full["Mounts"] == [{"Type": "bind", "Source": "/dev/shm", "Target": "/dev/shm"}]
    assert "ShmSize" not in full


def test_memory_of_a_container(tmp_path):
    """Without a word on memory a container gets nine tenths of the machine's, so that the machine itself goes on."""
    settings = WorkerSettings(kind="docker", folder=tmp_path)
    assert limits.Limits.of(settings, 1000).memory == 900
    assert limits.Limits.of(settings, 0).memory == 0
    assert limits.Limits.of(WorkerSettings(kind="docker", folder=tmp_path, memory_mb=5), 1000).memory == 5_000_000


@pytest.mark.parametrize(
    ("user", "numbers"),
    [
        ("worker", (1000, 1001)), ("1000", (1000, 1001)), ("1234", (1234, 0)), ("worker:staff", (1000, 50)), ("7:8", (7, 8)), ("worker:8", (1000, 8)),
        ("nobody-such", (0, 0)), ("7:nogroup-such", (7, 0)),
    ],
)  # fmt: skip
def test_whose_a_fresh_cache_is(user, numbers):
    """An image's user, in each form that it can have, is looked up in the image's own lists."""
    assert ownership.resolve(user, "root:x:0:0::/:/bin/sh\nworker:x:1000:1001:::\n", "staff:x:50:\n") == numbers


def test_scopes_that_a_payload_needs():
    """Each thing beyond the ordinary is guarded, most of them for all task queues or for one."""
    asked = read(
        cache={"c": "/c"},
        capabilities={"privileged": True, "disableSeccomp": True, "devices": {"kvm": True, "loopbackVideo": False}},
        features={"allowPtrace": True, "dind": True},
    )
    assert payload.needed_scopes(asked, "p/w") == [
        ("docker-worker:cache:c", "docker-worker:cache:c:p/w"),
        ("docker-worker:capability:device:kvm", "docker-worker:capability:device:kvm:p/w"),
        ("docker-worker:capability:privileged", "docker-worker:capability:privileged:p/w"),
        ("docker-worker:feature:dind", "docker-worker:feature:dind:p/w"),
        "docker-worker:capability:disableSeccomp",
        "docker-worker:feature:allowPtrace",
    ]
    assert payload.needed_scopes(read(), "p/w") == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"capabilities": {"privileged": True}, "allowed": False}, "set workers.docker.privileged"),
        ({"features": {"dind": 1, "dockerSave": False}, "huh": 1}, r"(?s)payload/huh.*payload\.features\.dockerSave.*payload\.features\.dind: must be true"),
        (
            {"capabilities": {"privileged": True}, "features": {"dind": True}, "supersederUrl": "https://x", "allowed": False},
            r"(?s)supersederUrl: Taskcluster no longer supersedes.*queue\.cancelTask.*features\.dind: this worker runs no .*set workers\.docker\.dind_image",
        ),
        ({"features": {"relengAPIProxy": True}}, "no longer part of docker-worker payloads"),
        ({"features": {"balrogVPNProxy": True}}, "no longer part of docker-worker payloads"),
        ({"cache": {"c": "c"}}, "must be an absolute path"),
        ({"cache": {"c": "/"}}, "is the root of the container"),
        ({"cache": {"c": "/x"}, "artifacts": {"a": {"type": "volume", "path": "/x/"}}}, "is mounted twice"),
    ],
)
def test_payloads_that_are_refused(more, says):
    """What cannot be done is refused with its place in the payload and what to do instead, all of it at once."""
    with pytest.raises(RunEnded, match=says) as caught:
        read(**more)
    assert caught.value.outcome.reason == "malformed-payload"


async def test_no_task_is_claimed_without_room_on_the_disk(tmp_path, monkeypatch):
    """Below the floor what can be had again goes first; the worker waits as long as that is not enough."""
    clock, cleared, free = clocks.VirtualClock(), [], [5]
    monkeypatch.setattr(room, "free", lambda folder: free[0])

    async def clear() -> None:
        cleared.append(free[0])

    await room.Room([tmp_path], 5, clock, clear).wait()
    assert cleared == []
    free[0] = 4
    waiting = asyncio.create_task(room.Room([tmp_path], 5, clock, clear).wait())
    for _ in range(3):
        await asyncio.sleep(0.01)
        clock.advance(5_000)
    assert not waiting.done()
    assert len(cleared) >= 2
    free[0] = 6
    clock.advance(5_000)
    await asyncio.wait_for(waiting, 15)
