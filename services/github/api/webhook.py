"""Takes GitHub's webhooks: checks who sends them, and announces what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tcbox import clock as clocks
from tcbox import db, errors, log
from tcbox.api import faults
from tcbox.api.call import Call, Reply
from tcbox.events import Bus
from tcbox.services.github import names, signatures, webhooks
from tcbox.services.github.configs import Checker
from tcbox.services.github.declarations import api
from tcbox.services.github.hub import Hub, HubError, part
from tcbox.services.github.store import Store, sql

LOOKUP_SECONDS = 4.0
"""For looking up a user's address; GitHub waits ten seconds for an answer to its webhook."""
REMEMBERED = 1 * clocks.HOUR
_MOST_REMEMBERED = 10_000
_log = log.get("github")


class Webhook:
    """Answers GitHub.

    Args:
        secrets: any of which a webhook may be signed with.
        validator: finds a schema of the service by its name.
    """

    def __init__(
        self, database: db.Database, bus: Bus, kept: Store, hub: Hub, clock: clocks.Clock, *, secrets: Sequence[str], validator: Callable[[str], Checker]
    ) -> None:
        self._db = database
        self._bus = bus
        self._store = kept
        self._hub = hub
        self._clock = clock
        self._secrets = secrets
        self._validator = validator
        self._addresses: dict[str, tuple[str, int]] = {}

    @api.post("/github", name="githubWebHookConsumer", published=False, conceal=True)
    async def consume(self, call: Call) -> Reply:
        """Consume GitHub WebHook

        Takes an event from GitHub, and announces it if it is a push, a release, or about a pull request or a check run.
        """
        kind, delivery = call.headers.get("x-github-event", ""), call.headers.get("x-github-delivery", "")
        told = {"eventId": delivery, "eventType": kind}
        refusal = self._refusal(call, kind, delivery)
        if refusal is not None:
            _log.warning("a webhook is refused: %s", refusal[1], extra=told)
            return _text(*refusal)
        body = _decoded(call.body)
        installation = (body.get("installation") or {}).get("id")
        self._check(kind, body)
        _log.info("webhook received", extra={**told, "installationId": installation})
        if kind == "installation":
            return await self._install(body)
        found = webhooks.read(kind, body)
        if isinstance(found, webhooks.Skip):
            return _text(200, found.reason)
        if installation is None:
            return _text(400, "The event names no installation of the GitHub App: use the App's own webhook, not one of a repository or an organization.")
        await self._announce(found, delivery, int(installation))
        return Reply(None, 204)

    def _refusal(self, call: Call, kind: str, delivery: str) -> tuple[int, str] | None:
        """Status and words for a request that is not from GitHub, as far as can be told without its body."""
        if not kind:
            return 400, "Missing X-GitHub-Event"
        if not call.body:
            return 400, "Request missing a body"
        if not self._secrets:
            return 400, "Server is not setup to handle secrets: set services.github.webhook_secrets in tcbox.yml to the secret of the GitHub App's webhook."
        if not self._hub.configured:
            return 400, "Server is not setup for a GitHub App: set services.github.app_id and services.github.private_key in tcbox.yml."
        signature = call.headers.get("x-hub-signature-256") or call.headers.get("x-hub-signature")
        if not signature:
            return 400, "Request missing a secret: set the webhook's secret on GitHub."
        if not signatures.valid(self._secrets, call.body, signature):
            return 403, "X-hub-signature does not match; bad webhook secret?"
        if not names.UUID.fullmatch(delivery):
            return 400, "Missing X-GitHub-Delivery"
        return None

    def _check(self, kind: str, body: dict[str, Any]) -> None:
        schema = webhooks.SCHEMAS.get(kind)
        found = [] if schema is None else self._validator(schema).check(body)
        if found:
            listed = "\n".join(f"  * {fault.path or '/'}: {fault.message}" for fault in found)
            raise errors.InputValidationError(
                "Schema Validation Failed!\nRejecting Schema: {schema}\nErrors:\n{faults}", schema=f"/schemas/github/v1/{schema}.json#", faults=listed
            )

    async def _install(self, body: dict[str, Any]) -> Reply:
        owner, number = body["installation"]["account"]["login"], int(body["installation"]["id"])
        if body["action"] == "deleted":
            await self._store.uninstall(owner, number)
            return _text(200, "Removed table row!")
        await self._store.install(owner, number)
        return _text(200, "Created table row!")

    async def _announce(self, found: webhooks.Announce, delivery: str, installation: int) -> None:
        address = await self._address(installation, found.user)
        message = {
            "version": 1, **found.message, "details": {**found.message["details"], "event.head.user.email": address},
            "installationId": installation, "eventId": delivery,
        }  # fmt: skip
        key = {name: message[name] for name in ("organization", "repository", "action") if name in message}

        async def announce(tx: db.Tx) -> None:
            await tx.execute(sql.receive_delivery, event_id=delivery, now=tx.now)
            await self._bus.publish(tx, found.exchange, message, **key)

        await self._db.transaction(announce)

    async def _address(self, installation: int, login: str) -> str:
        """A user's public address, or else the one by which GitHub stands for them; an event never fails for want of it."""
        now = self._clock.now()
        address, until = self._addresses.get(login, ("", 0))
        if until > now:
            return address
        address = f"{login.removesuffix('[bot]')}@users.noreply.github.com"
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                user = await self._hub.installation(installation).ask("GET", f"/users/{part(login)}")
        except (HubError, TimeoutError) as error:
            _log.info("a user's address is not known: %s", error, extra={"login": login})
            return address
        public = user.get("email") if isinstance(user, dict) else None
        if isinstance(public, str) and faults.is_email(public):
            address = public
        if len(self._addresses) >= _MOST_REMEMBERED:
            self._addresses.clear()
        self._addresses[login] = (address, now + REMEMBERED)
        return address


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise errors.MalformedPayload("The body is no JSON object: choose the content type application/json for the webhook on GitHub.")
    return value


def _text(status: int, words: str) -> Reply:
    return Reply(words.encode(), status, {"content-type": "text/plain; charset=utf-8"})
