"""What no single value can show to be wrong: settings that do not go together."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from tcbox.config import guesses
from tcbox.config.services.auth import Auth, Gcp, GithubTokens, Sentry
from tcbox.config.services.github import Github
from tcbox.config.services.notify import Notify
from tcbox.config.services.web_server import WebServer
from tcbox.config.settings import Blobs, Settings

REQUIRES: dict[str, tuple[str, ...]] = {
    "auth": (),
    "object": ("auth",),
    "secrets": ("auth",),
    "queue": ("auth", "object"),
    "index": ("auth", "queue"),
    "purge-cache": ("auth",),
    "notify": ("auth",),
    "hooks": ("auth", "queue"),
    "worker-manager": ("auth", "queue"),
    "github": ("auth", "queue"),
    "web-server": ("auth",),
}
"""Which other services each one needs."""

MISSES: dict[str, dict[str, str]] = {
    "queue": {
        "index": "tasks with routes that begin with index. are not found by these names",
        "notify": "tasks with routes that begin with notify. send no mail and no messages",
        "worker-manager": "the runs of workers that are gone end when their claims do, not at once",
        "github": "what becomes of tasks is not shown on GitHub",
    },
    "hooks": {
        "notify": "nobody gets mail about a hook that fails",
    },
    "notify": {
        "queue": "no message is sent about a task by its routes",
    },
    "worker-manager": {
        "queue": "pools do not grow with the tasks that wait, for nothing counts these",
        "notify": "nobody gets mail about the errors of a worker pool",
        "secrets": "workers that come up get no secrets of their pool",
    },
    "github": {
        "queue": "pushes and pull requests create no tasks",
        "hooks": "what .taskcluster.yml says of hooks is not triggered",
    },
    "web-server": {
        "queue": "there are no profiles of tasks and groups, and pages of tasks are empty",
        "index": "the pages of the index are empty",
        "hooks": "the pages of hooks are empty",
        "secrets": "the pages of secrets are empty",
        "worker-manager": "the pages of worker pools are empty",
    },
    "workers": {
        "queue": "the workers inside do not run, for they take their tasks from it",
        "purge-cache": "the workers inside purge no cache on request",
        "index": "tasks of the workers inside cannot use images and files that are named by the index",
        "secrets": "tasks cannot fetch secrets through the workers' proxy",
    },
}
"""What each one goes without when another is switched off that it does not strictly need; `workers` are those inside."""

_PROVIDER = re.compile(r"[a-zA-Z0-9_-]{1,38}")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_OWN_CLIENTS = ("static/taskcluster/", "static/tcbox/")


class Clash(NamedTuple):
    """What does not go together: the key to blame, what was expected there, what was found, what to do, other keys that it is about."""

    key: str
    expected: str
    found: str
    hint: str = ""
    beside: tuple[str, ...] = ()


def clashes(settings: Settings, given: Callable[[str], bool]) -> Iterator[Clash]:
    """All that does not go together.

    Args:
        given: whether a key was said, rather than left to its default.
    """
    yield from _services(settings)
    yield from _workers(settings, given)
    yield from _blobs(settings.blobs)
    yield from _auth(settings.services.auth)
    yield from _web_server(settings.services.web_server)
    yield from _key(settings)
    yield from _serve(settings)
    yield from _github_app(settings.services.github)
    yield from _providers(settings)
    yield from _notify(settings.services.notify)
    yield from _export(settings)


def _services(settings: Settings) -> Iterator[Clash]:
    on = {name: getattr(getattr(settings.services, name.replace("-", "_")), "enabled", True) for name in REQUIRES}
    for name, needs in REQUIRES.items():
        for need in needs:
            if on[name] and not on[need]:
                yield Clash(f"services.{need.replace('-', '_')}.enabled", "true", "false", f"{name} needs {need}: switch {name} off too, or leave {need} on")


def notes(settings: Settings) -> list[str]:
    """In words, what goes missing because of services that are switched off."""
    on = {name: getattr(getattr(settings.services, name.replace("-", "_")), "enabled", True) for name in REQUIRES}
    present = {**on, "workers": any(getattr(settings.workers, kind).enabled for kind in ("docker", "host", "builtin"))}
    made = []
    for off in (name for name, runs in on.items() if not runs):
        lost = [what[off] for name, what in MISSES.items() if off in what and present.get(name) and off not in REQUIRES.get(name, ())]
        key = f"services.{off.replace('-', '_')}.enabled"
        made.append(f"{off} is switched off ({key})" + (": " + "; ".join(lost) if lost else ""))
    return made


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
        others = tuple(f"{section}.{name}" for name in missing)
        yield Clash(f"{section}.{there}", f"{' and '.join(missing)} beside it", "it alone", f"add {' and '.join(missing)}, or remove {there}", others)


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


def _web_server(web: WebServer) -> Iterator[Clash]:
    yield from _together("services.web_server.github", {"client_id": web.github.client_id, "client_secret": web.github.client_secret})
    seen: set[str] = set()
    for index, tool in enumerate(web.registered_clients):
        key = f"services.web_server.registered_clients.{index}"
        if tool.client_id in seen:
            yield Clash(f"{key}.client_id", "each id once", f"{tool.client_id} a second time", "remove one of them")
        seen.add(tool.client_id)
        if not tool.redirect_uri:
            yield Clash(f"{key}.redirect_uri", "at least one address", "none", "say where users are sent back to")
        for place, scope in enumerate(tool.scope):
            if not scope or not all("!" <= letter <= "~" for letter in scope):
                yield Clash(f"{key}.scope.{place}", "a scope of printable ASCII without spaces", repr(scope), "a request lists scopes with spaces between them")


def _key(settings: Settings) -> Iterator[Clash]:
    for name, secret in (("services.secrets.key", settings.services.secrets.key), ("instance_key", settings.instance_key)):
        key = secret.reveal()
        try:
            fits = not key or len(base64.b64decode(key, validate=True)) == 32
        except (binascii.Error, ValueError):
            fits = False
        if not fits:
            yield Clash(name, "32 bytes in base64", "a text of another form", "make one with `openssl rand -base64 32`")


def _serve(settings: Settings) -> Iterator[Clash]:
    for key, named in (("serve.urls", settings.serve.urls), ("serve.replicas", settings.serve.replicas)):
        for name in named:
            if name not in REQUIRES:
                yield Clash(f"{key}.{name}", f"a service as in URLs: {', '.join(REQUIRES)}", name)
    if settings.blobs.shared and settings.blobs.url.startswith("s3:"):
        yield Clash("blobs.shared", "no such key", "it", "a bucket is shared in any case: remove it")


def _providers(settings: Settings) -> Iterator[Clash]:
    for name, provider in settings.providers.items():
        key = f"providers.{name}"
        if not _PROVIDER.fullmatch(name):
            yield Clash(key, "a name of at most 38 letters, digits, dashes and underscores", repr(name))
        if (provider.type == "null") != (name == "null-provider"):
            yield Clash(f"{key}.type", '"null" for null-provider, and for no other', provider.type, "null-provider exists by default: remove this one")
        if provider.type in ("static", "null") and provider.credentials:
            yield Clash(f"{key}.credentials", "no such key", "it", f"providers of the type {provider.type} call no cloud: remove it")


def _notify(notify: Notify) -> Iterator[Clash]:
    email, section = notify.email, "services.notify.email"
    if email.host and not email.source:
        yield Clash(f"{section}.host", "source beside it", "it alone", "say from whom e-mails are, as source: Taskcluster <taskcluster@example.com>")
    if not email.host:
        for name in ("port", "certificates", "user", "password"):
            if getattr(email, name):
                yield Clash(f"{section}.{name}", "host beside it", "no host", "name the mail server as host, or remove it")
    yield from _together(section, {"user": email.user, "password": email.password})
    if email.password and email.tls == "none" and email.host not in _LOCAL:
        yield Clash(f"{section}.tls", "starttls or tls", "none", "the password would cross the network in the clear")
    if email.certificates and "BEGIN CERTIFICATE-----" not in email.certificates:
        yield Clash(f"{section}.certificates", "certificates in PEM", "a text of another form", "refer to the file: ${file:path}")
    matrix, slack = notify.matrix, notify.slack
    yield from _together("services.notify.matrix", {"base_url": matrix.base_url, "access_token": matrix.access_token})
    for name, secret in (("matrix.access_token", matrix.access_token), ("slack.access_token", slack.access_token)):
        if not secret.isprintable() or not secret.isascii() or " " in secret:
            yield Clash(f"services.notify.{name}", "a token of printable ASCII without blanks", "a text of another form", "look for a line break in it")


def _export(settings: Settings) -> Iterator[Clash]:
    known = {item.name for item in dataclasses.fields(settings.services)}
    for name, sizes in settings.export.services.items():
        key = f"export.services.{name}"
        if name not in known:
            yield Clash(key, f"a service ({', '.join(sorted(known))})", name, guesses.meant(name, sorted(known)) or "remove it")
        if sizes.most_replicas < sizes.replicas:
            yield Clash(f"{key}.most_replicas", f"no less than replicas, {sizes.replicas}", str(sizes.most_replicas))
    if settings.export.ingress.class_name and settings.export.gateway.name:
        yield Clash("export.gateway.name", "either an Ingress or a Gateway", "both", "remove export.ingress or export.gateway")
