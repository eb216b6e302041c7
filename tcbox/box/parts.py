"""What `tcbox serve` is asked to run, and what the settings must say for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tcbox import errors
from tcbox.box.vendors import text
from tcbox.config import ConfigError, Settings
from tcbox.config.checks import REQUIRES
from tcbox.config.faults import Fault

API, LOOPS = "api", "loops"
SEALING = ("auth", "secrets", "hooks", "web-server", "worker-manager")
"""Services that seal what they keep."""
OWNERS = ("auth", "web-server")
"""Services that know the owner's token."""
STORING = ("queue", "object")
"""Services that keep bytes."""
AUDITED = ("secrets", "hooks", "worker-manager")
"""Services that record changes in auth's tables."""
FRONT = ("web-server", "auth")
"""The service that has what is not below /api/: pages, references, the stream of events, their way to the AMQP server, is the
first of these that is on."""
TOKEN = "TASKCLUSTER_ACCESS_TOKEN"  # noqa: S105 - the name of a variable


class Part(NamedTuple):
    """One service, or a half of it.

    Attributes:
        api: whether it answers calls.
        loops: whether it does what it does by itself, subscriptions included.
    """

    service: str
    api: bool = True
    loops: bool = True


def parse(words: Sequence[str], enabled: Sequence[str]) -> list[Part]:
    """The parts that words such as `queue`, `queue/api` and `hooks/loops` name, in the order of their start.

    Raises TcboxError for what is none, or is switched off.
    """
    found: dict[str, set[str]] = {}
    for word in words:
        name, slash, half = word.partition("/")
        if name not in REQUIRES or (slash and half not in (API, LOOPS)):
            raise errors.TcboxError(f"there is no {word} to serve: name one or more of {', '.join(REQUIRES)}, each alone or with /{API} or /{LOOPS}; or front")
        if name not in enabled:
            raise errors.TcboxError(f"{name} is switched off by services.{name.replace('-', '_')}.enabled: take that key out, or do not serve it")
        found.setdefault(name, set()).update([half] if slash else [API, LOOPS])
    return [Part(name, API in found[name], LOOPS in found[name]) for name in REQUIRES if name in found]


def front(enabled: Sequence[str]) -> str:
    """The service that has what is not below /api/."""
    return next(name for name in FRONT if name in enabled)


def check(settings: Settings, parts: Sequence[Part], env: Mapping[str, str]) -> None:
    """Raises ConfigError with all that several processes need, and the settings do not say."""
    faults = list(_faults(settings, {part.service for part in parts}, env))
    if faults:
        raise ConfigError(faults)


def own_token(settings: Settings, env: Mapping[str, str]) -> str:
    """The token of the one service that a process serves; empty when it is to be derived."""
    return settings.serve.access_token.reveal() or env.get(TOKEN, "")


def _faults(settings: Settings, served: set[str], env: Mapping[str, str]) -> Iterator[Fault]:
    yield from database_faults(settings)
    if not settings.root_url:
        yield _missing("root_url", "the URL by which clients reach the instance", "write root_url: https://tc.example.com")
    if served & set(SEALING) and not settings.services.secrets.key:
        hint = "write services.secrets.key: ${env:NAME} or ${file:path}; make one with `openssl rand -base64 32`"
        yield _missing("services.secrets.key", "the key that seals secrets, the same for all processes", hint)
    if served & set(OWNERS) and not settings.root_access_token:
        yield _missing("root_access_token", "the owner's access token", "give it as TCBOX_ROOT_ACCESS_TOKEN; make one with `openssl rand -hex 32`")
    if not settings.instance_key and ("auth" in served or len(served) > 1 or not own_token(settings, env)):
        why = "the key from which the services' own tokens derive"
        hint = "give it as TCBOX_INSTANCE_KEY; make one with `openssl rand -base64 32`"
        yield _missing("instance_key", why, hint if "auth" in served else f"{hint}; or, to a process of one service, its own token as {TOKEN}")
    if served & set(STORING):
        yield from _blobs(settings)


def database_faults(settings: Settings) -> Iterator[Fault]:
    """What is wrong with the database for several processes."""
    if not text(settings.database).startswith("postgres"):
        found = "SQLite, which one process has for itself" if settings.database else "none, which stands for SQLite"
        yield Fault(key="database", expected="PostgreSQL", found=found, hint="write database: postgresql://user:${env:NAME}@host/name")


def _blobs(settings: Settings) -> Iterator[Fault]:
    chosen = settings.blobs
    if chosen.url.startswith("s3:") or (chosen.url and chosen.shared and settings.instance_key):
        return
    if chosen.url and chosen.shared:
        yield _missing("instance_key", "the key with which URLs of files are signed", "give it as TCBOX_INSTANCE_KEY, or keep blobs in S3")
        return
    hint = "write blobs: s3://bucket/prefix; or name a folder that all processes see, and say blobs.shared: true"
    yield Fault(key="blobs", expected="a place that all processes reach", found="a folder of this machine", hint=hint)


def _missing(key: str, expected: str, hint: str) -> Fault:
    return Fault(key=key, expected=expected, found="nothing", hint=hint)


def tables(parts: Iterable[Part]) -> list[str]:
    """The services whose tables some parts use."""
    served = {part.service for part in parts}
    return [name for name in REQUIRES if name in served or (name == "auth" and served & set(AUDITED))]
