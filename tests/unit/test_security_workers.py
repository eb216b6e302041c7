"""What tasks and the files that they bring can reach of the worker, of other tasks and of the machine."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import time
import zipfile
from types import SimpleNamespace

import aiohttp
import pytest

from tcbox import clock as clocks
from tcbox import errors
from tcbox.workers import downloads, environment, outcomes
from tcbox.workers.docker.extract import extract
from tcbox.workers.host import archives
from tcbox.workers.host.contents import Contents
from tcbox.workers import peers
from tcbox.workers.proxy import Proxy


def test_the_environment_of_the_worker_is_not_the_tasks():
    """Of the worker's variables a task as a process gets those that programs need to run, and none that may hold a secret."""
    given = {
        "PATH": "p", "HOME": "h", "LC_ALL": "C.UTF-8", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "s", "PGPASSWORD": "s", "GITHUB_TOKEN": "s", "MY_KEY": "s",
        "TCBOX_DATABASE": "s", "TASKCLUSTER_ACCESS_TOKEN": "s", "SSH_AUTH_SOCK": "s", "GOOGLE_APPLICATION_CREDENTIALS": "s", "VAULT_TOKEN": "s",
    }  # fmt: skip
    assert environment.inherited(given) == {"PATH": "p", "HOME": "h", "LC_ALL": "C.UTF-8"}


async def test_the_proxy_answers_its_own_task_alone():
    """Requests from other networks, and from the address that the proxy listens at, are refused without being signed."""
    run = SimpleNamespace(credentials=None, clock=clocks.SystemClock(), http=SimpleNamespace(root_url="http://127.0.0.1:1"))
    async with aiohttp.ClientSession() as session:
        proxy = Proxy(run, session, guests="127.0.7.0/24")
        port = await proxy.listen("127.0.7.1")
        seen = {}
        for own in ("127.0.7.1", "127.0.8.2", "127.0.0.1", "127.0.7.2"):
            connector = aiohttp.TCPConnector(local_addr=(own, 0))
            async with aiohttp.ClientSession(connector=connector) as client, client.get(f"http://127.0.7.1:{port}/credentials") as reply:
                seen[own] = reply.status
        await proxy.close()
    assert seen == {"127.0.7.1": 403, "127.0.8.2": 403, "127.0.0.1": 403, "127.0.7.2": 405}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example.com"}, 403), ({"Host": "evil.example.com:80"}, 403), ({"Origin": "https://evil.example.com"}, 403), ({"Origin": "null"}, 403),
        ({"Origin": "http://203.0.113.5"}, 403), ({"Origin": "http://printer"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "http://["}, 403),
        ({"Host": "taskcluster"}, 405), ({"Host": "localhost:1234"}, 405), ({"Host": "[::1]:80"}, 405), ({"Origin": "http://localhost:3000"}, 405),
    ],
)  # fmt: skip
async def test_the_proxy_answers_no_page_of_a_browser(headers, status):
    """A web page that a browser on the same machine shows cannot use a task's proxy, nor can a name that it makes lead there."""
    run = SimpleNamespace(credentials=None, clock=clocks.SystemClock(), http=SimpleNamespace(root_url="http://127.0.0.1:1"))
    async with aiohttp.ClientSession() as session:
        proxy = Proxy(run, session)
        port = await proxy.listen("127.0.0.1")
        async with session.get(f"http://127.0.0.1:{port}/credentials", headers=headers) as reply:
            assert reply.status == status
        await proxy.close()


