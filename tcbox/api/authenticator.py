"""Who tells the API who calls."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from tcbox.credentials import Failure, SignedRequest, Success

Identity = Success | Failure


class Authenticator(Protocol):
    """Tells who signed a request.

    Implementers must answer every request, with a Failure where the credentials are wrong, and raise
    `errors.Unavailable` only when they cannot know. They may answer at once or be awaited.
    """

    def authenticate(self, request: SignedRequest) -> Identity | Awaitable[Identity]:
        """Who signed this request."""
        ...
