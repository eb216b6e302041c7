"""From a work tree as it is now to the plan of its tasks, with the repository served that they will clone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

from tcbox import clock as clocks
from tcbox.client.http import Http
from tcbox.run import cron, event, project, rendering
from tcbox.run.event import Event
from tcbox.run.faults import CannotRun, WrongUsage
from tcbox.run.leading import Lead
from tcbox.run.plan import Plan
from tcbox.run.project import Project
from tcbox.run.rendering import Source
from tcbox.run.serving import Repositories
from tcbox.run.wishes import Wishes
from tcbox.run.worktree import Snapshot, Worktree

_WORDS = {
    event.PUSH: "a push to {}", event.TAG: "the push of a tag", event.PULL_REQUEST: "a pull request from {}", event.RELEASE: "a release",
    event.COMMENT: "a comment",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is about to be run.

    Attributes:
        about: what it is, in words.
        lead: how tasks are led to the work tree, None when there is none.
    """

    plan: Plan
    about: str
    lead: Lead | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found at one time."""

    source: Source
    project: Project
    snapshot: Snapshot
    now: int


class Preparing:
    """Looks at a work tree, and serves it.

    Args:
        folder: for the repository that is served.
        host: the address that it is served at.
    """

    def __init__(self, wishes: Wishes, source: Source, folder: Path, host: str) -> None:
        self._wishes, self._folder, self._host = wishes, folder, host
        self._root = _root(source)
        self._worktree: Worktree | None = None
        self._served: Repositories | None = None
        self.current: object = None
        """The state that was run last, None before the first."""

    def state(self) -> object:
        """Tells one state of what is run from another; None when it cannot be told. Blocking."""
        if self._root is not None:
            return None if self._worktree is None else self._worktree.tree()
        try:
            return self._wishes.path.stat().st_mtime_ns
        except OSError:
            return None

    async def prepare(self, http: Http) -> Prepared:
        """Take a snapshot, serve it, and render what it has.

        Raises CannotRun, WrongUsage.
        """
        now = clocks.SystemClock().now()
        if self._root is None:
            self.current = self.state()
            source = rendering.find(self._wishes.path)
            return Prepared(rendering.single(source, now), f"the task of {source.path.name}")
        found = await asyncio.to_thread(project.read, self._root)
        if self._worktree is None:
            self._worktree = await asyncio.to_thread(Worktree, self._root, self._folder / "served")
        snapshot = await asyncio.to_thread(self._worktree.snapshot, found)
        self.current = snapshot.tree
        look = _Look(rendering.find(self._wishes.path), found, snapshot, now)
        kind, _, job = self._wishes.event.partition(":")
        if look.source.task is not None:
            await self._serve(look, _plain(found))
            plan, about = rendering.single(look.source, now), f"the task of {look.source.path.name},"
        elif kind == event.CRON:
            plan, about = await self._cron(look, job, http), "a cron job of"
        else:
            made = self._event(look)
            await self._serve(look, made)
            plan, about = await rendering.github(http, look.source, self._pointed(made)), f"{_WORDS[made.kind].format(made.branch)} of"
        return Prepared(plan, f"{about} {_state(self._lead.full_name, snapshot)}", self._lead)

    def _event(self, look: _Look) -> Event:
        wanted, when = self._wishes.event, clocks.to_wire(look.now)[:19] + "Z"
        if wanted in event.KINDS:
            return event.make(wanted, look.project, look.snapshot.commit, dirty=look.snapshot.dirty, when=when)
        try:
            given = json.loads(rendering.read(Path(wanted)))
        except ValueError as error:
            raise WrongUsage(f"{wanted} is no JSON: {error}") from error
        return event.of(given, look.project, look.snapshot.commit, dirty=look.snapshot.dirty, when=when)

    async def _cron(self, look: _Look, job: str, http: Http) -> Plan:
        given = cron.job(look.project.root, job)
        await self._serve(look, _plain(look.project))
        context = cron.context(given, look.project, look.snapshot.commit, root_url=http.root_url, now=look.now)
        if self._wishes.served_urls:
            context["repository"] = self._lead.point(context["repository"])
        return rendering.cron(look.source, context, cron.role(str(given["name"]), look.project))

    def _pointed(self, made: Event) -> Event:
        if not self._wishes.served_urls:
            return made
        return replace(made, body=self._lead.point(made.body))

    # -- serving

    async def _serve(self, look: _Look, made: Event) -> None:
        """Serve the snapshot as the repository that an event is about."""
        assert self._worktree is not None
        await asyncio.to_thread(self._worktree.show, look.project, dict.fromkeys(made.refs, look.snapshot.commit), made.branch)
        if self._served is None:
            self._served = Repositories(self._worktree.folder, made.owner, made.name)
            try:
                await self._served.listen(self._host)
            except OSError as error:
                raise CannotRun(f"the work tree cannot be served at {self._host}: {error.strerror}") from error
        self._served.path = f"{made.owner}/{made.name}"

    @property
    def _lead(self) -> Lead:
        assert self._served is not None
        return Lead(self._served.path, self._served.url)

    async def close(self) -> None:
        """Stop serving, and remove what was served; may be called twice."""
        if self._served is not None:
            await self._served.close()
        if self._worktree is not None:
            await asyncio.to_thread(self._worktree.remove)


def _plain(found: Project) -> Event:
    """What a repository is served as when no event of GitHub's says so."""
    return Event(event.PUSH, {}, found.owner, found.name, found.branch, (f"refs/heads/{found.branch}",))


def _root(source: Source) -> Path | None:
    """The work tree that is to be served; a task's definition needs none."""
    try:
        return project.find(source.folder)
    except CannotRun:
        if source.task is None:
            raise
        return None


def _state(full_name: str, snapshot: Snapshot) -> str:
    text = f"{full_name} at {snapshot.commit[:12]}"
    if not snapshot.dirty:
        return text
    count = len(snapshot.changed)
    changes = f"{count} change{'s' if count > 1 else ''}" if count else "everything"
    return f"{text}, with {changes} not committed"
