"""Tokens with which a worker connects to a websocktunnel server. Source: the documentation of websocktunnel."""

from __future__ import annotations

from tcbox import clock as clocks
from tcbox import errors
from tcbox.vendors import jwt

LIFETIME = 96 * clocks.HOUR
DRIFT = 15 * clocks.MINUTE
"""How far behind the clock of the server may be."""

ISSUER = "taskcluster-auth"


class Tokens:
    """Gives tokens; `secret` is shared with the websocktunnel servers."""

    def __init__(self, secret: str | None, clock: clocks.Clock) -> None:
        self._secret = secret
        self._clock = clock

    def give(self, audience: str, client: str, subject: str) -> tuple[str, int]:
        """A token and when it ends, in ms since the epoch.

        Args:
            audience: the servers that take it.
            client: the name under which to connect.
            subject: the client id of who asked.

        Raises ResourceNotFound when there is no secret.
        """
        if not self._secret:
            raise errors.ResourceNotFound(
                "This instance gives no tokens for websocktunnel: an administrator can configure it by services.auth.websocktunnel_secret in tcbox.yml."
            )
        now = self._clock.now() // 1000
        ends = now + LIFETIME // 1000
        claims = {"tid": client, "aud": audience, "sub": subject, "iat": now, "exp": ends, "nbf": now - DRIFT // 1000, "iss": ISSUER}
        return jwt.hs256(claims, self._secret), ends * 1000
