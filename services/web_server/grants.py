"""Questions to users, codes and access tokens, as they are kept: by digest, and each used at most once."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.web_server import third_party
from tcbox.services.web_server.store import digest, sql, token
from tcbox.services.web_server.third_party import LIFETIME, Asked, AuthorizationError, Grant

_BAD_CODE = "The code is not known, was used before, or is over: begin again at /login/oauth/authorize."


class Grants:
    """What web tools were promised and given."""

    def __init__(self, database: db.Database, clock: clocks.Clock) -> None:
        self._db = database
        self._clock = clock

    async def ask(self, asked: Asked, session: str) -> str:
        """Keep a question until the user of a session answers it; gives by what it is named in the answer."""
        shown = token()
        await self._db.transaction(
            lambda tx: tx.execute(sql.add_request, request=digest(shown), session=session, details=_encode(asked), expires=tx.now + LIFETIME)
        )
        return shown

    async def question(self, shown: str, session: str) -> Asked | None:
        """A question that waits for the answer of this session's user, None when there is none."""
        row = await self._db.point(sql.get_request, request=digest(shown), session=session, now=self._clock.now())
        return None if row is None else msgspec.json.decode(row["details"], type=Asked)

    async def answered(self, shown: str, session: str) -> Asked | None:
        """The same, which cannot be answered again from now on."""

        async def answer(tx: db.Tx) -> Asked | None:
            row = await tx.one(sql.get_request, request=digest(shown), session=session, now=tx.now)
            if row is None or not await tx.execute(sql.remove_request, request=digest(shown), session=session):
                return None
            return msgspec.json.decode(row["details"], type=Asked)

        return await self._db.transaction(answer)

    async def code(self, grant: Grant) -> str:
        """An authorization code for what was granted."""
        shown = token()
        await self._db.transaction(lambda tx: tx.execute(sql.add_code, code=digest(shown), details=_encode(grant), expires=tx.now + LIFETIME))
        return shown

    async def redeem(self, code: str, form: Mapping[str, str]) -> str:
        """The access token that a code is redeemed for, which can be done once, whether or not it goes well.

        A code that comes again was stolen, so what was given for it is taken back (RFC 6749, 10.5).

        Raises AuthorizationError (invalid_grant).
        """
        key, shown = digest(code), token()

        async def redeem(tx: db.Tx) -> AuthorizationError | None:
            if not await tx.execute(sql.use_code, code=key, now=tx.now):
                await tx.execute(sql.remove_tokens_of, code=key)
                return AuthorizationError("invalid_grant", _BAD_CODE)
            row = await tx.one(sql.get_code, code=key)
            assert row is not None
            try:
                third_party.check_redeemer(msgspec.json.decode(row["details"], type=Grant), form)
            except AuthorizationError as error:
                return error  # not raised here: the code stays used
            await self._add_token(tx, shown, key, row["details"])
            return None

        refused = await self._db.transaction(redeem)
        if refused is not None:
            raise refused
        return shown

    async def token(self, grant: Grant) -> str:
        """An access token for what was granted, without a code."""
        shown = token()
        await self._db.transaction(lambda tx: self._add_token(tx, shown, "", _encode(grant)))
        return shown

    @staticmethod
    async def _add_token(tx: db.Tx, shown: str, code: str, details: str) -> None:
        await tx.execute(sql.add_token, token=digest(shown), code=code, details=details, expires=tx.now + LIFETIME)

    async def find(self, access_token: str) -> Grant | None:
        """What an access token stands for; None when it is none, or over."""
        row = await self._db.point(sql.get_token, token=digest(access_token), now=self._clock.now())
        return None if row is None else msgspec.json.decode(row["details"], type=Grant)

    async def expire(self) -> None:
        """Forget what is over."""

        async def expire(tx: db.Tx) -> None:
            for query in (sql.remove_expired_requests, sql.remove_expired_codes, sql.remove_expired_tokens):
                await tx.execute(query, now=tx.now)

        await self._db.transaction(expire)


def _encode(value: Asked | Grant) -> str:
    return msgspec.json.encode(value).decode()
