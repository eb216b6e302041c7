"""Methods that show who changed what."""

from __future__ import annotations

from typing import Any

from tcbox import db
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.auth import audit
from tcbox.services.auth.audit import Audit
from tcbox.services.auth.declarations import api


class AuditMethods:
    """Answers from the history of changes."""

    def __init__(self, history: Audit) -> None:
        self._history = history

    @api.get(
        "/audit/<entityType>/<entityId>", name="getEntityHistory", category="Audit", scopes="auth:audit-history:<entityType>",
        output="get-entity-history-response", query=("continuationToken", "limit"),
    )  # fmt: skip
    async def get_entity_history(self, call: Call, entityType: str, entityId: str) -> dict[str, Any]:
        """Get Entity History

        The changes of one client, role, secret, hook or worker pool, oldest first, and who made them.
        """
        after, size = _page(call)
        return _shown(await self._history.of_entity(entityType, entityId, after, size + 1), size)

    @api.get(
        "/clients/<clientId>/audit", name="listAuditHistory", category="Audit", scopes="auth:client-audit-history:<clientId>",
        output="get-entity-history-response", query=("continuationToken", "limit"),
    )  # fmt: skip
    async def list_audit_history(self, call: Call, clientId: str) -> dict[str, Any]:
        """List Audit History

        The changes that one client made, oldest first.
        """
        after, size = _page(call)
        return _shown(await self._history.of_client(clientId, after, size + 1), size)


def _page(call: Call) -> tuple[int, int]:
    after = paging.after(call.query, int)
    return after[0] if after else 0, paging.limit(call.query)


def _shown(rows: list[db.Row], size: int) -> dict[str, Any]:
    return paging.page("auditHistory", rows, size, lambda row: (row["id"],), audit.shown)
