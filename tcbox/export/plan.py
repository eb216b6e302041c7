"""What is to run: which processes, from which release, with which settings and secrets. Pure: the settings go in, values come out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import tcbox
from tcbox.config import Settings
from tcbox.config.export import Export, Sizes
from tcbox.config.load import Template
from tcbox.export import configuration, needs, references
from tcbox.export.references import References

CONFIGURATION = "/etc/tcbox/tcbox.yml"
"""Where a process finds its settings."""

Inside = Callable[[Export, str], str]
"""The URL at which a target has a service's processes answer each other."""

_PORTS = {"http": 80, "https": 443, "amqp": 5672, "amqps": 5671, "postgres": 5432, "postgresql": 5432, "s3": 443}


@dataclass(frozen=True)
class Process:
    """One kind of process of a service.

    Attributes:
        part: `api` or `loops`.
        what: what is served, as `tcbox serve` takes it: `queue/api`, or `auth` for all of it.
        replicas, most: how many there are at least and at most.
    """

    service: str
    part: str
    what: str
    replicas: int
    most: int
    sizes: Sizes

    @property
    def answers(self) -> bool:
        """Whether requests come to it."""
        return self.part == "api"

    @property
    def name(self) -> str:
        """`queue`, or `queue-loops`."""
        return self.service if self.answers else f"{self.service}-{self.part}"

    @property
    def command(self) -> list[str]:
        """How it is started."""
        return ["serve", self.what, "--config", CONFIGURATION]


@dataclass(frozen=True)
class Service:
    """One service.

    Attributes:
        settings, migration: `tcbox.yml` for its processes, and for its migration.
        refers, migration_refers: the variables and files that they need.
        ports: those of the places that it calls, whatever the place.
        metadata: whether it may ask the machine for credentials.
        paths: the prefixes of the URLs that lead to it.
    """

    name: str
    version: str
    settings: str
    migration: str
    refers: References
    migration_refers: References
    ports: tuple[int, ...]
    metadata: bool
    paths: tuple[str, ...]
    processes: tuple[Process, ...]

    @property
    def settings_hash(self) -> str:
        """Tells one content of the settings from another."""
        return digest(self.settings)

    @property
    def migration_hash(self) -> str:
        """The same, for the migration."""
        return digest(self.migration)

    def migrate(self) -> list[str]:
        """How its part of the database is brought up to what this release needs."""
        return ["migrate", self.name, "--config", CONFIGURATION]

    def await_migration(self) -> list[str]:
        """How a process waits until that is done."""
        return [*self.migrate(), "--wait"]


@dataclass(frozen=True)
class Worker:
    """The worker for built-in/succeed and built-in/fail; others need machines of their own."""

    version: str
    ports: tuple[int, ...]
    refers: References = field(default=References((needs.TOKEN,)))
    client_id: str = "static/tcbox/workers"
    name: str = "builtin"

    def command(self, root_url: str) -> list[str]:
        """How it is started."""
        return ["worker", "run", "--kind", "builtin", "--root-url", root_url]


@dataclass(frozen=True)
class Plan:
    """All that is to run.

    Attributes:
        export: where, and how many.
        drain: seconds that a process has to finish.
        template: the settings that all of this comes from.
    """

    root_url: str
    host: str
    export: Export
    drain: int
    services: tuple[Service, ...]
    worker: Worker | None
    template: Template

    @property
    def owners(self) -> tuple[Service | Worker, ...]:
        """Whoever has secrets."""
        return (*self.services, *([self.worker] if self.worker is not None else []))

    def image(self, version: str) -> str:
        """The image of a release."""
        return f"{self.export.image}:{version.replace('+', '-')}"

    @property
    def front(self) -> str:
        """The service that answers what is not below /api/."""
        return next(service.name for service in self.services if "/" in service.paths)


def digest(*texts: str) -> str:
    """Ten letters that tell some texts from others."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:10]


def enabled(settings: Settings) -> list[str]:
    """The services that the settings have on."""
    return [name for name in needs.names() if getattr(getattr(settings.services, needs.package(name)), "enabled", True)]


def make(template: Template, inside: Inside | None = None) -> Plan:
    """The plan of an export.

    Args:
        inside: where services find each other, unless the settings say it; None for at the root URL.
    """
    settings = template.settings
    root_url = settings.root_url.rstrip("/")
    on = enabled(settings)
    front = next((name for name in needs.FRONT if name in on), on[0])
    urls = {} if inside is None or settings.serve.services_url else {name: inside(settings.export, name) for name in on}
    services = tuple(_service(template, name, front, urls) for name in on)
    works = settings.workers.builtin.enabled and settings.services.queue.enabled
    worker = Worker(settings.export.version or tcbox.__version__, (_port(root_url) or 443,)) if works else None
    return Plan(
        root_url=root_url, host=urlsplit(root_url).hostname or "", export=settings.export, drain=math.ceil(settings.shutdown.drain_seconds),
        services=services, worker=worker, template=template,
    )  # fmt: skip


def _service(template: Template, name: str, front: str, urls: Mapping[str, str]) -> Service:
    settings = template.settings
    document, migration = configuration.service(template, name), configuration.migration(template)
    said = list(configuration.texts(document))
    own = getattr(settings.services, needs.package(name))
    return Service(
        name=name,
        version=own.version or settings.export.version or tcbox.__version__,
        settings=configuration.written(configuration.reaching(document, urls)),
        migration=configuration.written(migration),
        refers=references.gathered(said, needs.identity(name)),
        migration_refers=references.gathered(configuration.texts(migration)),
        ports=tuple(sorted({*filter(None, map(_port, said)), *_hidden(template), *_mail(template, name), *settings.export.network.ports, 443})),
        metadata="blobs" in needs.settings(name) and not settings.blobs.access_key_id,
        paths=(f"/api/{name}", *(["/"] if name == front else [])),
        processes=tuple(_processes(name, settings.export.services.get(needs.package(name), Sizes()))),
    )


def _processes(name: str, sizes: Sizes) -> Iterator[Process]:
    api = Process(name, "api", f"{name}/api", sizes.replicas, sizes.most_replicas, sizes)
    if name not in needs.APART:
        yield replace(api, what=name)
        return
    yield api
    yield Process(name, "loops", f"{name}/loops", sizes.loops_replicas, sizes.loops_replicas, sizes)


def _hidden(template: Template) -> Iterator[int]:
    """The usual ports of places whose URLs are references as a whole."""
    for key, ports in (("database", (5432,)), ("events", (5671, 5672))):
        if not references.bare(template.kept.get(key, "-")).strip("$"):
            yield from ports


def _mail(template: Template, name: str) -> Iterator[int]:
    email = template.settings.services.notify.email
    if name == "notify" and email.host:
        yield email.port or {"starttls": 587, "tls": 465, "none": 25}[email.tls]


def _port(text: str) -> int | None:
    """The port of the place that a text names, if it is a URL; the usual one where a reference hides it."""
    scheme, found, rest = references.bare(text).partition("://")
    if not found or scheme not in _PORTS:
        return None
    digits = rest.partition("/")[0].rpartition("@")[2].rpartition(":")[2]
    return int(digits) if digits.isdecimal() and 0 < int(digits) < 65536 else _PORTS[scheme]
