"""docker-worker payloads become generic-worker payloads with one `docker run`, as the published translator makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tcbox.workers import payloads
from tcbox.workers.host import containers, d2g, payload
from tcbox.workers.outcomes import RunEnded

BASE = {"image": "debian:12", "maxRunTime": 60}
TASK = {"deadline": "2026-01-02T00:00:00.000Z", "expires": "2026-02-01T00:00:00.000Z"}
RUN = ["docker", "run", "-t", "--name", "box", "--memory-swap", "-1", "--pids-limit", "-1", "--pull=never", "--log-driver=none"]
LOCAL = "--add-host=localhost.localdomain:127.0.0.1"
LAST = ["--env-file", "env.list", "--", "debian:12"]
PLAIN = ["RUN_ID", "TASKCLUSTER_INSTANCE_TYPE", "TASKCLUSTER_ROOT_URL", "TASKCLUSTER_WORKER_LOCATION", "TASK_GROUP_ID", "TASK_ID"]


def translated(**more) -> d2g.Translation:
    return d2g.translate(payloads.checked("generic-worker", "multiuser_posix.json#/oneOf/1", {**BASE, **more}))


def command(translation: d2g.Translation, **more) -> list[str]:
    return d2g.command(translation, d2g.Place(name="box", folder="/home", image="debian:12", **more))


def test_the_least() -> None:
    """With image and time alone, the image's own command runs, both logs are kept, and nothing else is asked for."""
    made = translated()
    assert made.payload == {
        "maxRunTime": 60, "features": {"backingLog": True, "liveLog": True}, "onExitStatus": {},
        "logs": {"live": "public/logs/live.log", "backing": "public/logs/live_backing.log"},
    }  # fmt: skip
    assert command(made) == [*RUN, LOCAL, *LAST]
    assert (list(made.variables), made.arguments, made.copies, made.volumes) == (PLAIN, (), (), ())


@pytest.mark.parametrize(
    ("more", "before", "after"),
    [
        ({"command": ["sh", "-c", "a b"]}, [], ["sh", "-c", "a b"]),
        ({"capabilities": {"privileged": True}}, ["--privileged"], []),
        ({"capabilities": {"privileged": True}, "features": {"allowPtrace": True}}, ["--privileged"], []),
        ({"features": {"allowPtrace": True}}, ["--cap-add=SYS_PTRACE"], []),
        ({"capabilities": {"disableSeccomp": True}}, ["--security-opt=seccomp=unconfined"], []),
        ({"capabilities": {"devices": {"kvm": True}}}, ["--device=/dev/kvm"], []),
        ({"capabilities": {"devices": {"hostSharedMemory": True}}}, ["--volume=/dev/shm:/dev/shm"], []),
        ({"capabilities": {"devices": {"kvm": False}}}, [], []),
    ],
)
def test_options(more, before, after) -> None:
    """What the container may do becomes options; its command comes last."""
    assert command(translated(**more)) == [*RUN, *before, LOCAL, *LAST, *after]


def test_the_proxy_and_labels() -> None:
    """With the proxy the container is on the task's own network, where the name taskcluster leads to this machine."""
    made = translated(features={"taskclusterProxy": True})
    argv = command(made, network="net", gateway="172.30.0.1", labels={"a": "b"})
    assert argv == [*RUN[:5], "--label=a=b", *RUN[5:], LOCAL, "--network", "net", "--add-host=taskcluster:172.30.0.1", *LAST]
    assert "TASKCLUSTER_PROXY_URL" in made.variables
    assert made.payload["features"]["taskclusterProxy"] is True


def test_caches() -> None:
    """Each cache is a writable directory cache, mounted where the payload has it."""
    made = translated(cache={"z": "/job/z", "a": "/a"})
    assert made.payload["mounts"] == [{"cacheName": "a", "directory": "cache0"}, {"cacheName": "z", "directory": "cache1"}]
    assert command(made)[len(RUN) :] == [LOCAL, "-v", "/home/cache0:/a", "-v", "/home/cache1:/job/z", *LAST]


