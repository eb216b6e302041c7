"""Errors that a caller of the API sees, and the one table that gives each its published code and status.

An error's message is a template: `{name}` is filled from its details, which also travel in the reply.
Source of codes and statuses: the Taskcluster API guidelines on errors.
"""

from __future__ import annotations

import json
import re
from typing import Any

_PLACE = re.compile(r"\{(\w+)\}")


class TcboxError(Exception):
    """Something that a person can mend; the message says what is wrong, where, and what to do."""


class WrongUsage(TcboxError):
    """Asked for in a way that cannot be meant; the command exits with 2."""


class ApiError(TcboxError):
    """An error that is answered over HTTP with `code`, `message` and `requestInfo`."""

    code = "InternalServerError"
    status = 500
    headers: dict[str, str] = {}

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        self.details = details
        self.message = message or " ".join((self.__doc__ or "").split())
        super().__init__(self.message)

    def __str__(self) -> str:
        """The message with its details in place; a detail that is no text is shown as JSON."""
        return _PLACE.sub(lambda match: _shown(self.details[match[1]]) if match[1] in self.details else match[0], self.message)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, default=str)


class MalformedPayload(ApiError):
    """The body is not JSON: send JSON with `Content-Type: application/json`."""

    code, status = "MalformedPayload", 400


class InvalidRequestArguments(ApiError):
    """A parameter of the URL or the query does not have the published form."""

    code, status = "InvalidRequestArguments", 400


class InputValidationError(ApiError):
    """The body does not match the method's schema."""

    code, status = "InputValidationError", 400


class InputError(ApiError):
    """The request is well-formed, but its values do not make sense together."""

    code, status = "InputError", 400


class AuthenticationFailed(ApiError):
    """The request's credentials are not valid."""

    code, status = "AuthenticationFailed", 401
    headers = {"www-authenticate": "hawk"}


class InsufficientScopes(ApiError):
    """The caller lacks scopes that this request needs."""

    code, status = "InsufficientScopes", 403


class ResourceNotFound(ApiError):
    """There is nothing of that name."""

    code, status = "ResourceNotFound", 404


class RequestConflict(ApiError):
    """The request conflicts with what is there."""

    code, status = "RequestConflict", 409


class ResourceExpired(ApiError):
    """It was there, and has expired."""

    code, status = "ResourceExpired", 410


class InputTooLarge(ApiError):
    """The body is larger than 10 MiB: send less, or upload it as an artifact."""

    code, status = "InputTooLarge", 413


class FailedDependency(ApiError):
    """What was asked for could not be made by the task that should have made it."""

    code, status = "FailedDependency", 424


class InternalServerError(ApiError):
    """An error inside tcbox; its log has the whole story under this request's id."""

    code, status = "InternalServerError", 500


class Unavailable(ApiError):
    """The service cannot answer just now; try again."""

    code, status = "ServiceUnavailable", 503
    headers = {"retry-after": "5"}