async def test_the_proxy_of_a_process_answers_no_other_user(monkeypatch):
    """A program of another user of the machine, who can connect too, gets nothing signed; root's may, which can read the credentials anyway.

    Nor does one that nobody knows the user of, where users are known at all.
    """
    run = SimpleNamespace(credentials=None, clock=clocks.SystemClock(), http=SimpleNamespace(root_url="http://127.0.0.1:1"))
    me = os.getuid()
    async with aiohttp.ClientSession() as session:
        proxy = Proxy(run, session)
        port = await proxy.listen("127.0.0.1")
        seen = {}
        for name, owner in (("mine", lambda *_: me), ("another's", lambda *_: me + 7), ("root's", lambda *_: 0), ("nobody knows whose", lambda *_: None)):
            monkeypatch.setattr(peers, "find", owner)
            async with session.get(f"http://127.0.0.1:{port}/credentials") as reply:
                seen[name] = reply.status
        await proxy.close()
    assert seen == {"mine": 405, "another's": 403, "root's": 405, "nobody knows whose": 403}


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="Linux tells whose a connection is")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_system_tells_whose_a_connection_is(host):
    """The user at the other end of a connection is found in the system's table."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server, socket.socket(family) as client:
        server.bind((host, 0))
        server.listen()
        client.connect(server.getsockname()[:2])
        taken, _ = server.accept()
        with taken, open("/proc/net/tcp6" if ":" in host else "/proc/net/tcp") as table:
            assert peers.find(table, taken.getpeername()[:2], taken.getsockname()[:2]) == os.getuid()
            assert not peers.strange(taken.getpeername()[:2], taken.getsockname()[:2])


@pytest.fixture
def another(monkeypatch):
    """Makes sockets of IPv4 or IPv6 that are another user's than the one who looks."""

    def make(family: int) -> socket.socket:
        if os.getuid():
            sock = socket.socket(family)
            monkeypatch.setattr(os, "getuid", lambda me=os.getuid(): me + 7)
            return sock
        os.seteuid(65534)
        try:
            return socket.socket(family)
        finally:
            os.seteuid(0)

    return make


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp6"), reason="Linux tells whose a connection is")
@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_whose_a_connection_is_however_it_was_made(another, host):
    """A connection to an address of IPv4 is its user's also when it was made by a socket of IPv6."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for make, strange in ((socket.socket, False), (another, True)):
        with socket.create_server(("127.0.0.1", 0)) as server, make(family) as client:
            client.connect((host, server.getsockname()[1]))
            taken, _ = server.accept()
            with taken:
                assert peers.strange(taken.getpeername(), taken.getsockname()) is strange


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp6"), reason="Linux tells whose a connection is")
@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_connection_that_was_closed_is_nobodys(another, host):
    """Who sends a request and closes the connection at once, so that the system has it as root's, is not taken for root."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with another(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
            client.connect((host, server.getsockname()[1]))
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        taken, _ = server.accept()
        time.sleep(0.1)  # until the system has forgotten whose it was
        with taken:
            assert peers.strange(taken.getpeername(), taken.getsockname())


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp6"), reason="Linux tells whose a connection is")
@pytest.mark.parametrize(("mine", "ended", "strange"), [(True, False, False), (False, False, True), (True, True, True)])
def test_a_connection_that_the_system_has_come_from_elsewhere(another, mine, ended, strange, monkeypatch):
    """A process that Docker has connect from another address is known by its port, while the connection is there."""
    with socket.create_server(("127.0.0.1", 0)) as server, (socket.socket if mine else another)(socket.AF_INET) as client:
        client.connect(server.getsockname())
        own, port = server.getsockname(), client.getsockname()[1]
        monkeypatch.setattr(peers, "_open", lambda peer, to: (peer, to) == (("127.9.9.9", port), own) and not ended)
        assert peers.strange(("127.9.9.9", port), own) is strange


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp6"), reason="Linux tells whose a connection is")
def test_whether_a_connection_is_open():
    """A connection is open until either end closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        taken, _ = server.accept()
        with taken:
            ends = taken.getpeername(), taken.getsockname()
            assert peers._open(*ends)
            client.close()
            assert not peers._open(*ends)


async def test_a_proxy_for_processes_and_their_network(monkeypatch):
    """With docker-bridge a task's own containers and its user's processes are answered, containers of other networks are not."""
    run = SimpleNamespace(credentials=None, clock=clocks.SystemClock(), http=SimpleNamespace(root_url="http://127.0.0.1:1"))
    seen = {}
    async with aiohttp.ClientSession() as session:
        proxy = Proxy(run, session, guests="127.0.7.0/24", processes=True)
        port = await proxy.listen("127.0.7.1")
        for name, own, here, owner in (
            ("a process", "127.0.7.1", True, os.getuid()), ("another user's process", "127.0.7.1", True, os.getuid() + 7),
            ("its container", "127.0.7.2", False, None), ("another's container", "127.0.8.2", False, None),
        ):  # fmt: skip
            monkeypatch.setattr(peers, "find", lambda *_, owner=owner: owner)
            monkeypatch.setattr(peers, "near", lambda _, here=here: here)
            connector = aiohttp.TCPConnector(local_addr=(own, 0))
            async with aiohttp.ClientSession(connector=connector) as client, client.get(f"http://127.0.7.1:{port}/credentials") as reply:
                seen[name] = reply.status
        await proxy.close()
    assert seen == {"a process": 405, "another user's process": 403, "its container": 405, "another's container": 403}


def test_which_addresses_are_this_machines():
    """An address of this machine is told from another's."""
    assert [peers.near(host) for host in ("127.0.0.1", "127.9.9.9", "192.0.2.7", "2001:db8::7")] == [True, True, False, False]


