"""The github service, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tcbox import clock as clocks
from tcbox import db, log
from tcbox.client import LimitableCaller
from tcbox.events import Bus
from tcbox.events.turns import Turn
from tcbox.runtime import LoopSpec
from tcbox.services.github import declarations, events, inbox, store
from tcbox.services.github.api.builds import Builds
from tcbox.services.github.api.posts import Posts
from tcbox.services.github.api.rendering import Rendering
from tcbox.services.github.api.repositories import Repositories
from tcbox.services.github.api.webhook import Webhook
from tcbox.services.github.artifacts import Artifacts
from tcbox.services.github.building import Building
from tcbox.services.github.canceling import Canceling
from tcbox.services.github.comments import Comments
from tcbox.services.github.configs import Checker, Configs
from tcbox.services.github.creating import Creating
from tcbox.services.github.groups import Groups
from tcbox.services.github.hub import Hub
from tcbox.services.github.inbox import Inbox
from tcbox.services.github.jobs import Jobs
from tcbox.services.github.renderer import Renderer
from tcbox.services.github.reruns import Reruns
from tcbox.services.github.results import Results
from tcbox.services.github.store import Store
from tcbox.vendors import github
from tcbox.vendors.http import Outgoing

SYNC = 1 * clocks.DAY
MOST_RENDERED = 20
"""Steps of rendering that callers of the API may wait for at once."""
_log = log.get("github")


@dataclass(frozen=True, slots=True)
class Options:
    """What is configured.

    Attributes:
        app: the GitHub App; None when there is none, and then no webhook is taken.
        webhook_secrets: any of which webhooks may be signed with.
        url: of GitHub's API.
        bot_name: of the app's user; looked up when empty.
        status_context: what the titles of check runs and commit statuses begin with.
        comment_prefix: what comments begin with.
        docker_task_queue: what the docker parameters of files of version 0 stand for.
        cancel_pushes: whether a push cancels the builds of earlier ones to the same branch.
    """

    app: github.App | None = None
    webhook_secrets: tuple[str, ...] = ()
    url: str = github.API
    bot_name: str = ""
    status_context: str = "Taskcluster"
    comment_prefix: str = ""
    docker_task_queue: str = "local/docker"
    cancel_pushes: bool = False


class Service:
    """Tasks for events on GitHub.

    Args:
        caller: calls other services as this one.
        validator: finds a schema of the service by its name.
        root_url: of the instance, for links and templates.
        reach: from a URL of the instance to one at which this process reaches the same.
    """

    name = "github"
    requires: tuple[str, ...] = ("auth", "queue")
    api = declarations.api
    exchanges = events.exchanges
    migrations = store.migrations
    monitoring = declarations.Monitoring

    def __init__(
        self,
        *,
        database: db.Database,
        bus: Bus,
        clock: clocks.Clock,
        caller: LimitableCaller,
        validator: Callable[[str], Checker],
        root_url: str,
        options: Options,
        reach: Callable[[str], str] = str,
    ) -> None:
        self._outgoing = Outgoing()
        self.store = kept = Store(database)
        self.hub = hub = Hub(options.app, self._outgoing, clock, url=options.url)
        comments = Comments(kept, clock, prefix=options.comment_prefix)
        configs = Configs(validator, root_url=root_url, task_queue=options.docker_task_queue)
        cancels = Canceling(kept, caller)
        self._creating = creating = Creating(
            database, bus, kept, caller, canceling=cancels, comments=comments, root_url=root_url, cancel_pushes=options.cancel_pushes,
        )  # fmt: skip
        self._renderers = Renderer(), Renderer(waiting=MOST_RENDERED)  # the second for the API alone, as everybody may ask for it
        building = Building(hub, clock, renderer=self._renderers[0], configs=configs, creating=creating, comments=comments)
        results = Results(
            kept, hub, caller, artifacts=Artifacts(caller, self._outgoing, clock, reach), comments=comments,
            root_url=root_url, status_context=options.status_context,
        )  # fmt: skip
        groups = Groups(kept, hub, caller, root_url=root_url, status_context=options.status_context)
        reruns = Reruns(kept, hub, caller, comments)
        handlers = {inbox.EVENT: building.handle, inbox.RERUN: reruns.handle, inbox.CHECK: results.handle, inbox.GROUP: groups.handle}
        self.jobs = Jobs(database, clock, handlers)
        self._inbox = Inbox(bus, kept, self.jobs)
        self._turn, self._synced = Turn(database, "github sync-installations", SYNC), False
        self._families: list[object] = [
            Webhook(database, bus, kept, hub, clock, secrets=options.webhook_secrets, validator=validator),
            Builds(kept, cancels),
            Repositories(kept, hub, bot_name=options.bot_name),
            Posts(kept, hub),
            Rendering(self._renderers[1], configs, clock, validator),
        ]
        self.loops = [LoopSpec("expire-deliveries", 1 * clocks.HOUR, kept.expire)]
        if hub.configured:
            self.loops += [LoopSpec("jobs", 0, self.jobs.turn), LoopSpec("sync-installations", SYNC, self.sync)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to listen, if there is an app."""
        stack.push_async_callback(self._outgoing.close)
        for renderer in self._renderers:
            stack.push_async_callback(renderer.close)
        if not self.hub.configured:
            await self._inbox.forget()
            return
        await self.jobs.start()
        stack.push_async_callback(self.jobs.stop)
        await self._inbox.start(stack)

    def families(self) -> Sequence[object]:
        """What answers the API."""
        return self._families

    def fault(self) -> str | None:
        """What does not work just now between this instance and GitHub, in words."""
        return self.hub.fault or self.jobs.fault

    async def sync(self) -> None:
        """Learn from GitHub where the app is installed, in case a webhook was missed: when the process starts, then in turn with others."""
        await self._turn.take(self._sync, anyway=not self._synced)
        self._synced = True

    async def _sync(self) -> None:
        found: dict[str, int] = {}
        page = 1
        while listed := await self.hub.ask("GET", f"/app/installations?per_page=100&page={page}"):
            found |= {str(each["account"]["login"]).lower(): int(each["id"]) for each in listed if each.get("account")}
            page += 1
        known = await self.store.integrations()
        for owner, number in found.items():
            if known.get(owner) != number:
                await self.store.install(owner, number)
        for owner in known.keys() - found.keys():
            await self.store.uninstall(owner, known[owner])
