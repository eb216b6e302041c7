"""The owner of the instance as a user: who signs in by a one-time link acts as the root client, as long as its token stays."""

from __future__ import annotations

from tcbox.credentials import Credentials, temporary
from tcbox.services.web_server.identities import User
from tcbox.services.web_server.store import digest


class Owner:
    """Knows one user, the owner.

    Args:
        root: the credentials of the root client.
    """

    name = "static"
    scanned = False

    def __init__(self, root: Credentials) -> None:
        self._root = root
        self.identity = root.client_id
        self.stamp = digest(f"session {root.access_token}")

    async def user(self, identity: str) -> User | None:
        """The owner, who may do everything."""
        return User(identity, ("*",)) if identity == self.identity else None

    def credentials(self, user: User, start_ms: int, expiry_ms: int) -> Credentials:
        """Temporary credentials of the root client."""
        return temporary.create(self._root.client_id, self._root.access_token, scopes=user.scopes, start_ms=start_ms, expiry_ms=expiry_ms)
