"""What is copied from and to, as a person names it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tcbox import clock as clocks
from tcbox import config, errors
from tcbox.blobs import keys, signing
from tcbox.blobs.connect import configured, connect
from tcbox.blobs.interface import Blobs
from tcbox.blobs.local import LocalBlobs
from tcbox.blobs.s3 import S3Blobs
from tcbox.config.instance import Instance
from tcbox.config.references import Resolver
from tcbox.config.values import masked


@dataclass(frozen=True, slots=True)
class Place:
    """One side of a copy, not started.

    Attributes:
        shown: for messages.
        instance: the data folder that it belongs to; None when it belongs to none on this machine.
    """

    blobs: Blobs
    shown: str
    instance: Instance | None

    def user(self) -> str:
        """Who has it in use on this machine, in words; empty when nobody is known to."""
        running = self.instance.find_running() if self.instance is not None else None
        return f"an instance of tcbox (process {running.pid}, {running.root_url})" if running is not None else ""

    def clash(self, target: Place) -> str:
        """Why nothing can be copied from here to another place, in words; empty when it can."""
        ours, theirs = self.blobs, target.blobs
        if isinstance(ours, LocalBlobs) and isinstance(theirs, LocalBlobs):
            return "--from and --to are the same folder" if ours.folder.resolve() == theirs.folder.resolve() else ""
        if not (isinstance(ours, S3Blobs) and isinstance(theirs, S3Blobs)) or (ours.endpoint, ours.bucket) != (theirs.endpoint, theirs.bucket):
            return ""
        if ours.prefix == theirs.prefix:
            return "--from and --to are the same place in the same bucket"
        within = any(one.prefix.startswith(other.prefix + area) for one, other in ((ours, theirs), (theirs, ours)) for area in keys.AREAS)
        return "one of --from and --to lies among the artifacts of the other: choose another prefix" if within else ""


def find(where: str, *, clock: clocks.Clock, env: Mapping[str, str]) -> Place:
    """A place by what a person wrote: a data folder, a tcbox.yml, `file:///folder`, or `s3://bucket/prefix?option=value`.

    Options may refer to variables and files, as values of tcbox.yml do. Raises TcboxError when it is none of these.
    """
    if "://" in where:
        return _at(_resolved(where, env), None, clock)
    path = Path(os.path.abspath(Path(where).expanduser()))
    if path.is_dir():
        instance = Instance(path)
        return _at(instance.blobs_url, instance, clock)
    if path.is_file():
        settings = config.load(path, env=env)
        instance = Instance(settings.data)
        return _at(configured(settings.blobs, instance.blobs_url), instance, clock)
    raise errors.TcboxError(
        f"{where!r} is no place for artifacts: give a data folder or a tcbox.yml that is there, file:///path/to/folder, or s3://bucket/prefix"
    )


def _at(url: str, instance: Instance | None, clock: clocks.Clock) -> Place:
    blobs = connect(url, root_url="", signer=signing.Signer(os.urandom(32)), clock=clock)
    if isinstance(blobs, LocalBlobs):
        return Place(blobs, str(blobs.folder), instance or Instance(blobs.folder.parent))
    return Place(blobs, masked(url.partition("?")[0]), None)


def _resolved(url: str, env: Mapping[str, str]) -> str:
    """The URL with what its options refer to filled in."""
    parts = urlsplit(url)
    if not parts.query:
        return url
    resolver, options, faults = Resolver(env, Path()), {}, []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        resolved = resolver.resolve(value)
        options[name] = resolved.text
        faults += [f"{name} refers to {found}: {hint}" for found, hint in resolved.faults]
    if faults:
        raise errors.TcboxError(f"{unquote(parts._replace(query='').geturl())}: {'; '.join(faults)}")
    return parts._replace(query=urlencode(options)).geturl()