def test_artifacts() -> None:
    """Files and folders are copied out, volumes are mounted; all are optional, and keep their endings and times."""
    artifacts = {
        "public/z": {"type": "directory", "path": "/out/d.d"},
        "public/b": {"type": "file", "path": "/out/x.tar.gz", "expires": "2026-01-05T00:00:00.000Z"},
        "public/v": {"type": "volume", "path": "/vol.ume"},
    }
    made = translated(artifacts=artifacts)
    assert made.payload["artifacts"] == [
        {"type": "file", "path": "artifact0.gz", "name": "public/b", "optional": True, "expires": "2026-01-05T00:00:00.000Z"},
        {"type": "directory", "path": "volume1.ume", "name": "public/v", "optional": True},
        {"type": "directory", "path": "artifact2.d", "name": "public/z", "optional": True},
    ]
    assert made.copies == (d2g.Copy("public/b", "/out/x.tar.gz", "artifact0.gz"), d2g.Copy("public/z", "/out/d.d", "artifact2.d"))
    assert made.volumes == ("volume1.ume",)
    assert "/home/volume1.ume:/vol.ume" in command(made)


def test_without_artifacts_there_are_no_logs() -> None:
    """The feature artifacts switched off leaves neither artifacts nor logs; the other two switch off one log each."""
    made = translated(features={"artifacts": False}, artifacts={"a": {"type": "file", "path": "/a"}}, log="public/x/my.txt")
    assert (made.payload["features"], "artifacts" in made.payload, made.copies) == ({"backingLog": False, "liveLog": False}, False, ())
    assert made.payload["logs"] == {"live": "public/x/my.txt", "backing": "public/x/my_backing.txt"}
    assert translated(features={"localLiveLog": False}).payload["features"] == {"backingLog": True, "liveLog": False}
    assert translated(features={"bulkLog": False}).payload["features"] == {"backingLog": False, "liveLog": True}


def test_what_is_handed_on() -> None:
    """Exit codes, certificates and shells are handed on."""
    made = translated(onExitStatus={"retry": [4, 4], "purgeCaches": [5]}, features={"chainOfTrust": True, "interactive": True})
    assert made.payload["onExitStatus"] == {"retry": [4], "purgeCaches": [5]}
    assert made.payload["features"] == {"backingLog": True, "liveLog": True, "chainOfTrust": True, "interactive": True}


def test_variables() -> None:
    """Variables stand in a file; those with line ends, or too long for one, are arguments; the worker's own cannot be replaced."""
    made = translated(
        env={"A": "b c", "LINES": "a\nb", "CR": "a\r", "LONG": "x" * 65_535, "FITS": "x" * 65_000, "TASK_ID": "mine", "TASKCLUSTER_PROXY_URL": "u"}
    )
    assert [line.partition("=")[0] for line in made.variables] == sorted(["A", "FITS", "TASKCLUSTER_PROXY_URL", *PLAIN])
    assert "TASK_ID" in made.variables
    assert [argument.partition("=")[0] for argument in made.arguments] == ["CR", "LINES", "LONG"]
    argv = command(translated(env={"LINES": "a\nb"}))
    assert argv[-6:] == ["-e", "LINES=a\nb", *LAST]


@examples(st.dictionaries(st.text("AB_", min_size=1, max_size=3), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), max_size=6))
def test_every_variable_gets_through(env) -> None:
    """Whatever its value, a variable is a whole line of the file or a whole argument, never both and never cut."""
    made = translated(env=env)
    lines = "".join(f"{line}\n" for line in made.variables).split("\n")  # as Docker reads the file
    found = {line.partition("=")[0]: line.partition("=")[2] for line in [*lines, *made.arguments] if "=" in line}
    assert found == env
    assert len(lines) == len(made.variables) + 1


