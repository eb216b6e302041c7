"""The end-points of the sign-in for third parties: authorize, the user's decision, token, credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import msgspec

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.scopes import ScopeSet
from tcbox.services.web_server import third_party
from tcbox.services.web_server.grants import Grants
from tcbox.services.web_server.issuing import Issuer, NoUserError
from tcbox.services.web_server.sessions import Session
from tcbox.services.web_server.third_party import Asked, AuthorizationError, RegisteredClient, Return
from tcbox.services.web_server.web import replies
from tcbox.services.web_server.web.door import Door
from tcbox.services.web_server.web.sign_in import SignIn

if TYPE_CHECKING:
    from aiohttp import web

PAGE = "/third-party"
_LONGEST = 10_240
_UNNAMED = "Could not generate credentials for this access token"
_log = log.get("web-server")


class ThirdParty:
    """Answers web tools, and the browsers that they send.

    Args:
        clients: the registered ones, by name.
    """

    def __init__(self, *, door: Door, sign_in: SignIn, grants: Grants, issuer: Issuer, clients: Mapping[str, RegisteredClient], clock: clocks.Clock) -> None:
        self._door = door
        self._sign_in = sign_in
        self._grants = grants
        self._issuer = issuer
        self._clients = clients
        self._clock = clock
        self._origins = third_party.origins(clients)

    # -- the user

    async def authorize(self, request: web.BaseRequest) -> web.Response:
        """GET oauth/authorize: a tool has sent its user, who is asked for consent, or sent back at once."""
        try:
            query = third_party.single(_pairs(_query(request)))
            client, back = third_party.addressee(query, self._clients)
        except AuthorizationError as error:
            return replies.explained(request, 400, error.code, str(error))
        session = await self._sign_in.session(request)
        if session is None:
            return replies.redirect(f"{PAGE}?{_query(request)}")
        try:
            asked = third_party.asked(query, client, session.identity)
            if third_party.needs_consent(client):
                return await self._ask(asked, session, query.get("expires", ""))
            return replies.redirect(back.url(**await self._grant(asked, session, asked.scopes, asked.lifetime_ms)))
        except AuthorizationError as error:
            return replies.redirect(back.url(error=error.code, error_description=str(error)))
        except NoUserError:
            response = replies.redirect(f"{PAGE}?{_query(request)}")
            self._door.drop_cookie(request, response, "session")
            return response
        except errors.ApiError as error:
            return replies.redirect(back.url(error="temporarily_unavailable", error_description=str(error)))

    async def _ask(self, asked: Asked, session: Session, expires: str) -> web.Response:
        shown = await self._grants.ask(asked, session.key)
        named = {"transactionID": shown, "client_id": asked.tool, "scope": " ".join(asked.scopes), "clientId": asked.client_id}
        return replies.redirect(f"{PAGE}?{urlencode({**named, 'expires': expires or f'{asked.lifetime_ms // 1000}s'})}")

    async def question(self, request: web.BaseRequest) -> web.Response:
        """GET oauth/request: what the page that asks for consent has to show."""
        session = await self._sign_in.of_page(request)
        if not self._door.is_own(request) or session is None:
            return replies.refusal(401, "NotSignedIn", "Sign in to see what is asked for.")
        asked = await self._grants.question(request.query.get("transaction_id", ""), session.key)
        if asked is None:
            return replies.refusal(
                404, "ResourceNotFound", "This request was answered, or is older than 10 minutes: begin again at the tool that sent you here."
            )
        try:
            has = await self._issuer.expand(await self._issuer.user(session.identity))
        except NoUserError as error:
            return replies.refusal(401, "NotSignedIn", str(error))
        wanted = ScopeSet(asked.scopes)
        given = wanted.intersect(has)
        return replies.json({
            "tool": asked.tool, "redirectUri": asked.redirect_uri, "clientId": asked.client_id, "scopes": given.scopes,
            "missing": [scope for scope in wanted if not given.satisfies(scope)], "until": clocks.to_wire(self._clock.now() + asked.lifetime_ms),
        })  # fmt: skip

    async def decide(self, request: web.BaseRequest) -> web.Response:
        """POST oauth/authorize/decision: the user has answered."""
        if not self._door.is_own(request):
            return replies.explained(request, 403, "access_denied", "This answer came from a page of another site, so it does not count.")
        try:
            form = third_party.single(_form(await replies.body(request), request.headers.get("Content-Type", "")))
        except AuthorizationError as error:
            return replies.explained(request, 400, error.code, str(error))
        session = await self._sign_in.of_page(request, form.get("page", ""))
        if session is None:
            return replies.redirect(PAGE)
        asked = await self._grants.answered(form.get("transaction_id", ""), session.key)
        if asked is None:
            message = "This request was answered, or is older than 10 minutes, or another user's: begin again at the tool that sent you here."
            return replies.explained(request, 403, "access_denied", message)
        client = self._clients.get(asked.tool)
        if client is None or asked.redirect_uri not in client.redirect_uris:
            return replies.explained(request, 403, "unauthorized_client", f"The tool {asked.tool!r} is no longer registered here.")
        back = Return(asked.redirect_uri, asked.state, fragment=asked.response_type == "token")
        try:
            if "cancel" in form:
                raise AuthorizationError("access_denied", "The user did not give consent.")
            description = form.get("description", "")[:_LONGEST]
            values = await self._grant(asked, session, tuple(form.get("scope", "").split()), self._lasting(form.get("expires", ""), asked), description)
        except AuthorizationError as error:
            return replies.redirect(back.url(error=error.code, error_description=str(error)))
        except NoUserError as error:
            return replies.redirect(back.url(error="access_denied", error_description=str(error)))
        except errors.ApiError as error:
            return replies.redirect(back.url(error="temporarily_unavailable", error_description=str(error)))
        return replies.redirect(back.url(**values))

    def _lasting(self, until: str, asked: Asked) -> int:
        """For how long the user consents, at most as long as was asked for."""
        if not until:
            return asked.lifetime_ms
        try:
            chosen = clocks.from_wire(until) - self._clock.now()
        except ValueError:
            return asked.lifetime_ms
        if chosen <= 0:
            raise AuthorizationError("access_denied", "The user chose an end that has passed.")
        return min(chosen, asked.lifetime_ms)

    async def _grant(self, asked: Asked, session: Session, scopes: tuple[str, ...], lifetime_ms: int, description: str = "") -> dict[str, str]:
        """What the tool is given back."""
        user = await self._issuer.user(session.identity)
        has = await self._issuer.expand(user)
        grant = third_party.granted(asked, session.identity, scopes, has, self._clock.now(), lifetime_ms=lifetime_ms, description=description)
        if asked.response_type == "code":
            return {"code": await self._grants.code(grant)}
        return {"access_token": await self._grants.token(grant), "token_type": "Bearer", "expires_in": str(third_party.LIFETIME // 1000)}

    # -- the tool

    async def token(self, request: web.BaseRequest) -> web.Response:
        """POST oauth/token: a code becomes an access token."""
        try:
            form = third_party.single(_form(await replies.body(request), request.headers.get("Content-Type", "")))
            if form.get("grant_type") != "authorization_code":
                raise AuthorizationError("unsupported_grant_type", "The only grant_type here is authorization_code.")
            missing = [name for name in ("code", "redirect_uri", "client_id") if not form.get(name)]
            if missing:
                raise AuthorizationError("invalid_request", f"The request lacks {', '.join(missing)}.")
            made = await self._grants.redeem(form["code"], form)
        except AuthorizationError as error:
            return self._shared(request, replies.json({"error": error.code, "error_description": str(error)}, 400))
        reply = {"access_token": made, "token_type": "Bearer", "expires_in": third_party.LIFETIME // 1000}
        return self._shared(request, replies.json(reply, headers={"Pragma": "no-cache"}))

    async def credentials(self, request: web.BaseRequest) -> web.Response:
        """GET oauth/credentials: an access token becomes Taskcluster credentials."""
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        grant = await self._grants.find(given.strip()) if kind.lower() == "bearer" and given else None
        if grant is None:
            challenge = 'Bearer error="invalid_token"' if given else "Bearer"
            return self._shared(request, _not_named(401, "it is not known, or over", {"WWW-Authenticate": challenge}))
        try:
            issued = await self._issuer.client(grant)
        except NoUserError as error:
            return self._shared(request, _not_named(403, str(error)))
        except errors.ApiError as error:
            _log.warning("no credentials for a web tool", extra={"clientId": grant.client_id, "reason": str(error)})
            reason = "the user no longer has what it takes, or may not make clients" if error.status == 403 else "try again"
            return self._shared(request, _not_named(error.status, reason))
        made = issued.credentials
        _log.info("made credentials for a web tool", extra={"clientId": made.client_id, "expires": clocks.to_wire(issued.expires), "user": grant.identity})
        reply = {"expires": clocks.to_wire(issued.expires), "credentials": {"clientId": made.client_id, "accessToken": made.access_token}}
        return self._shared(request, replies.json(reply))

    async def preflight(self, request: web.BaseRequest) -> web.Response:
        """OPTIONS of both: may a page of another origin ask?"""
        from aiohttp import web

        headers = {
            "Access-Control-Allow-Methods": "GET,HEAD,POST",
            "Access-Control-Allow-Headers": "Authorization,Content-Type",
            "Access-Control-Max-Age": "900",
        }
        return self._shared(request, web.Response(status=204, headers=headers))

    def _shared(self, request: web.BaseRequest, response: web.Response) -> web.Response:
        """A reply that pages of registered tools may read, and no others. No cookie counts here, so nothing is given away."""
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin", "")
        if origin.lower() in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
        return response


def _query(request: web.BaseRequest) -> str:
    """The query as it was sent, nothing in it decoded."""
    return request.raw_path.partition("?")[2]


def _not_named(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return replies.json({"code": "InputError", "name": "InputError", "message": f"{_UNNAMED}: {reason}"}, status, headers)


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise AuthorizationError("invalid_request", "The parameters are not well-formed.") from None


def _form(body: bytes, kind: str) -> list[tuple[str, str]]:
    """The fields of a form, or of a JSON object of texts."""
    if kind.partition(";")[0].strip().lower() == "application/json":
        try:
            return list(msgspec.json.decode(body, type=dict[str, str]).items())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise AuthorizationError("invalid_request", "The body is no JSON object of texts.") from None
    try:
        return _pairs(body.decode())
    except UnicodeDecodeError:
        raise AuthorizationError("invalid_request", "The body is not UTF-8.") from None
