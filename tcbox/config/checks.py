"""What no single value can show to be wrong: settings that do not go together."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from tcbox.config.services.auth import Auth, Gcp, GithubTokens, Sentry
from tcbox.config.services.github import Github
from tcbox.config.settings import Blobs, Settings

REQUIRES: dict[str, tuple[str, ...]] = {
    "auth": (),
    "object": ("auth",),
    "secrets": ("auth",),
    "queue": ("auth", "object"),
    "index": ("auth", "queue"),
    "purge-cache": ("auth",),
    "github": ("auth", "queue"),
}
"""Which other services each one needs."""

_OWN_CLIENTS = ("static/taskcluster/", "static/tcbox/")


class Clash(NamedTuple):
    """What does not go together: the key to blame, what was expected there, what was found, what to do."""

    key: str
    expected: str
    found: str
    hint: str = ""


def clashes(settings: Settings, given: Callable[[str], bool]) -> Iterator[Clash]:
    """All that does not go together.

    Args:
        given: whether a key was said, rather than left to its default.
    """
    yield from _services(settings)
    yield from _workers(settings, given)
    yield from _blobs(settings.blobs)
    yield from _auth(settings.services.auth)
    yield from _key(settings)
    yield from _github_app(settings.services.github)


def _services(settings: Settings) -> Iterator[Clash]:
    on = {name: getattr(getattr(settings.services, name.replace("-", "_")), "enabled", True) for name in REQUIRES}
    for name, needs in REQUIRES.items():
        for need in needs:
            if on[name] and not on[need]:
                yield Clash(f"services.{need.replace('-', '_')}.enabled", "true", "false", f"{name} needs {need}: switch {name} off too, or leave {need} on")


def _workers(settings: Settings, given: Callable[[str], bool]) -> Iterator[Clash]:
    for kind in ("docker", "host", "builtin"):
        key = f"workers.{kind}.enabled"
        if not settings.services.queue.enabled and given(key) and getattr(settings.workers, kind).enabled:
            yield Clash(key, "false", "true", "the workers inside need the queue, which is switched off")
    if settings.workers.docker.enabled and settings.workers.host.enabled and settings.workers.docker.queue == settings.workers.host.queue:
        key = "workers.docker.queue" if given("workers.docker.queue") else "workers.host.queue"
        yield Clash(key, "a queue of its own", settings.workers.docker.queue, "the docker and the host worker take different payloads")
    if not settings.workers.docker.url.startswith(("unix:///", "tcp://")):
        yield Clash("workers.docker.url", "a URL such as unix:///var/run/docker.sock or tcp://host:2375", "another form")


def _blobs(blobs: Blobs) -> Iterator[Clash]:
    if not blobs.url.startswith("s3://"):
        for name in ("endpoint", "region", "access_key_id", "secret_access_key"):
            if getattr(blobs, name):
                yield Clash(f"blobs.{name}", "no such key", "it", "it is for S3 alone: give blobs.url as s3://bucket/prefix, or remove it")
    else:
        yield from _together("blobs", {"access_key_id": blobs.access_key_id, "secret_access_key": blobs.secret_access_key})


def _auth(auth: Auth) -> Iterator[Clash]:
    yield from _clients(auth)
    aws = auth.aws_s3
    yield from _together("services.auth.aws_s3", {"access_key_id": aws.access_key_id, "secret_access_key": aws.secret_access_key})
    if aws.buckets and not aws.access_key_id and not aws.secret_access_key:
        yield Clash("services.auth.aws_s3.buckets", "access_key_id and secret_access_key beside it", "neither", "add both, or remove buckets")
    yield from _sentry(auth.sentry)
    yield from _gcp(auth.gcp)
    yield from _github(auth.github)


def _clients(auth: Auth) -> Iterator[Clash]:
    seen: set[str] = set()
    for index, client in enumerate(auth.static_clients):
        key = f"services.auth.static_clients.{index}.client_id"
        if client.client_id.startswith(_OWN_CLIENTS):
            yield Clash(key, f"no id that begins with {' or '.join(_OWN_CLIENTS)}", client.client_id, "those are the instance's own: choose another")
        if client.client_id in seen:
            yield Clash(key, "each id once", f"{client.client_id} a second time", "remove one of them")
        seen.add(client.client_id)
        for place, scope in enumerate(client.scopes):
            if not all(" " <= letter <= "~" for letter in scope):
                yield Clash(f"services.auth.static_clients.{index}.scopes.{place}", "a scope of printable ASCII", repr(scope))


def _sentry(sentry: Sentry) -> Iterator[Clash]:
    yield from _together("services.auth.sentry", {name: getattr(sentry, name) for name in ("url", "auth_token", "organization", "team")})


def _gcp(gcp: Gcp) -> Iterator[Clash]:
    section = "services.auth.gcp"
    yield from _together(section, {"project_id": gcp.project_id, "credentials": gcp.credentials})
    if not (gcp.project_id and gcp.credentials):
        return
    try:
        account = msgspec.json.decode(gcp.credentials.reveal())
    except msgspec.DecodeError:
        account = None
    if not isinstance(account, dict) or not {"client_email", "private_key"} <= account.keys():
        expected = "a service account's key as JSON, with client_email and private_key"
        yield Clash(f"{section}.credentials", expected, "a text of another form", "refer to the file: ${file:path}")
    elif account.get("project_id", gcp.project_id) != gcp.project_id:
        yield Clash(f"{section}.project_id", f"{account['project_id']}, the project of the credentials", gcp.project_id, "give the key of the right project")


def _together(section: str, values: dict[str, str]) -> Iterator[Clash]:
    missing = [name for name, value in values.items() if not value]
    if missing and len(missing) < len(values):
        there = next(name for name in values if name not in missing)
        yield Clash(f"{section}.{there}", f"{' and '.join(missing)} beside it", "it alone", f"add {' and '.join(missing)}, or remove {there}")


def _github(github: GithubTokens) -> Iterator[Clash]:
    for name, app in github.apps.items():
        key = f"services.auth.github.apps.{name}"
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            yield Clash(key, "a name of letters, digits, dashes and underscores", repr(name))
        if "PRIVATE KEY-----" not in app.private_key.reveal():
            yield Clash(f"{key}.private_key", "a private key in PEM", "a text of another form", "refer to the file: ${file:path}")


def _github_app(github: Github) -> Iterator[Clash]:
    section = "services.github"
    values = {"app_id": github.app_id, "private_key": github.private_key, "webhook_secrets": "".join(github.webhook_secrets)}
    yield from _together(section, values)
    if github.app_id and not (github.app_id.isascii() and github.app_id.isdecimal()):
        yield Clash(f"{section}.app_id", "the number of a GitHub App", repr(github.app_id))
    if github.private_key and "PRIVATE KEY-----" not in github.private_key.reveal():
        yield Clash(f"{section}.private_key", "a private key in PEM", "a text of another form", "refer to the file: ${file:path}")


def _key(settings: Settings) -> Iterator[Clash]:
    key = settings.services.secrets.key.reveal()
    try:
        fits = not key or len(base64.b64decode(key, validate=True)) == 32
    except (binascii.Error, ValueError):
        fits = False
    if not fits:
        yield Clash("services.secrets.key", "32 bytes in base64", "a text of another form", "make one with `openssl rand -base64 32`")