@pytest.mark.parametrize(
    ("more", "needed"),
    [
        ({}, []),
        ({"cache": {"a": "/a"}}, []),
        ({"capabilities": {"privileged": True}}, [("docker-worker:capability:privileged", "docker-worker:capability:privileged:p/w")]),
        ({"capabilities": {"disableSeccomp": True}}, [("docker-worker:capability:disableSeccomp",)]),
        ({"features": {"allowPtrace": True}}, [("docker-worker:feature:allowPtrace",)]),
        *(
            ({"capabilities": {"devices": {name: True}}}, [(f"docker-worker:capability:device:{name}", f"docker-worker:capability:device:{name}:p/w")])
            for name in ("kvm", "hostSharedMemory", "loopbackAudio", "loopbackVideo")
        ),
        ({"capabilities": {"privileged": False, "devices": {"kvm": False}}}, []),
    ],
)
def test_scopes(more, needed) -> None:
    """What goes beyond an ordinary container needs the scopes that docker-worker has for it."""
    assert d2g.scopes({**BASE, **more}, "p/w") == needed


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"capabilities": {"devices": {"loopbackVideo": True}}}, "payload.capabilities.devices.loopbackVideo"),
        ({"capabilities": {"devices": {"loopbackAudio": True}}}, "payload.capabilities.devices.loopbackAudio"),
        ({"capabilities": {"devices": {"kvm": True}}}, "no /dev/kvm"),
        ({"cache": {"c": "relative"}}, r"payload.cache\['c'\]: 'relative' must be an absolute path"),
        ({"cache": {"c": "/a:ro"}}, "without a colon"),
        ({"artifacts": {"x": {"type": "volume", "path": "v"}}}, r"payload.artifacts\['x'\].path"),
        ({"env": {"A B": "c"}}, r"payload.env\['A B'\]"),
        ({"env": {"": "c"}}, r"payload.env\[''\]"),
        ({"env": {"#A": "c"}}, "no variable of a container"),
        (
            {"artifacts": {"x": {"type": "file", "path": "/v", "expires": "2026-01-01T00:00:00.000Z"}}},
            r"payload.artifacts\['x'\].expires: .* before the task's deadline",
        ),
        (
            {"artifacts": {"x": {"type": "file", "path": "/v", "expires": "2027-01-01T00:00:00.000Z"}}},
            r"payload.artifacts\['x'\].expires: .* after the task expires",
        ),
        ({"maxRunTime": 1000}, "payload.maxRunTime"),
        ({"onExitStatus": {"retry": [0]}}, "payload/onExitStatus/retry/0"),
        ({"what": 1}, "payload/what"),
        ({"supersederUrl": "https://x"}, "payload.supersederUrl: Taskcluster no longer supersedes tasks"),
        ({"features": {"dind": True}}, "payload.features.dind: only the docker worker has an engine beside a task"),
        (
            {"features": {"relengAPIProxy": True, "dind": False}, "what": 1},
            r"(?s)payload/what.*payload\.features\.relengAPIProxy: this proxy is no longer part",
        ),
    ],
)
def test_faults(more, says) -> None:
    """What cannot be done is told with its path in the payload as it came."""
    with pytest.raises(RunEnded, match=says) as raised:
        payload.read({**TASK, "payload": {**BASE, **more}}, longest=100)
    assert raised.value.outcome.reason == "malformed-payload"


def test_without_docker() -> None:
    """Where no containers can be run, a payload for them is refused with the reason."""
    with pytest.raises(RunEnded, match="needs a container. There is no engine."):
        payload.read({**TASK, "payload": BASE}, longest=100, containers="There is no engine.")
    body = {"command": [["true"]], "maxRunTime": 5, "taskclusterProxyInterface": "docker-bridge", "features": {"taskclusterProxy": True}}
    with pytest.raises(RunEnded, match=r"payload.taskclusterProxyInterface.*There is no engine."):
        payload.read({**TASK, "payload": body}, longest=100, containers="There is no engine.")
    assert payload.read({**TASK, "payload": body}, longest=100).bridge


def test_reading_leaves_the_task_as_it_came() -> None:
    """Defaults are filled into a copy: certificates and later readers have the task as it was defined."""
    for body in (dict(BASE), {"command": [["true"]], "maxRunTime": 5, "features": {}}):
        task = {**TASK, "payload": body}
        before = repr(task)
        payload.read(task, longest=100)
        assert repr(task) == before


def test_links_out_of_a_folder_are_cut(tmp_path: Path) -> None:
    """Links that a container left stay when they lead to something of the same folder, and go when they lead elsewhere or in a circle."""
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "file").write_text("x")
    good = {"same": "file", "deep/up": "../file", "dangling": "absent"}
    bad = {"etc": "/etc", "passwd": "/etc/passwd", "deep/far": "../../other", "round": "round", "hop": "etc/passwd"}
    for name, target in {**good, **bad}.items():
        (out / name).symlink_to(target)
    assert {str(link.relative_to(out)) for link in containers.cut_links(out)} | {"hop"} == set(bad)
    assert not (out / "hop").exists()
    assert all((out / name).is_symlink() for name in good)
    (tmp_path / "link").symlink_to("out")
    assert containers.cut_links(tmp_path / "link") == [tmp_path / "link"]
    assert not (tmp_path / "link").is_symlink()
    assert containers.cut_links(tmp_path / "absent") == []
