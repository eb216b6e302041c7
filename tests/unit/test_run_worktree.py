"""The repository that tasks clone, served as GitHub would."""

import asyncio
import io
import os
import subprocess
import tarfile
import urllib.error
import urllib.request

import pytest

from tcbox.run import project
from tcbox.run.faults import CannotRun
from tcbox.run.leading import Lead
from tcbox.run.serving import Repositories
from tcbox.run.worktree import Worktree
from tcbox.workers import peers
from tests.support.projects import git, repository


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository with a branch, a tag, something ignored, and changes of all kinds."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    folder = tmp_path / "demo"
    folder.mkdir()
    for name in ("kept", "changed", "removed"):
        (folder / name).write_text(f"{name}\n")
    (folder / ".gitignore").write_text("ignored\n")
    repository(folder)
    git(folder, "tag", "v1.0")
    git(folder, "branch", "other")
    (folder / ".git" / "hooks" / "post-index-change").write_text("#!/bin/sh\ntouch ../hooked\n")
    (folder / ".git" / "hooks" / "post-index-change").chmod(0o755)
    return folder


def dirty(folder):
    (folder / "changed").write_text("changed again\n")
    (folder / "removed").unlink()
    (folder / "ignored").write_text("secret\n")
    (folder / "new").mkdir()
    (folder / "new" / "ümläut file").write_text("new\n")
    (folder / "kept").write_text("staged\n")
    git(folder, "add", "kept")


