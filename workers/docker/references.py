"""Names of images: what is one, and which of them are the same."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
_ID = re.compile(r"sha256:.*|[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{12,}")
_LIKE = "debian:12 or registry.example.com/team/image@sha256:…"
NO_ID = (
    "payload.image: {name!r} is the id of an image, by which every task could have the images of others: write the name, like "
    f"{_LIKE}, or the task and artifact that it comes from"
)


def fault(name: str, *, ids: bool = False) -> str:
    """What is wrong with the name of an image that is wanted; empty when nothing is.

    Args:
        ids: ids will do, too.
    """
    if _NAME.fullmatch(name) is None:
        return f"payload.image: {name!r} is not the name of an image; write it like {_LIKE}"
    return NO_ID.format(name=name) if not ids and _ID.fullmatch(name) else ""


def short(name: str) -> bool:
    """Whether a name is more likely the beginning of an id."""
    return _SHORT.fullmatch(name) is not None


def split(name: str) -> tuple[str, str]:
    """An image's name as repository and tag or digest; `latest` when it has neither."""
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    repository, tag = _tagged(name)
    return repository, tag or "latest"


def full(name: str) -> str:
    """The name in the one form that names of the same image share: `docker.io/library/debian:12` for `debian:12`.

    The engine takes such a name for nothing else, while a shorter one may be the beginning of an id to it.
    """
    given, at, digest = name.partition("@")
    repository, tag = _tagged(given)
    domain, slash, rest = repository.partition("/")
    if not slash or not (domain == "localhost" or "." in domain or ":" in domain or domain != domain.lower()):
        domain, rest = "docker.io", repository
    if domain in ("docker.io", "index.docker.io"):
        domain, rest = "docker.io", rest if "/" in rest else f"library/{rest}"
    return f"{domain}/{rest}@{digest}" if at else f"{domain}/{rest}:{tag or 'latest'}"


def _tagged(name: str) -> tuple[str, str]:
    head, slash, tail = name.rpartition("/")
    tail, _, tag = tail.partition(":")
    return head + slash + tail, tag
