"""What each process reads: which settings, which variables, which paths lead to it.

A process gets no more than this, so that a change of what another one reads does not touch it, and a secret is where it is
needed alone. A test holds these tables against the factories in `tcbox.box.making`.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcbox.config.checks import REQUIRES

COMMON = ("root_url", "database", "events", "log", "shutdown", "serve.services_url", "serve.urls", "serve.notice_seconds")
"""What every service reads."""

MIGRATION = ("database", "log")
"""What a migration reads."""

_BLOBS, _KEY = ("blobs",), ("services.secrets.key",)
FURTHER: dict[str, tuple[str, ...]] = {
    "auth": _KEY,
    "secrets": _KEY,
    "hooks": _KEY,
    "web-server": _KEY,
    "worker-manager": (*_KEY, "providers"),
    "queue": _BLOBS,
    "object": _BLOBS,
}
"""What a service reads beside that and its own section."""

LEFT_OUT = ("enabled", "version")
"""Keys of a service's section without a meaning within its process."""

APART: dict[str, str] = {
    "queue": "claims and deadlines must be looked after while the API is at its limit",
    "hooks": "schedules must fire while the API is at its limit",
    "notify": "mail servers that hang must not hold up the API",
    "index": "a burst of completed tasks must not hold up look-ups",
    "github": "requests of GitHub's API must not hold up its webhooks",
    "worker-manager": "provisioning takes memory and time that grow with the pools, not with the requests",
}
"""The services whose loops run apart from the API, and why; loops of the others are an hourly sweep, not worth a process."""

FRONT = ("web-server", "auth")
"""Who answers what is not below /api/: pages, sign-in, references, events; the first of them that is on."""

ROOT_TOKEN = "TCBOX_ROOT_ACCESS_TOKEN"  # noqa: S105 - the name of a variable
INSTANCE_KEY = "TCBOX_INSTANCE_KEY"
TOKEN = "TASKCLUSTER_ACCESS_TOKEN"  # noqa: S105 - the name of a variable


def names() -> tuple[str, ...]:
    """Every service, as published."""
    return tuple(REQUIRES)


def package(name: str) -> str:
    """A service's name as the settings spell it."""
    return name.replace("-", "_")


def settings(service: str) -> tuple[str, ...]:
    """The keys and sections that a service reads."""
    return (*COMMON, f"services.{package(service)}", *FURTHER.get(service, ()))


def identity(service: str) -> Iterator[str]:
    """The variables that say who a process is: each signs as itself, and auth alone can tell all tokens."""
    if service == "auth":
        yield INSTANCE_KEY
    else:
        yield TOKEN
    if service in ("auth", "web-server"):
        yield ROOT_TOKEN