async def test_what_was_fetched_for_one_task_is_not_given_to_one_that_may_not_have_it(tmp_path, monkeypatch):
    """A private artifact that is kept from an earlier task is mounted only for tasks that may have it themselves."""

    async def fetch(run, session, task_id, name, target):
        target.write_bytes(b"secret")
        return "digest"

    class Http:
        def __init__(self, allowed):
            self.allowed = allowed

        async def call(self, service, method, *args):
            if not self.allowed:
                raise errors.InsufficientScopes("no")
            return {}

    monkeypatch.setattr(downloads, "artifact", fetch)
    log = SimpleNamespace(say=lambda text: None)
    contents = Contents(tmp_path, None)
    content = {"taskId": "t", "artifact": "private/x"}
    for _ in range(2):
        async with contents.file(content, SimpleNamespace(http=Http(True)), log) as path:
            assert path.read_bytes() == b"secret"
    with pytest.raises(outcomes.RunEnded):
        async with contents.file(content, SimpleNamespace(http=Http(False)), log):
            pass


def tar(*entries: tuple[str, str, str]) -> bytes:
    """A tar with entries of name, kind and text."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, kind, text in entries:
            entry = tarfile.TarInfo("placeholder")
            entry.name = name
            entry.type = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}[kind]
            if kind in ("link", "hard"):
                entry.linkname = text
            data = text.encode() if kind == "file" else b""
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["top//{abs}", "//{abs}", "/{abs}", "top/../../{rel}", "../{rel}", "top/./../{rel}"],
)  # fmt: skip
def test_files_of_a_container_stay_in_the_folder_for_them(tmp_path, name):
    """Whatever names a container's tar has, nothing is written beside the folder that it is taken out to."""
    outside = tmp_path / "outside" / "f"
    target = tmp_path / "in" / "target"
    target.parent.mkdir()
    tar_file = tmp_path / "x.tar"
    tar_file.write_bytes(tar(("top", "folder", ""), (name.format(abs=str(outside).lstrip("/"), rel="outside/f"), "file", "x")))
    extract(tar_file, target)
    assert not outside.parent.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "x.tar"]


def test_links_and_devices_of_a_container_lead_nowhere(tmp_path):
    """Links in a container's tar that lead to files of this machine, and devices, are passed over."""
    private = tmp_path / "private"
    private.write_text("secret")
    tar_file = tmp_path / "x.tar"
    entries = (
        ("top", "folder", ""),
        ("top/a", "link", str(private)),
        ("top/b", "link", "../../private"),
        ("top/c", "hard", str(private)),
        ("top/d", "device", ""),
    )
    tar_file.write_bytes(tar(*entries, ("top/a/x", "file", "y")))
    extract(tar_file, tmp_path / "target")
    assert all("secret" not in path.read_text() for path in (tmp_path / "target").rglob("*") if path.is_file())
    assert private.read_text() == "secret"
    assert not any(path.is_symlink() for path in (tmp_path / "target").rglob("*"))


def zipped(*entries: tuple[str, str, bool]) -> bytes:
    """A zip with entries of name, text, and whether it is a link."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, text, link in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o120777 if link else 0o100644) << 16
            file.writestr(entry, text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("zip", zipped(("a", "../outside", True), ("a/f", "x", False))),
        ("zip", zipped(("a", "/tmp", True))),
        ("zip", zipped(("t/f", "x", False), ("p/q/r", "../../t", True), ("p/q/r/l", "../..", True), ("p/q/r/l/outside/f", "x", False))),
        ("zip", zipped(("t", ".", True), ("t/l", "..", True), ("t/l/outside/f", "x", False))),
        ("zip", zipped(("../outside/f", "x", False))),
        ("zip", zipped(("/outside/f", "x", False))),
        ("tar", tar(("../outside/f", "file", "x"))),
        ("tar", tar(("a", "link", "../outside"), ("a/f", "file", "x"))),
        ("tar", tar(("/outside/f", "file", "x"))),
        ("zip", zipped(("L", "p/q/../..", True), ("p/q", "..", True), ("L/outside/f", "x", False))),
    ],
)  # fmt: skip
def test_archives_stay_in_their_folder(tmp_path, form, content):
    """No archive writes outside of the folder that it is unpacked to, by names or by links, in whatever order they come."""
    (tmp_path / "outside").mkdir()
    folder = tmp_path / "in"
    folder.mkdir()
    source = tmp_path / "archive"
    source.write_bytes(content)
    try:
        archives.unpack(source, form, folder)
    except archives.CannotUnpack:
        pass
    assert list((tmp_path / "outside").iterdir()) == []
    assert not list(tmp_path.glob("in/**/tmp/*"))
