"""E-mail to a hook's owner when its task could not be created and nobody else would notice.

It goes through the notify service. Where that does not run, or refuses, the log says so; the error of the firing is
kept in any case. An owner gets at most one e-mail in half an hour for a hook, which may fail at every second.
"""

from __future__ import annotations

import re

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.client import LimitableCaller
from tcbox.services.hooks.model import SCHEDULE, Name
from tcbox.services.hooks.store import sql

PAUSE = 30 * clocks.MINUTE
"""Time from one e-mail about a hook to the next."""

_SHOWN = 4000
"""Letters of the error that the e-mail has."""

_TICKS = re.compile("`+")
_log = log.get("hooks")


class Mail:
    """Tells owners of failures.

    Args:
        caller: calls the notify service.
        root_url: where the hook is found.
    """

    def __init__(self, *, database: db.Database, caller: LimitableCaller, root_url: str) -> None:
        self._db = database
        self._caller = caller
        self._root_url = root_url

    async def send(self, name: Name, error: errors.TcboxError, fired_by: str) -> None:
        """Tell the owner of a hook why it could not fire, if the hook wants it; nothing is raised.

        Args:
            fired_by: what made it fire; the subject for a schedule is the one by which people sort Taskcluster's mails.
        """
        row = await self._db.point(sql.get_hook, **name.columns)
        if row is None:
            return
        metadata = msgspec.json.decode(row["metadata"])
        if not metadata.get("emailOnError", True) or not await self._turn(name):
            return
        failure = f"Scheduled Hook failure: {name}" if fired_by == SCHEDULE else f"{name} could not create its task"
        message = {"address": metadata["owner"], "subject": f"[Taskcluster Hooks] {failure}"[:255], "content": self._words(name, error)}
        try:
            await self._caller.limited(["notify:email:*"]).call("notify", "email", payload=message)
        except errors.ApiError as refusal:
            fields = {**name.words, "code": refusal.code}
            _log.warning("the owner of a hook was not sent an e-mail about its failure: %s", refusal, extra=fields)

    async def _turn(self, name: Name) -> bool:
        """Whether it is time for another e-mail about the hook, which is then taken as sent."""

        async def note(tx: db.Tx) -> int:
            return await tx.execute(sql.note_mail, **name.columns, now=tx.now, lately=tx.now - PAUSE)

        return bool(await self._db.transaction(note))

    def _words(self, name: Name, error: errors.TcboxError) -> str:
        said = str(error)
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
        fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(shown)), default=0))
        return (
            f"The hook [{name}]({self._root_url}/hooks/{name.group}/{name.id.replace('/', '%2F')}), of which you are the owner, "
            f"was to create a task, and could not:\n\n{fence}\n{shown}\n{fence}\n\n"
            "It fires again when its schedule or a message says so. Until that works, you get an e-mail like this at most every half an hour. "
            "To get none, set `metadata.emailOnError` of the hook to false."
        )
