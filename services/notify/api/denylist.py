"""Methods on the denylist."""

from __future__ import annotations

from typing import Any

from tcbox import errors
from tcbox.api import paging
from tcbox.api.call import Call
from tcbox.services.notify.declarations import api
from tcbox.services.notify.store import Address, Store

CATEGORY = "Denylist"
SCOPE = "notify:manage-denylist"


class Denylist:
    """Keeps the addresses that nothing is sent to."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @api.post("/denylist/add", name="addDenylistAddress", category=CATEGORY, input="notification-address", scopes=SCOPE, stability="experimental")
    async def add(self, call: Call) -> dict[str, Any]:
        """Denylist Given Address

        Put an address on the denylist: nothing is sent to it any more, and what waits to be sent to it is dropped.
        Succeeds too when it is on it already.
        """
        await self._store.deny(*_address(call.payload))
        return {}

    @api.delete("/denylist/delete", name="deleteDenylistAddress", category=CATEGORY, input="notification-address", scopes=SCOPE, stability="experimental")
    async def delete(self, call: Call) -> dict[str, Any]:
        """Delete Denylisted Address

        Take an address off the denylist. Succeeds too when it is not on it.
        """
        await self._store.allow(*_address(call.payload))
        return {}

    @api.get(
        "/denylist/list", name="listDenylist", category=CATEGORY, output="notification-address-list", scopes=SCOPE,
        query=("continuationToken", "limit"), stability="experimental",
    )  # fmt: skip
    async def list_denied(self, call: Call) -> dict[str, Any]:
        """List Denylisted Notifications

        List the addresses on the denylist, in order, at most 1000 in a reply. There are more as long as a reply holds
        a `continuationToken`.
        """
        size = paging.limit(call.query)
        after = Address(*(paging.after(call.query, str, str) or ("", "")))
        found = await self._store.denied(after, size + 1)
        return paging.page("addresses", found, size, key=tuple, shape=_shown)


def _address(asked: dict[str, str]) -> Address:
    if "\0" in asked["notificationAddress"]:
        raise errors.InputError("The notificationAddress has a NUL character in it: no address has one.")
    return Address(asked["notificationType"], asked["notificationAddress"])


def _shown(one: Address) -> dict[str, str]:
    return {"notificationType": one.kind, "notificationAddress": one.address}
