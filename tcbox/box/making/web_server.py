"""Makes the web server from what the instance shares."""

from __future__ import annotations

from collections.abc import Sequence

from tcbox import clock as clocks
from tcbox.box.services import Shared
from tcbox.box.vendors import text
from tcbox.client import Caller
from tcbox.config.services.web_server import GithubSignIn, WebServer
from tcbox.credentials import Credentials
from tcbox.services.web_server import durations, github
from tcbox.services.web_server.service import Rules, Service
from tcbox.services.web_server.third_party import RegisteredClient


class _Callers:
    """Calls other services as the web server, with all of its scopes or with those of someone else."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.own: Caller = shared.caller("web-server")

    def restricted(self, scopes: Sequence[str]) -> Caller:
        return self._shared.restricted("web-server", scopes)


def make(shared: Shared) -> Service:
    """The service, not yet started."""
    own = shared.own("web-server")
    root = shared.root_client
    return Service(
        database=shared.database, sealer=shared.sealer, clock=shared.clock, callers=_Callers(shared),
        own=Credentials(own.client_id, own.access_token), root=Credentials(root.client_id, root.access_token),
        root_url=shared.root_url, local_url=shared.local_url, rules=_rules(shared.settings.services.web_server),
    )  # fmt: skip


def _rules(chosen: WebServer) -> Rules:
    tools = [
        RegisteredClient(tool.client_id, tool.response_type, tuple(tool.scope), tuple(tool.redirect_uri), durations.parse(tool.max_expires), tool.whitelisted)
        for tool in chosen.registered_clients
    ]
    return Rules(
        session_ms=round(chosen.session_hours * clocks.HOUR), reach=None if chosen.links == "off" else chosen.links,
        github=_github(chosen.github), tools=tools, scan_ms=round(chosen.scan_hours * clocks.HOUR),
    )  # fmt: skip


def _github(chosen: GithubSignIn) -> github.App | None:
    if not chosen.client_id:
        return None
    web = chosen.endpoint.rstrip("/")
    api = chosen.api_endpoint.rstrip("/") or (f"{web}/api/v3" if web else github.API)
    return github.App(chosen.client_id, text(chosen.client_secret), web or github.WEB, api)
