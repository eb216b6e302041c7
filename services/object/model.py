"""The rules of objects: what makes two calls the same upload, which hashes go together, what is finished."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tcbox import errors

_HEADER = re.compile(r"[\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Object:
    """An object, or an upload that is to become one.

    Attributes:
        backend: where its bytes are kept.
        blob: their key there.
        upload_id: None once the upload is finished.
        expires: ms since the epoch.
        removed: it has expired, and only its bytes are still to go.
    """

    name: str
    project_id: str
    backend: str
    blob: str
    upload_id: str | None
    expires: int
    hashes: Mapping[str, str]
    removed: bool

    @property
    def finished(self) -> bool:
        """Whether it can be downloaded."""
        return self.upload_id is None and not self.removed


def check_same_upload(found: Object | None, wanted: Object) -> None:
    """Raise RequestConflict unless the upload that is there is the one that is wanted."""
    name = wanted.name
    if found is None:
        raise errors.RequestConflict(
            "The uploadId {uploadId} belongs to an object with another name: make a new one for {name}.", uploadId=wanted.upload_id, name=name
        )
    if found.removed:
        raise errors.RequestConflict("Object already exists: {name} has expired and is just being deleted. Try again in a while.", name=name)
    if found.upload_id is None:
        raise errors.RequestConflict("Object already exists: {name} has been uploaded, and cannot be changed. Use another name.", name=name)
    if found.upload_id != wanted.upload_id:
        raise errors.RequestConflict("Object already exists: an upload of {name} with another uploadId has begun. Use that id, or another name.", name=name)
    differing = [
        label
        for label, one, other in (
            ("projectId", found.project_id, wanted.project_id),
            ("expires", found.expires, wanted.expires),
        )
        if one != other
    ]
    if differing:
        what = " and ".join(differing)
        raise errors.RequestConflict("Object already exists: the upload of {name} began with another {what}. Give the same again.", name=name, what=what)


def merge_hashes(found: Object, hashes: Mapping[str, str]) -> dict[str, str]:
    """All hashes of an upload, with these added.

    Raises RequestConflict when one is known with another value.
    """
    for algorithm, value in hashes.items():
        if found.hashes.get(algorithm, value) != value:
            raise errors.RequestConflict(
                "Content hash already exists with a different value: the {algorithm} of {name} was given as {before}, and is now {now}.",
                algorithm=algorithm, name=found.name, before=found.hashes[algorithm], now=value,
            )  # fmt: skip
    return {**found.hashes, **hashes}


def check_finishing(found: Object | None, name: str, project_id: str, upload_id: str, hashes: Mapping[str, str]) -> Object | None:
    """The upload to finish, or None when that has been done already with the same hashes.

    Raises ResourceNotFound, InputError for another project, RequestConflict for another upload or other hashes.
    """
    if found is None or found.removed:
        raise errors.ResourceNotFound('Object "{name}" not found: begin its upload with createUpload.', name=name)
    if found.project_id != project_id:
        raise errors.InputError(
            'Object "{name}" does not have projectId {projectId}: finish it with the one that its upload began with.', name=name, projectId=project_id
        )
    if found.upload_id is None:
        _check_finished(found, hashes)
        return None
    if found.upload_id != upload_id:
        raise errors.RequestConflict('Object "{name}" does not have uploadId {uploadId}: another upload of this name has begun.', name=name, uploadId=upload_id)
    return found


def _check_finished(found: Object, hashes: Mapping[str, str]) -> None:
    for algorithm, value in hashes.items():
        if algorithm not in found.hashes:
            raise errors.RequestConflict('Object "{name}" is already finished, but without hash algorithm {algo}.', name=found.name, algo=algorithm)
        if found.hashes[algorithm] != value:
            raise errors.RequestConflict(
                'Object "{name}" is already finished, but with a different hash for algorithm {algo}.', name=found.name, algo=algorithm
            )


def disposition(content_type: str) -> str:
    """The Content-Disposition of an object: pages are saved, not shown, as they would share an origin with others.

    Raises InputError when the type cannot stand in a header.
    """
    if not _HEADER.fullmatch(content_type):
        raise errors.InputError("The contentType {type} cannot stand in an HTTP header: use printable ASCII, like text/plain.", type=content_type)
    return "attachment" if content_type.partition(";")[0].strip().lower() == "text/html" else ""
