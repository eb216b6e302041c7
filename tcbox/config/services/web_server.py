"""Settings of the web server."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from tcbox.config.section import section
from tcbox.config.values import Duration, HttpUrl, Range, RedirectUri, Secret, ToolId, Version

_NO_SECRET = Secret()
Hours = Annotated[float, Range(0.1, 8760)]


@section
class GithubSignIn:
    """Sign-in by GitHub, for whoever has an account there."""

    client_id: str = ""
    """Of the OAuth app at GitHub, whose callback URL is `<root_url>/login/github/callback`. Default: none, and nobody signs
    in by GitHub."""

    client_secret: Secret = _NO_SECRET
    """Of the same app; give it by reference. Default: none."""

    endpoint: HttpUrl = ""
    """URL at which people sign in, such as `https://github.example.com` of a GitHub Enterprise Server. Default: GitHub's."""

    api_endpoint: HttpUrl = ""
    """URL of its REST API, such as `https://github.example.com/api/v3`. Default: GitHub's, or with another `endpoint`
    `/api/v3` there."""


@section
class RegisteredClient:
    """A web tool that may ask users for credentials."""

    client_id: ToolId
    """Its name. It is no Taskcluster client; the ids of those that are made for it end with it."""

    response_type: Literal["code", "token"]
    """How it asks: `code` for authorization codes, `token` for the implicit flow."""

    scope: tuple[str, ...]
    """The scopes that it asks for. Its clients get those of them that the user has."""

    redirect_uri: tuple[RedirectUri, ...]
    """The addresses to which users may be sent back, compared letter by letter."""

    max_expires: Duration
    """How long credentials for it last at most, such as `30 days`."""

    whitelisted: bool = False
    """Whether users are sent back without being asked for consent. Default: false. With the implicit flow they always are."""


@section
class WebServer:
    """Sign-in with a browser, and profiles of tasks."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    session_hours: Hours = 168.0
    """Hours after which people have to sign in again. Default: 168, a week."""

    links: Literal["loopback", "anywhere", "off"] = "loopback"
    """From where a one-time link, as `tcbox up` and `tcbox ui` print it, signs the owner in. Default: loopback, only from a
    browser on the same machine. With `anywhere` who gets hold of a fresh link can do everything."""

    github: GithubSignIn = field(default_factory=GithubSignIn)
    """Sign-in by GitHub."""

    registered_clients: tuple[RegisteredClient, ...] = ()
    """Web tools that may ask users for credentials. Default: none."""

    scan_hours: Hours = 1.0
    """Hours between two looks through the clients that people made for themselves; one whose owner no longer has its
    scopes is turned off. Default: 1."""
