"""Artifacts as values, and the rules on who may replace what.

Source: the queue's description of artifact storage types and of their immutability.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tcbox import clock, db, errors

UPLOAD_LIFE = 45 * clock.MINUTE
"""For how long a URL for an upload can be used, in ms."""

DOWNLOAD_LIFE = 30 * clock.MINUTE
"""For how long a URL for a download can be used, in ms."""

LATE = 25 * clock.MINUTE
"""For how long after an exception artifacts can still be created, in ms: time to send the logs that explain it."""

DEFAULT_CONTENT_TYPE = "application/binary"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact of a run.

    Attributes:
        details: what the storage type needs: `key` for s3, `url` for reference, `artifact` for link, `reason` and
            `message` for error, `uploadId` for object until the upload is finished.
        present: whether it can be had.
        expires: ms since the epoch.
    """

    task_id: str
    run_id: int
    name: str
    storage_type: str
    content_type: str
    content_length: int | None
    details: dict[str, Any]
    present: bool
    expires: int

    @property
    def public(self) -> bool:
        """Whether it is meant for everybody, by its name."""
        return self.name.startswith("public/")

    @property
    def object_name(self) -> str:
        """Its name in the object service."""
        return f"t/{self.task_id}/{self.run_id}/{self.name}"

    @property
    def filename(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]

    def document(self) -> dict[str, Any]:
        """The artifact as replies and messages show it."""
        document = {
            "storageType": self.storage_type,
            "name": self.name,
            "expires": clock.to_wire(self.expires),
            "contentType": self.content_type,
        }
        return document if self.content_length is None else {**document, "contentLength": self.content_length}

    def columns(self) -> dict[str, Any]:
        """The artifact as a row."""
        return {
            "task_id": self.task_id, "run_id": self.run_id, "name": self.name, "storage_type": self.storage_type,
            "content_type": self.content_type, "content_length": self.content_length,
            "details": _encode(self.details).decode(), "present": int(self.present), "expires": self.expires,
        }  # fmt: skip


def from_row(row: db.Row) -> Artifact:
    """The artifact of a row."""
    return Artifact(
        row["task_id"], row["run_id"], row["name"], row["storage_type"], row["content_type"], row["content_length"],
        msgspec.json.decode(row["details"]), row["present"] == 1, row["expires"],
    )  # fmt: skip


def requested(run: tuple[str, int], name: str, request: dict[str, Any], expires: int, upload_id: str) -> Artifact:
    """The artifact that a call of `createArtifact` asks for.

    Args:
        run: taskId and runId.
        upload_id: names the upload of an `object`.
    """
    kind = request["storageType"]
    return Artifact(
        *run, name, kind, request.get("contentType") or DEFAULT_CONTENT_TYPE, request.get("contentLength"),
        _details(kind, f"{run[0]}/{run[1]}/{name}", request, upload_id), kind != "object", expires,
    )  # fmt: skip


def _details(kind: str, key: str, request: dict[str, Any], upload_id: str) -> dict[str, Any]:
    if kind == "s3":
        return {"key": key}
    if kind == "object":
        return {"uploadId": upload_id}
    names = {"reference": ("url",), "link": ("artifact",), "error": ("message", "reason")}[kind]
    return {name: request[name] for name in names}


def may_replace(original: Artifact, new: Artifact) -> bool:
    """Whether the second call of `createArtifact` for one name is the same, or one of those that may replace it."""
    if new.storage_type != "link" and original.content_type != new.content_type:
        return False
    if original.expires > new.expires:
        return False
    if original.storage_type == new.storage_type:
        return new.storage_type == "reference" or original.details == new.details
    return (original.storage_type, new.storage_type) == ("reference", "link")


def resumed(original: Artifact, new: Artifact) -> Artifact:
    """An `object` artifact whose creation is repeated: with the upload that was begun for it.

    Raises RequestConflict when the name is another artifact's, or when the upload is finished.
    """
    if original.storage_type == "object" and original.present:
        raise errors.RequestConflict("Artifact already exists: the upload of {name} is finished, and it cannot be replaced. Use another name.", name=new.name)
    if replace(new, details=original.details) != original:
        raise conflict(original)
    return original


def conflict(original: Artifact) -> errors.RequestConflict:
    """The name is taken by another artifact."""
    return errors.RequestConflict(
        "Artifact already exists, with a different type, or later expiration: {originalArtifact}. An artifact cannot be "
        "replaced: use another name, or repeat the call with the same properties.",
        originalArtifact={
            "storageType": original.storage_type,
            "contentType": original.content_type,
            "expires": clock.to_wire(original.expires),
        },
    )
