"""Which handler answers what below `/login/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tcbox import errors, log
from tcbox.services.web_server.web import replies
from tcbox.services.web_server.web.sign_in import SignIn
from tcbox.services.web_server.web.third_party import ThirdParty

if TYPE_CHECKING:
    from aiohttp import web

PREFIX = "/login/"
Handler = Callable[["web.BaseRequest"], Awaitable["web.Response"]]
_log = log.get("web-server")


class Routing:
    """Finds the handler of a request."""

    def __init__(self, sign_in: SignIn, third_party: ThirdParty) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {
            "session": {"GET": sign_in.tell},
            "link": {"POST": sign_in.by_link},
            "credentials": {"POST": sign_in.credentials},
            "logout": {"POST": sign_in.out},
            "github": {"GET": sign_in.to_github},
            "github/callback": {"GET": sign_in.from_github},
            "oauth/authorize": {"GET": third_party.authorize},
            "oauth/request": {"GET": third_party.question},
            "oauth/authorize/decision": {"POST": third_party.decide},
            "oauth/token": {"POST": third_party.token, "OPTIONS": third_party.preflight},
            "oauth/credentials": {"GET": third_party.credentials, "OPTIONS": third_party.preflight},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever goes wrong is told in words, and the log has the rest."""
        found = self._handlers.get(request.path.removeprefix(PREFIX))
        if found is None:
            return replies.refusal(404, "ResourceNotFound", f"There is nothing at {request.path}.")
        handler = found.get(request.method)
        if handler is None:
            response = replies.refusal(405, "MethodNotAllowed", f"{request.path} takes {' and '.join(found)}, not {request.method}.")
            response.headers["Allow"] = ", ".join(found)
            return response
        try:
            return await handler(request)
        except replies.TooLargeError:
            return replies.refusal(413, "InputTooLarge", "The body is larger than 64 KiB.")
        except errors.ApiError as error:
            return replies.of_error(error)
        except Exception:
            _log.exception("a request below /login/ failed", extra={"path": request.path})
            return replies.refusal(500, "InternalServerError", "This failed; the log of the web-server service has the whole story.")
