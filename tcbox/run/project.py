"""What git knows of a work tree: whose it is, on which branch, at which commit, and by whom."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tcbox.run import git
from tcbox.run.faults import CannotRun

_REMOTE = re.compile(r"(?:^|[:/])([^/:]+)/([^/]+?)(?:\.git)?/*$")
_ODD_OWNER, _ODD_NAME = re.compile(r"[^A-Za-z0-9-]+"), re.compile(r"[^A-Za-z0-9_.-]+")
ZEROS = "0" * 40


@dataclass(frozen=True, slots=True)
class Project:
    """A repository, as events name it.

    Attributes:
        root: the top of the work tree.
        owner, name: of the repository, as its remote says; `local` and the folder's name without one.
        branch: the present one; the default one when none is checked out.
        head: the commit that is checked out, empty before the first commit.
        before: what the branch's remote has, else the parent of `head`.
        base: where the branch left the default one.
        author, email, login: who works here.
        message: of the commit that is checked out.
        tag: the newest that is in the history.
    """

    root: Path
    owner: str
    name: str
    branch: str
    default_branch: str
    head: str
    before: str
    base: str
    author: str
    email: str
    login: str
    message: str
    tag: str


def find(folder: Path) -> Path:
    """The top of the work tree that a folder is in.

    Raises CannotRun when it is in none.
    """
    done = git.run(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        if "dubious ownership" in done.stderr:
            raise CannotRun(f"{folder} belongs to another user, and git refuses it: git config --global --add safe.directory {folder}")
        raise CannotRun(f"{folder} is in no git work tree: events need a repository; make one with 'git init', or name a task's definition instead")
    return Path(done.stdout.removesuffix("\n"))


def read(root: Path) -> Project:
    """Ask git about a work tree."""
    remote = _remote(root)
    url = git.maybe(root, "remote", "get-url", remote) if remote else ""
    owner, name = names(url, root)
    default = _default_branch(root, remote)
    branch = git.maybe(root, "symbolic-ref", "--short", "-q", "HEAD") or default
    head = git.maybe(root, "rev-parse", "-q", "--verify", "HEAD^{commit}")
    email = git.maybe(root, "config", "user.email") or "nobody@localhost.localdomain"
    author = git.maybe(root, "config", "user.name") or email.partition("@")[0]
    return Project(
        root=root, owner=owner, name=name, branch=branch, default_branch=default, head=head, before=_before(root, remote, branch, head),
        base=_base(root, remote, default, head), author=author, email=email,
        login=git.maybe(root, "config", "github.user") or login(email), message=git.maybe(root, "log", "-1", "--format=%B").strip() or "Work in progress",
        tag=git.maybe(root, "describe", "--tags", "--abbrev=0"),
    )  # fmt: skip


def names(url: str, root: Path) -> tuple[str, str]:
    """Owner and name of a repository by its remote's URL, in characters that GitHub has."""
    found = _REMOTE.search(url)
    owner, name = (found[1], found[2]) if found else ("local", root.name)
    return _ODD_OWNER.sub("-", owner).strip("-")[:39] or "local", _ODD_NAME.sub("-", name).strip("-.")[:100] or "project"


def login(email: str) -> str:
    """A GitHub login by an address: GitHub's own private addresses have it, others have a likely one."""
    local, _, domain = email.partition("@")
    if domain == "users.noreply.github.com":
        local = local.rpartition("+")[2]
    return _ODD_OWNER.sub("-", local).strip("-") or "nobody"


def _remote(root: Path) -> str:
    remotes = git.maybe(root, "remote").split()
    return next((each for each in ("upstream", "origin") if each in remotes), remotes[0] if remotes else "")


def _default_branch(root: Path, remote: str) -> str:
    if remote:
        told = git.maybe(root, "symbolic-ref", "--short", "-q", f"refs/remotes/{remote}/HEAD")
        if told:
            return told.removeprefix(f"{remote}/")
    for name in ("main", "master"):
        for ref in (f"refs/heads/{name}", f"refs/remotes/{remote}/{name}"):
            if git.maybe(root, "rev-parse", "-q", "--verify", ref):
                return name
    return git.maybe(root, "symbolic-ref", "--short", "-q", "HEAD") or "main"


def _before(root: Path, remote: str, branch: str, head: str) -> str:
    if not head:
        return ZEROS
    pushed = git.maybe(root, "rev-parse", "-q", "--verify", f"refs/remotes/{remote}/{branch}^{{commit}}") if remote else ""
    if pushed and pushed != head and not git.run(root, "merge-base", "--is-ancestor", pushed, head).returncode:
        return pushed
    return git.maybe(root, "rev-parse", "-q", "--verify", "HEAD^1") or ZEROS


def _base(root: Path, remote: str, default: str, head: str) -> str:
    for ref in (f"refs/remotes/{remote}/{default}", f"refs/heads/{default}"):
        found = git.maybe(root, "merge-base", ref, "HEAD") if head else ""
        if found:
            return found
    return head or ZEROS