def test_snapshot(tree, tmp_path):
    """A clean tree is the commit itself; a dirty one is a commit on top with all that is not ignored, and leaves no trace."""
    found = project.read(tree)
    served = Worktree(tree, tmp_path / "served")
    clean = served.snapshot(found)
    assert (clean.commit, clean.dirty) == (git(tree, "rev-parse", "HEAD"), False)
    dirty(tree)
    before = git(tree, "status", "--short"), sorted(map(str, (tree / ".git").rglob("*")))
    (tmp_path / "hooked").unlink()
    made = served.snapshot(found)
    assert not (tmp_path / "hooked").exists(), "a look at a repository runs none of its hooks"
    assert set(made.changed) == {"changed", "kept", "removed", "new/ümläut file"}
    assert made == served.snapshot(found), "the same state is the same commit"
    assert (git(tree, "status", "--short"), sorted(map(str, (tree / ".git").rglob("*")))) == before
    listed = git(served.folder, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", made.commit).splitlines()
    assert listed == [".gitignore", "changed", "kept", "new/ümläut file"]
    assert git(served.folder, "rev-parse", f"{made.commit}^") == found.head


def test_a_change_of_the_same_second(tree, tmp_path):
    """What was changed in the very second of the commit, and is as long as before, is a change."""
    kept, index, then = tree / "kept", tree / ".git" / "index", (tree / "kept").stat().st_mtime_ns - 10**10
    git(tree, "config", "core.trustctime", "false")
    os.utime(kept, ns=(then, then))
    git(tree, "add", "kept")
    os.utime(index, ns=(then, then))
    kept.write_text("KEPT\n")
    os.utime(kept, ns=(then, then))
    assert list(Worktree(tree, tmp_path / "served").snapshot(project.read(tree)).changed) == ["kept"]


def test_snapshot_before_the_first_commit(tmp_path, monkeypatch):
    """A repository without any commit has its files as the first."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "young"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", ".")
    (folder / "a").write_text("a\n")
    found = project.read(folder)
    assert (found.owner, found.name, found.branch, found.head) == ("local", "young", "main", "")
    made = Worktree(folder, tmp_path / "served").snapshot(found)
    assert made.dirty
    with pytest.raises(CannotRun, match="no git work tree"):
        project.find(tmp_path)


def test_project(tree):
    """What an event needs is read from git: branch, base, what was pushed, the newest tag."""
    git(tree, "checkout", "-q", "-b", "topic")
    first = git(tree, "rev-parse", "HEAD")
    git(tree, "update-ref", "refs/remotes/origin/main", first)
    git(tree, "update-ref", "refs/remotes/origin/topic", first)
    for number in range(2):
        (tree / "changed").write_text(f"{number}\n")
        git(tree, "commit", "-qam", f"number {number}")
    found = project.read(tree)
    assert (found.branch, found.default_branch, found.base, found.before, found.tag) == ("topic", "main", first, first, "v1.0")
    git(tree, "checkout", "-q", "--detach")
    assert project.read(tree).branch == "main"


async def test_served(tree, tmp_path):
    """The repository is cloned by git's own protocols, with its branches and tags; archives and files are there; nothing can be pushed."""
    dirty(tree)
    found = project.read(tree)
    served = Worktree(tree, tmp_path / "served")
    made = served.snapshot(found)
    served.show(found, {"refs/heads/main": made.commit, "refs/pull/1/head": made.commit}, "main")
    server = Repositories(served.folder, "octo", "demo")
    await server.listen("127.0.0.1")
    try:
        await asyncio.to_thread(_use, server, made.commit, tmp_path)
    finally:
        await server.close()


def _use(server, commit, tmp_path):
    lead = Lead("octo/demo", server.url)
    numbered = {key: value for key, value in lead.env.items() if key != "GIT_CONFIG_PARAMETERS"}
    old = {"GIT_CONFIG_PARAMETERS": lead.env["GIT_CONFIG_PARAMETERS"]}
    for number, (url, protocol, env) in enumerate((
        (server.url, "2", {}), (f"{server.url}.git", "0", {}), ("https://github.com/octo/demo", "2", lead.env), ("git@github.com:octo/demo.git", "2", numbered),
        ("ssh://git@github.com/octo/demo", "1", old),
    )):  # fmt: skip
        target = tmp_path / f"clone{number}"
        words = ["git", "-c", f"protocol.version={protocol}", "clone", "-q", url, str(target)]
        subprocess.run(words, check=True, env={**os.environ, **env}, timeout=60)
        assert git(target, "rev-parse", "HEAD") == commit
        assert (target / "new" / "ümläut file").read_text() == "new\n"
        assert not (target / "ignored").exists()
    refs = git(target, "ls-remote", server.url).splitlines()
    assert {line.partition("\t")[2] for line in refs} >= {"HEAD", "refs/heads/main", "refs/heads/other", "refs/tags/v1.0", "refs/pull/1/head"}
    bare = tmp_path / "by-commit"
    bare.mkdir()
    git(bare, "init", "-q", ".")
    git(bare, "fetch", "-q", "--depth=1", server.url, commit)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        git(target, "push", server.url, "HEAD:refs/heads/main")
    assert "403" in refused.value.stderr
    with urllib.request.urlopen(f"{server.url}/archive/{commit}.tar.gz") as reply, tarfile.open(fileobj=io.BytesIO(reply.read())) as tar:
        assert f"demo-{commit}/new/ümläut file" in tar.getnames()
    with urllib.request.urlopen(f"{server.url}/archive/refs/tags/v1.0.zip") as reply:
        assert reply.read(2) == b"PK"
    with urllib.request.urlopen(f"{server.url}/raw/{commit}/changed") as reply:
        assert reply.read() == b"changed again\n"
    for url in (
        f"{server.url}/raw/{commit}/ignored", f"{server.url}/archive/--output=x.tar.gz", f"{server.url}/raw/..%2F..%2Fetc/passwd", f"{server.url}/config",
        f"{server.url}/objects/info/alternates", server.url.replace(server.base.rpartition("/")[2], "guess"),
    ):  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(url)
        assert missing.value.code == 404
    request = urllib.request.Request(f"{server.base}/octo/demo2/info/refs?service=git-upload-pack")
    opener = urllib.request.build_opener(_NoRedirect)
    with pytest.raises(urllib.error.HTTPError) as elsewhere:
        opener.open(request)
    assert elsewhere.value.headers["Location"] == "https://github.com/octo/demo2/info/refs?service=git-upload-pack"


async def test_who_is_served(tree, tmp_path, monkeypatch):
    """What is served is for tasks: no program of another user gets it, nor a page that has a name of its own lead there, though they know the URL."""
    served = Worktree(tree, tmp_path / "served")
    served.show(project.read(tree), {"refs/heads/main": git(tree, "rev-parse", "HEAD")}, "main")
    server = Repositories(served.folder, "octo", "demo")
    await server.listen("127.0.0.1")
    url = f"{server.url}/archive/main.tar.gz"
    try:
        assert await asyncio.to_thread(_status, url) == 200
        assert await asyncio.to_thread(_status, url, Host="evil.example.com") == 403
        assert await asyncio.to_thread(_status, url, Host=server.url.split("/")[2].replace("127.0.0.1", "evil.example.com")) == 403
        monkeypatch.setattr(peers, "find", lambda *_: os.getuid() + 7)
        assert await asyncio.to_thread(_status, url) == 403
    finally:
        await server.close()


def _status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            return reply.status
    except urllib.error.HTTPError as refused:
        return refused.code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None
