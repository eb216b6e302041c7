"""Signing in and out with a browser: by a one-time link, or by GitHub; and credentials for the browser's own calls."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from tcbox import clock as clocks
from tcbox import errors, log
from tcbox.credentials.sealed import Sealer, SealError
from tcbox.services.web_server import identities, links, pages
from tcbox.services.web_server.github import Github, SignInError
from tcbox.services.web_server.issuing import Issuer, NoUserError
from tcbox.services.web_server.links import Links
from tcbox.services.web_server.sessions import Session, Sessions
from tcbox.services.web_server.store import token
from tcbox.services.web_server.web import replies
from tcbox.services.web_server.web.door import Door, within

if TYPE_CHECKING:
    from aiohttp import web

SESSION, GITHUB = "session", "github"
CALLBACK = "/login/github/callback"
PATIENCE = 15 * clocks.MINUTE
"""How long someone may stay at GitHub before they come back."""
_SEALED_FOR = "web-server/github-sign-in"
_log = log.get("web-server")


class _Leaving(msgspec.Struct):
    """What the browser keeps, sealed, while its user is at GitHub."""

    state: str
    verifier: str
    after: str
    expires: int
    page: str = ""


class SignIn:
    """Answers browsers that sign in and out.

    Args:
        owner: the identity of who signs in by a link; empty where nobody can.
        reach: from where such a link is taken.
        github: None when it is not configured.
    """

    def __init__(
        self, *, door: Door, sessions: Sessions, issuer: Issuer, links: Links, owner: str, reach: links.Reach,
        github: Github | None, sealer: Sealer, clock: clocks.Clock,
    ) -> None:  # fmt: skip
        self._door = door
        self._sessions = sessions
        self._issuer = issuer
        self._links = links
        self._owner = owner
        self._reach = reach
        self._github = github
        self._sealer = sealer
        self._clock = clock

    async def session(self, request: web.BaseRequest) -> Session | None:
        """Who is signed in."""
        found = await self._sessions.find(self._door.cookie(request, SESSION))
        return found if found is not None and found.stamp == self._issuer.stamp(found.identity) else None

    async def of_page(self, request: web.BaseRequest, shown: str | None = None) -> Session | None:
        """Who is signed in, if it is a page of the instance that asks, and not whoever else has got hold of the cookie.

        Args:
            shown: what the page shows; in a header when it is not given.
        """
        cookie = self._door.cookie(request, SESSION)
        secret = request.headers.get(pages.HEADER, "") if shown is None else shown
        return await self.session(request) if pages.holds(cookie, secret) else None

    async def tell(self, request: web.BaseRequest) -> web.Response:
        """GET session: who is signed in, and how one can sign in."""
        if not self._door.is_own(request):
            return _foreign()
        session = await self.session(request)
        return replies.json({"session": _shown(session), "methods": {"github": self._github is not None, "link": bool(self._owner)}})

    async def by_link(self, request: web.BaseRequest) -> web.Response:
        """POST link: sign the owner in by what a one-time link has behind its `#`."""
        if not self._door.is_own(request):
            return _foreign()
        if not self._owner:
            return replies.refusal(404, "NotConfigured", "Links that sign in are switched off here, by services.web_server.links.")
        if self._reach != "anywhere" and not links.is_local(request.remote, request.headers):
            message = (
                "This link signs in only from the machine that the instance runs on, and without a proxy between. "
                "Open it there, or set services.web_server.links: anywhere."
            )
            return replies.refusal(403, "NotLocal", message)
        given = _texts(await replies.body(request))
        if not await self._links.use(given.get("code", "")):
            return replies.refusal(403, "LinkUsed", "This link was used before, or is older than 10 minutes. 'tcbox ui' prints a new one.")
        return await self._signed_in(request, self._owner, "link", page=given.get("page", ""))

    async def credentials(self, request: web.BaseRequest) -> web.Response:
        """POST credentials: temporary credentials for whoever is signed in."""
        if not self._door.is_own(request):
            return _foreign()
        session = await self.of_page(request)
        if session is None:
            return replies.refusal(401, "NotSignedIn", "Nobody is signed in, or the sign-in has ended: sign in again.")
        try:
            issued = await self._issuer.temporary(session.identity, session.expires)
        except NoUserError as error:
            response = replies.refusal(401, "NotSignedIn", str(error))
            await self._sessions.end(self._door.cookie(request, SESSION))
            self._door.drop_cookie(request, response, SESSION)
            return response
        made = issued.credentials
        return replies.json({
            "clientId": made.client_id, "accessToken": made.access_token, "certificate": msgspec.Raw((made.certificate or "null").encode()),
            "expires": clocks.to_wire(issued.expires),
        })  # fmt: skip

    async def out(self, request: web.BaseRequest) -> web.Response:
        """POST logout: end the session."""
        if not self._door.is_own(request):
            return _foreign()
        await self._sessions.end(self._door.cookie(request, SESSION))
        response = replies.json({})
        self._door.drop_cookie(request, response, SESSION)
        return response

    async def to_github(self, request: web.BaseRequest) -> web.Response:
        """GET github: send the browser to GitHub."""
        github = self._github
        if github is None:
            return replies.page(404, "Not configured", "This instance has no sign-in by GitHub. Its owner sets services.web_server.github.")
        after = within(request.query.get("next", "/"))
        if not self._door.at_root(request) and "again" not in request.query:
            return replies.redirect(f"{self._door.root_url}/login/github?{urlencode({'next': after, 'again': '1'})}")  # GitHub sends back there
        page = request.query.get("page", "")
        if page and not self._door.is_own(request):  # a page from elsewhere, which knows the secret to this
            return replies.page(403, "Not from here", "This way to sign in was prepared by a page of another site. Begin at the start page.")
        leaving = _Leaving(token(), token(), after, self._clock.now() + PATIENCE, page)
        response = replies.redirect(github.authorize_url(self._callback, leaving.state, leaving.verifier))
        sealed = self._sealer.seal(msgspec.json.encode(leaving), context=_SEALED_FOR)
        self._door.set_cookie(request, response, GITHUB, base64.urlsafe_b64encode(sealed).decode(), PATIENCE)
        return response

    async def from_github(self, request: web.BaseRequest) -> web.Response:
        """GET github/callback: the browser comes back from GitHub."""
        github = self._github
        if github is None:
            return replies.page(404, "Not configured", "This instance has no sign-in by GitHub.")
        response = await self._returned(request, github)
        self._door.drop_cookie(request, response, GITHUB)
        return response

    async def _returned(self, request: web.BaseRequest, github: Github) -> web.Response:
        leaving = self._opened(self._door.cookie(request, GITHUB))
        state = request.query.get("state", "")
        if leaving is None or not hmac.compare_digest(state.encode("utf-8", "surrogatepass"), leaving.state.encode()):
            return _failed(400, "This sign-in was not begun in this browser, or it was a while ago, or in another tab since. Begin again from the start page.")
        if "code" not in request.query:
            reason = request.query.get("error_description") or request.query.get("error") or "it gave no reason"
            return _failed(400, f"GitHub did not sign you in: {reason}.")
        try:
            user = await github.sign_in(request.query["code"], self._callback, leaving.verifier)
        except SignInError as error:
            return _failed(400, str(error))
        except errors.ApiError as error:
            _log.warning("nobody could sign in by GitHub", extra={"reason": str(error)})
            return _failed(503, str(error))
        return await self._signed_in(request, user.identity, "github", leaving.after, page=leaving.page)

    def _opened(self, cookie: str) -> _Leaving | None:
        try:
            opened = self._sealer.open(base64.urlsafe_b64decode(cookie), context=_SEALED_FOR)
            leaving = msgspec.json.decode(opened, type=_Leaving)
        except (ValueError, SealError):
            return None
        return leaving if leaving.expires > self._clock.now() else None

    async def _signed_in(self, request: web.BaseRequest, identity: str, by: str, after: str = "", page: str = "") -> web.Response:
        before = self._door.cookie(request, SESSION)
        shown, session = await self._sessions.begin(identity, stamp=self._issuer.stamp(identity), before=before, page=page)
        _log.info("signed in", extra={"identity": identity, "by": by, "from": request.remote or ""})
        response = replies.redirect(after, 303) if after else replies.json({"session": _shown(session)})
        self._door.set_cookie(request, response, SESSION, shown, session.expires - session.created)
        return response

    @property
    def _callback(self) -> str:
        return f"{self._door.root_url}{CALLBACK}"


def _shown(session: Session | None) -> dict[str, Any] | None:
    if session is None:
        return None
    return {"clientId": session.identity, "expires": clocks.to_wire(session.expires), "clientPrefix": identities.client_prefix(session.identity)}


def _texts(body: bytes) -> dict[str, str]:
    """A JSON object's texts; nothing of what is none."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {name: value for name, value in given.items() if isinstance(value, str)} if isinstance(given, dict) else {}


def _foreign() -> web.Response:
    return replies.refusal(
        403,
        "ForeignOrigin",
        "This may be asked only by pages of the instance itself, at its root URL, and the request came from another. Open the instance there.",
    )


def _failed(status: int, text: str) -> web.Response:
    return replies.page(status, "You are not signed in", text)
