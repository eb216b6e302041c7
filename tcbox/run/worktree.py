"""The repository that tasks clone: what is committed, and the work tree's present state as a commit on top.

Nothing is written into the user's own repository: the commit, and what it needs, is kept in a bare repository beside,
which borrows all other objects.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tcbox.run import git
from tcbox.run.project import Project

_HEADS, _TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of a work tree.

    Attributes:
        commit: to be checked out.
        tree: tells one state from another.
        dirty: whether it holds anything that is not committed.
        changed: the paths that are not committed.
    """

    commit: str
    tree: str
    dirty: bool
    changed: tuple[str, ...] = ()


class Worktree:
    """Takes snapshots of a work tree into a repository that can be served.

    Args:
        folder: for the repository, which is made anew.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self._lock = threading.Lock()
        self._index = folder.with_suffix(".index")
        self._objects = Path(git.ask(root, "rev-parse", "--path-format=absolute", "--git-path", "objects"))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        git.ask(folder, "init", "-q", "--bare", "--template=", ".")
        git.ask(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
        git.ask(folder, "config", "uploadpack.allowFilter", "true")
        (folder / "objects" / "info").mkdir(exist_ok=True)
        (folder / "objects" / "info" / "alternates").write_text(f"{self._objects}\n")

    def tree(self) -> str:
        """The tree of all that is not ignored, as it is now."""
        with self._lock:
            return self._tree()

    def _tree(self) -> str:
        own = Path(git.ask(self.root, "rev-parse", "--path-format=absolute", "--git-path", "index"))
        self._index.unlink(missing_ok=True)
        if own.exists():
            shutil.copy2(own, self._index)  # with what it knows of unchanged files; by its time git tells which may have changed since
        git.ask(self.root, "add", "-A", "--", ":/", env=self._apart)
        return git.ask(self.root, "write-tree", env=self._apart)

    def snapshot(self, project: Project) -> Snapshot:
        """The present state as a commit: the one that is checked out when nothing has been changed since."""
        tree = self.tree()
        if project.head and tree == git.ask(self.root, "rev-parse", "HEAD^{tree}"):
            return Snapshot(project.head, tree, dirty=False)
        changed = git.ask(self.root, "diff-tree", "-r", "-z", "--name-only", project.head, tree, env=self._apart) if project.head else ""
        when = git.ask(self.root, "log", "-1", "--format=%cI") if project.head else "2000-01-01T00:00:00Z"  # the same state is always the same commit
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", project.author), ("EMAIL", project.email), ("DATE", when))
        }
        parents = ("-p", project.head) if project.head else ()
        message = f"{project.message.splitlines()[0]}\n\nWith changes that are not committed.\n"
        commit = git.ask(self.root, "commit-tree", *parents, tree, env={**self._apart, **who}, text=message)
        return Snapshot(commit, tree, dirty=True, changed=tuple(filter(None, changed.split("\0"))))

    def show(self, project: Project, refs: Mapping[str, str], head: str) -> None:
        """Let those who clone see the branches and tags that there are, and these refs besides.

        Args:
            refs: commits by their full names, such as `refs/heads/main`.
            head: the branch that a plain clone checks out.
        """
        listed = git.ask(self.root, "for-each-ref", "--format=%(objectname) %(refname)")
        found: dict[str, str] = {}
        for line in listed.splitlines():
            commit, _, name = line.partition(" ")
            if name.startswith("refs/remotes/origin/") and not name.endswith("/HEAD"):
                found.setdefault(_HEADS + name.removeprefix("refs/remotes/origin/"), commit)
        for line in listed.splitlines():
            commit, _, name = line.partition(" ")
            if name.startswith((_HEADS, _TAGS)):
                found[name] = commit
        found = {name: commit for name, commit in found.items() if not any(_clash(name, other) for other in refs)}
        packed = sorted({**found, **refs}.items())
        (self.folder / "packed-refs").write_text("# pack-refs with: sorted \n" + "".join(f"{commit} {name}\n" for name, commit in packed))
        (self.folder / "HEAD").write_text(f"ref: {_HEADS}{head}\n")
        shallow = Path(git.ask(self.root, "rev-parse", "--path-format=absolute", "--git-path", "shallow"))
        if shallow.exists():
            shutil.copyfile(shallow, self.folder / "shallow")

    def remove(self) -> None:
        """Remove the repository; may be called twice."""
        with self._lock:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._index.unlink(missing_ok=True)

    @property
    def _apart(self) -> dict[str, str]:
        return {
            "GIT_INDEX_FILE": str(self._index), "GIT_OBJECT_DIRECTORY": str(self.folder / "objects"), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._objects),
        }  # fmt: skip


def _clash(name: str, other: str) -> bool:
    """Whether two refs cannot both be: one is a folder of the other."""
    return name.startswith(f"{other}/") or other.startswith(f"{name}/")
