"""Calls over HTTP, signed with Hawk, retried where a second try can help.

Routes come from the instance's own references, so a client always fits the instance that it talks to, unless they are given.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from tcbox import clock as clocks
from tcbox import credentials as creds
from tcbox import errors
from tcbox.credentials import Credentials

__all__ = ["Credentials", "Http", "sign"]

if TYPE_CHECKING:
    import aiohttp

_KINDS = {cls.code: cls for cls in errors.ApiError.__subclasses__()}
Routes = Mapping[str, tuple[str, str]]
_RETRIED = (500, 502, 503, 504)
_PARAMETER = re.compile(r"<\w+>")
_ERRNO = re.compile(r"\[Errno (\d+)\]")


class Http:
    """Calls an instance at its root URL.

    Args:
        credentials: None for calls without a signature.
        retries: how often a call that failed for want of an answer, or with a 5xx, is sent again.
        authorized_scopes: those of the credentials' scopes that count; None for all of them.
        routes: verb and route of each method of a service, by the service's name, for a caller that knows them.
        headers: further headers of a request, asked for at each.
    """

    def __init__(
        self, root_url: str, credentials: Credentials | None, *,
        session: aiohttp.ClientSession, clock: clocks.Clock, retries: int = 5, authorized_scopes: Sequence[str] | None = None,
        routes: Callable[[str], Routes] | None = None, headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:  # fmt: skip
        self.root_url = root_url.rstrip("/")
        self._credentials = credentials
        self._session = session
        self._clock = clock
        self._retries = retries
        self._authorized_scopes = authorized_scopes
        self._routes: dict[str, Routes] = {}
        self._known = routes
        self._headers = headers

    def using(self, credentials: Credentials) -> Http:
        """The same instance, called with other credentials."""
        return self._other(credentials, None)

    def limited(self, scopes: Sequence[str]) -> Http:
        """The same client with no more than these scopes (see `LimitableCaller.limited`)."""
        return self._other(self._credentials, scopes)

    def _other(self, credentials: Credentials | None, scopes: Sequence[str] | None) -> Http:
        other = Http(
            self.root_url, credentials, session=self._session, clock=self._clock, retries=self._retries, authorized_scopes=scopes,
            routes=self._known, headers=self._headers,
        )  # fmt: skip
        other._routes = self._routes
        return other

    async def call(
        self,
        service: str,
        method: str,
        /,
        *args: str,
        payload: Any = None,
        query: Mapping[str, str] | None = None,
        timeout: float = 60,  # noqa: ASYNC109 - of each try
    ) -> Any:
        """Call a method over HTTP (see `Caller.call`); `timeout` is in seconds.

        Raises errors.Unavailable when the instance does not answer after all retries.
        """
        verb, path = await self._resolve(service, method, args)
        target = path + ("?" + urlencode(query) if query else "")
        body = None if payload is None else msgspec.json.encode(payload)
        status, raw = await self.request(verb, target, body, timeout=timeout)
        if status < 400:
            return msgspec.json.decode(raw) if raw else None
        raise _error(status, raw)

    async def request(self, verb: str, target: str, body: bytes | None, *, timeout: float = 60) -> tuple[int, bytes]:  # noqa: ASYNC109
        """Send one signed request to a path of the instance; gives status and body of the last try."""
        return await self._tries(lambda: self._send(verb, target, body, timeout))

    async def _tries(self, send: Callable[[], Any]) -> tuple[int, bytes]:
        import aiohttp

        for attempt in range(self._retries + 1):
            try:
                status, raw = await send()
                if status not in _RETRIED or attempt == self._retries:
                    return status, raw
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if attempt == self._retries:
                    raise errors.Unavailable("{root} does not answer: {reason}", root=self.root_url, reason=reason(error)) from error
            await asyncio.sleep(min(0.1 * 2**attempt, 10) * (0.5 + random.random()))
        raise AssertionError("the loop above always returns or raises")

    async def _send(self, verb: str, target: str, body: bytes | None, timeout: float) -> tuple[int, bytes]:  # noqa: ASYNC109
        import aiohttp

        url = self.root_url + target
        headers = dict(self._headers())
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._credentials is not None:
            headers["Authorization"] = sign(self._credentials, verb, url, body, self._clock.now(), authorized_scopes=self._authorized_scopes)
        limit = aiohttp.ClientTimeout(total=timeout)
        # encoded=True: what is signed is what is sent
        async with self._session.request(verb, _exact(url), data=body, headers=headers, timeout=limit, allow_redirects=False) as reply:
            return reply.status, await reply.read()

    async def _resolve(self, service: str, method: str, args: tuple[str, ...]) -> tuple[str, str]:
        if service not in self._routes and self._known is not None:
            self._routes[service] = self._known(service)
        if service not in self._routes:
            status, raw = await self._tries(lambda: self._send_plain(f"/references/{service}/v1/api.json"))
            if status >= 500:
                raise _error(status, raw)
            if status >= 400:
                raise errors.ResourceNotFound("{root} has no service {service}.", root=self.root_url, service=service)
            self._routes[service] = {e["name"]: (e["method"].upper(), e["route"]) for e in msgspec.json.decode(raw)["entries"]}
        try:
            verb, route = self._routes[service][method]
        except KeyError:
            raise errors.ResourceNotFound(
                "The service {service} at {root} has no method {method}.", service=service, root=self.root_url, method=method,
            ) from None  # fmt: skip
        wanted = len(_PARAMETER.findall(route))
        if len(args) != wanted:
            raise TypeError(f"{service}.{method} takes {wanted} parameters ({route}), and was given {len(args)}")
        values = iter(args)
        return verb, f"/api/{service}/v1" + _PARAMETER.sub(lambda _: quote(next(values), safe=""), route)

    async def _send_plain(self, target: str) -> tuple[int, bytes]:
        import aiohttp

        async with self._session.get(_exact(self.root_url + target), timeout=aiohttp.ClientTimeout(total=60)) as reply:
            return reply.status, await reply.read()


def reason(error: BaseException) -> str:
    """Why there was no answer, in the system's words."""
    import ssl

    cause = getattr(error, "os_error", None) or error
    number = getattr(cause, "errno", None)
    if number is None and (found := _ERRNO.search(str(cause))):  # several addresses were tried
        number = int(found[1])
    if number is not None and number > 0 and not isinstance(cause, ssl.SSLError):
        return os.strerror(number)
    if isinstance(cause, TimeoutError) and not str(cause):
        return "no answer came in time"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _exact(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


def sign(credentials: Credentials, verb: str, url: str, body: bytes | None, now: int, *, authorized_scopes: Sequence[str] | None = None) -> str:
    """The Authorization header of a request."""
    ext = creds.make_ext(credentials.certificate, authorized_scopes)
    return creds.sign_header(
        credentials.client_id, credentials.access_token, method=verb, url=url, now_ms=now, ext=ext,
        content=body, content_type="application/json" if body is not None else None,
    )  # fmt: skip


def _error(status: int, raw: bytes) -> errors.ApiError:
    try:
        body = msgspec.json.decode(raw)
        code, message = str(body["code"]), str(body["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        code, message = "", f"HTTP status {status}: {raw[:200].decode(errors='replace')}"
    kind = _KINDS.get(code, errors.ApiError)
    error = kind("{reply}", reply=message.partition("\n\n---\n")[0])
    error.status = status
    if code:
        error.code = code
    return error
