"""What keeps an export from working: each with its key and what to do, all at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from tcbox.config.faults import Fault
from tcbox.config.load import Template
from tcbox.config.reader import fields
from tcbox.config.references import referred
from tcbox.config.values import MASK, Secret, Url
from tcbox.export import needs, plan
from tcbox.export.references import bare

_LOCAL = re.compile(r"localhost|.*\.localhost|127\..*|::1|0\.0\.0\.0|\[?::\]?")
_IN_URL = re.compile(r"^[a-zA-Z0-9+.-]+://[^/:@?#]*:(.*)@")
_OPTIONS = re.compile(r"[?&][^=&]*(?:password|secret|token|key)[^=&]*=([^&#]*)", re.IGNORECASE)
_BY_REFERENCE = "a reference, such as ${env:NAME} or ${file:path}"
_WRITTEN = "write it out: the files that are made depend on it"


def faults(template: Template, target: str) -> tuple[Fault, ...]:
    """What is wrong with some settings for a target (`k8s`, `compose` or `helm-values`)."""
    known = {fault.key for fault in template.faults}
    found = [*template.faults, *(template.fault(*each) for each in _all(template, target) if each[0] not in known)]
    return tuple(sorted(found, key=lambda fault: (fault.file or "", fault.line, fault.column, fault.key)))


_Each = tuple[str, str, str, str]


def _all(template: Template, target: str) -> Iterator[_Each]:
    yield from _root_url(template)
    yield from _places(template)
    yield from _secrets(template)
    yield from _image(template, target)
    for key in template.kept:
        if key == "root_url" or key.startswith("export.") or key.endswith((".version", ".enabled")):
            yield key, "a plain value", "a reference", _WRITTEN
    if target == "compose":
        yield from _compose(template)
    if target == "helm-values":
        yield from _helm(template)


def _root_url(template: Template) -> Iterator[_Each]:
    url = template.settings.root_url
    if not url:
        yield "root_url", "the URL by which clients reach the instance", "none", "add root_url: https://tc.example.com, with your own name"
    elif _LOCAL.fullmatch(urlsplit(url).hostname or "") and "root_url" not in template.kept:
        yield "root_url", "a URL that leads to the processes from everywhere", url, "localhost is another machine in each of them: give the public name"


def _places(template: Template) -> Iterator[_Each]:
    settings, kept = template.settings, template.kept
    if "database" not in kept and not settings.database.startswith("postgres"):
        found = "SQLite" if settings.database else "none, which is SQLite"
        yield "database", "PostgreSQL", found, "several processes share the database: write postgresql://tcbox:${env:DB_PASSWORD}@host/tcbox"
    elif "database" in kept and settings.database.startswith("sqlite"):
        yield "database", "PostgreSQL", "SQLite", "several processes share the database: write postgresql://tcbox:${env:DB_PASSWORD}@host/tcbox"
    if "events" not in kept and not settings.events.startswith("amqp"):
        yield "events", "an AMQP server", settings.events, "events must reach other processes: write amqps://tcbox:${env:AMQP_PASSWORD}@host/tcbox"
    if "blobs.url" not in kept and not settings.blobs.url.startswith("s3://"):
        found = "files" if settings.blobs.url else "none, which is files in the data folder"
        yield "blobs", "S3", found, "several machines share the bytes of artifacts: write s3://bucket/prefix"


def _secrets(template: Template) -> Iterator[_Each]:
    settings = template.settings
    if not settings.services.secrets.key:
        hint = "write ${file:<data folder>/keys/sealing.key} to go on with the instance's own, or make one with `openssl rand -base64 32`"
        yield "services.secrets.key", _BY_REFERENCE, "none, which each process would make for itself", hint
    wanted = {key for name in plan.enabled(settings) for key in needs.settings(name)}
    for key, value in _scalars(settings, ""):
        if not any(key == each or key.startswith(f"{each}.") for each in wanted):
            continue
        if isinstance(value, Secret) and value and not (key in template.kept and _whole(bare(value))):
            yield key, _BY_REFERENCE, "a secret in clear", "move it to a variable or a file: what is exported is kept and shown to many"
        elif isinstance(value, Url) and not all(_whole(part) for part in _parts(bare(value))):
            yield key, f"its password as {_BY_REFERENCE}", "a password in clear", f"write it as in {_example(value)}"


def _parts(url: str) -> list[str]:
    inside = _IN_URL.match(url)
    return [*([inside[1]] if inside and inside[1] else []), *(part for part in _OPTIONS.findall(url) if part)]


def _whole(text: str) -> bool:
    """Whether a text, whose references are `$`, is these alone."""
    return not text.strip("$")


def _example(url: Url) -> str:
    return Url(bare(url)).shown.replace(MASK, "${env:PASSWORD}")


def _scalars(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value):
        for item in fields(value):
            yield from _scalars(getattr(value, item.name), f"{key}.{item.name}" if key else item.name)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _scalars(each, f"{key}.{name}")
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from _scalars(each, f"{key}.{index}")
    else:
        yield key, value


def _image(template: Template, target: str) -> Iterator[_Each]:
    if target != "helm-values" and not template.settings.export.image:
        yield "export.image", "the image that the processes run from", "none", "add it, without a tag; packaging/docker/Dockerfile builds it"


def _compose(template: Template) -> Iterator[_Each]:
    settings = template.settings
    chosen = settings.export.compose
    for wanted, key, url, host in ((chosen.postgres, "database", settings.database, "postgres"), (chosen.rabbitmq, "events", settings.events, "rabbitmq")):
        found = _host(url)
        if wanted and found != host:
            hint = f"write the URL out with @{host}/, its password alone by reference"
            yield key, f"the host {host}, since export.compose.{host} is true", found or "a reference for all of it", hint
        elif wanted and any(reference.kind == "file" for reference in referred(url)):
            yield key, f"its password as ${{env:NAME}}, since export.compose.{host} is true", "a file", "the server that is made takes it from a variable"
        elif not wanted and _LOCAL.fullmatch(found):
            yield key, "a host that the containers reach", found, f"give its name, or have it run there with export.compose.{host}: true"
    if chosen.s3 and not (settings.blobs.endpoint and settings.blobs.secret_access_key):
        hint = "the S3 server is made with them; endpoint is where clients reach it, such as http://tc.example.com:9000"
        yield "blobs", "endpoint, access_key_id and secret_access_key, since export.compose.s3 is true", "not all of them", hint


def _helm(template: Template) -> Iterator[_Each]:
    settings = template.settings
    for key, url in (("database", settings.database), ("events", settings.events)):
        if not _host(url):
            yield key, "a URL whose parts can be told", "a reference for all of it", "write it out, with its password alone by reference"


def _host(url: str) -> str:
    """The host of a URL; empty where a reference hides it."""
    place = bare(url).partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    return "" if "$" in place else place.rpartition(":")[0] or place
