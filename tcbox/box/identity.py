"""The instance's own clients: the root client that its owner uses, and one for each service.

They are made, not configured: the root client's token on the first start, the services' from the instance's key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from tcbox import errors, ids
from tcbox.config.instance import write_private

ROOT = "static/taskcluster/root"
KEY_BACKUP = "restore it from the backup of the data folder"
"""What to do about a key that is gone or damaged."""
_KEY_BYTES = 32

SERVICE_SCOPES: dict[str, tuple[str, ...]] = {
    "auth": (),
    "queue": ("*",),  # it issues credentials with whatever scopes a task has
    "object": (),
    "secrets": (),
    "index": ("queue:get-artifact:*", "queue:get-task:*"),
    "hooks": ("assume:hook-id:*", "notify:email:*", "queue:create-task:*", "queue:status:*"),
    "notify": ("queue:get-task:*",),
    "purge-cache": (),
    "worker-manager": (
        "auth:create-client:worker/*",
        "assume:worker-type:*",
        "assume:worker-pool:*",
        "assume:worker-id:*",
        "notify:email:*",
        "secrets:get:worker-type:*",
        "secrets:get:worker-pool:*",
        "queue:claim-work:*",
        "queue:worker-id:*",
        "queue:pending-count:*",
        "queue:claimed-count:*",
        "queue:list-workers:*",  # upstream reads the queue's tables instead
        "queue:get-worker:*",
        "worker-manager:remove-worker:*",
        "worker-manager:reregister-worker:*",
        "worker-manager:should-worker-terminate:*",
    ),
    "github": (
        "assume:repo:github.com/*",
        "auth:expand-scopes",
        "hooks:trigger-hook:*",
        "queue:scheduler-id:taskcluster-github",
        "queue:route:statuses",
        "queue:route:checks",
        "assume:scheduler-id:taskcluster-github/*",
        "queue:list-task-group:*",
        "queue:seal-task-group:taskcluster-github/*",
        "queue:cancel-task-group:taskcluster-github/*",
        "queue:list-artifacts:*",
        "queue:status:*",
        "queue:get-task:*",
        "queue:get-artifact:public/github/customCheckRunAnnotations.json",
        "queue:get-artifact:public/github/customCheckRunText.md",
        "queue:get-artifact:public/logs/live_backing.log",
    ),
    "web-server": (
        "assume:github-team:*",
        "assume:github-org-admin:*",
        "auth:create-client:github/*",
        "auth:delete-client:github/*",
        "auth:disable-client:github/*",
        "auth:enable-client:github/*",
        "auth:reset-access-token:github/*",
        "auth:update-client:github/*",
        "assume:login-identity:*",
        "auth:expand-scopes",  # these four upstream's has by the role anonymous, which an owner may want to be empty
        "auth:get-client:*",
        "auth:list-clients",
        "auth:list-roles",
    ),
}
"""The scopes that each service's calls of other services need; names and scopes as upstream's own static clients,
and what the anonymous role has there that the owner of an instance may take from it."""

WORKER_SCOPES = (
    "assume:worker-pool:local/*",
    "queue:claim-work:*",
    "queue:worker-id:local/*",
    "queue:list-task-queues",
    "queue:claimed-list:*",
    "queue:resolve-task:*",
    "purge-cache:purge-requests:*",
    "queue:pending-count:*",
    "queue:get-artifact:*",
    "queue:get-task:*",
    "index:find-task:*",
    "secrets:get:worker-type:local/*",
    "secrets:get:worker-pool:local/*",
)
"""The scopes of the workers inside."""


@dataclass(frozen=True, slots=True)
class OwnClient:
    """A client of the instance's own."""

    client_id: str
    access_token: str
    scopes: tuple[str, ...]
    description: str


class _Stored(msgspec.Struct):
    """The content of `root-client.json`."""

    clientId: str
    accessToken: Annotated[str, msgspec.Meta(min_length=1)]


def instance_key(path: Path, *, durable: bool = True) -> bytes:
    """The key from which the services' tokens and URL signatures derive; made on the first start, mode 0600.

    Unless it is to be `durable`, its file is not waited for until it is on the disk. Raises TcboxError when it holds something else.
    """
    if not path.exists():
        write_private(path, base64.b64encode(os.urandom(_KEY_BYTES)), durable=durable)
    return key_of(path.read_bytes(), str(path))


def given_key(text: str) -> bytes:
    """The key that the configuration gives; raises TcboxError when it is none."""
    return key_of(text.encode(), "instance_key in the configuration", "make one with: openssl rand -base64 32")


def key_of(text: bytes, place: str, remedy: str = KEY_BACKUP) -> bytes:
    """The key that a text holds, as 32 bytes in base64.

    Args:
        place: where the text comes from, for the message.
        remedy: what to do when it is no key.

    Raises TcboxError when it is none: tokens that derive from too short a key can be guessed, those from none are known to all.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise errors.TcboxError(f"{place} is no key, which is {_KEY_BYTES} bytes in base64: {remedy}")
    return key


def given_root(token: str) -> OwnClient:
    """The owner's client with the token that the configuration gives."""
    return OwnClient(ROOT, token, ("*",), "The owner of this instance.")


def derive(key: bytes, purpose: str) -> str:
    """A token for one purpose, the same at each start, from which the key cannot be found."""
    return base64.urlsafe_b64encode(hmac.digest(key, purpose.encode(), "sha256")).decode().rstrip("=")


def root_client(path: Path, *, durable: bool = True) -> OwnClient:
    """The owner's client, which may do everything; made on the first start and kept in a file of mode 0600.

    Unless it is to be `durable`, its file is not waited for until it is on the disk. Raises TcboxError when it holds something else.
    """
    if not path.exists():
        write_private(path, msgspec.json.encode(_Stored(ROOT, ids.access_token())), durable=durable)
    return given_root(root_token(path))


def root_token(path: Path) -> str:
    """The access token in a `root-client.json`; raises OSError when it cannot be read, TcboxError when it holds something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Stored).accessToken
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.TcboxError(
            f"{path} does not hold the owner's client id and access token: without the file, the next start makes new ones (rm {path})"
        ) from error


def service_client(key: bytes, service: str) -> OwnClient:
    """The client as which a service calls others."""
    scopes = SERVICE_SCOPES[service]
    return OwnClient(f"static/taskcluster/{service}", derive(key, f"service:{service}"), scopes, f"The {service} service itself.")


def worker_client(key: bytes) -> OwnClient:
    """The client as which the workers inside claim."""
    return OwnClient("static/tcbox/workers", derive(key, "workers"), WORKER_SCOPES, "The workers inside this instance.")
