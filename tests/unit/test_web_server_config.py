"""Settings of sign-in and of web tools: what is read, and what is said about mistakes."""

import json
from types import SimpleNamespace

import pytest

from tcbox import clock as clocks
from tcbox import config
from tcbox.box.making import web_server
from tcbox.box.services import Shared
from tcbox.scopes import ScopeSet
from tcbox.services.web_server import github

TOOL = {"client_id": "tool", "response_type": "code", "scope": ["queue:a"], "redirect_uri": ["https://tool.example/back"], "max_expires": "3 days"}


@pytest.fixture
def load(tmp_path):
    def load(chosen, env=None):
        path = tmp_path / "tcbox.yml"
        path.write_text(json.dumps({"services": {"web_server": chosen}}))
        return config.load(path, {}, env or {}).services.web_server

    return load


def test_what_is_set_is_used(load):
    """Tools, times, links and GitHub's app reach the service as they are set, the secret by reference."""
    chosen = load(
        {
            "session_hours": 2,
            "scan_hours": 0.5,
            "links": "off",
            "github": {"client_id": "a", "client_secret": "${env:S}"},
            "registered_clients": [{**TOOL, "whitelisted": True}],
        },
        {"S": "hush"},
    )
    assert "hush" not in repr(chosen)
    rules = web_server._rules(chosen)
    assert (rules.session_ms, rules.scan_ms, rules.reach) == (2 * clocks.HOUR, clocks.HOUR // 2, None)
    assert (rules.github.client_secret, rules.github.web, rules.github.api) == ("hush", github.WEB, github.API)
    (tool,) = rules.tools
    assert (tool.max_expires_ms, tool.whitelisted, tool.redirect_uris) == (3 * clocks.DAY, True, ("https://tool.example/back",))
    enterprise = web_server._rules(load({"github": {"client_id": "a", "client_secret": "b", "endpoint": "https://git.example.com/"}})).github
    assert (enterprise.web, enterprise.api) == ("https://git.example.com", "https://git.example.com/api/v3")
    assert web_server._rules(load({})).github is None
    assert web_server._rules(load({})).reach == "loopback"


@pytest.mark.parametrize(
    ("chosen", "key", "words"),
    [
        ({"github": {"client_id": "a"}}, "github.client_id", "client_secret"), ({"github": {"client_secret": "a"}}, "github.client_secret", "client_id"),
        ({"links": "maybe"}, "links", "loopback"), ({"session_hours": 0}, "session_hours", "0.1"),
        ({"registered_clients": [TOOL, TOOL]}, "registered_clients.1.client_id", "each id once"),
        ({"registered_clients": [{**TOOL, "redirect_uri": []}]}, "registered_clients.0.redirect_uri", "at least one"),
        ({"registered_clients": [{**TOOL, "redirect_uri": ["https://tool.example/#x"]}]}, "registered_clients.0.redirect_uri.0", "without a fragment"),
        ({"registered_clients": [{**TOOL, "redirect_uri": ["javascript:alert(1)"]}]}, "registered_clients.0.redirect_uri.0", "a URL"),
        ({"registered_clients": [{**TOOL, "redirect_uri": ["https://user@tool.example/"]}]}, "registered_clients.0.redirect_uri.0", "a URL"),
        ({"registered_clients": [{**TOOL, "scope": ["a b"]}]}, "registered_clients.0.scope.0", "without spaces"),
        ({"registered_clients": [{**TOOL, "max_expires": "soon"}]}, "registered_clients.0.max_expires", "a duration"),
        ({"registered_clients": [{**TOOL, "response_type": "password"}]}, "registered_clients.0.response_type", "code"),
        ({"registered_clients": [{**TOOL, "client_id": "a/b"}]}, "registered_clients.0.client_id", "a name"),
        ({"registered_clients": [{"client_id": "x"}]}, "registered_clients.0", "response_type"),
    ],
)  # fmt: skip
def test_mistakes_are_told(load, chosen, key, words):
    """A setting that cannot be is named, with what was expected."""
    with pytest.raises(config.ConfigError) as caught:
        load(chosen)
    assert any(f"services.web_server.{key}" in str(fault) and words in str(fault) for fault in caught.value.faults), [
        str(fault) for fault in caught.value.faults
    ]


async def test_a_service_s_scopes_follow_its_roles():
    """What a service may do by roles is found out at each of its calls, so that a role that comes later counts."""
    roles = {}
    seen = []

    class Dispatcher:
        api = SimpleNamespace(methods={"ping": SimpleNamespace(params=(), route="/ping")})

        async def invoke(self, name, params, query, payload, identity):
            seen.append(identity.scopes.expanded.satisfies("late"))

    shared = object.__new__(Shared)
    shared.key, shared.front = b"k" * 32, SimpleNamespace(services={"auth": Dispatcher()})
    shared.running = {"auth": SimpleNamespace(directory=SimpleNamespace(expand=lambda scopes: ScopeSet([*scopes, *roles])))}
    caller = shared.caller("hooks")
    await caller.call("auth", "ping")
    roles["late"] = True
    await caller.call("auth", "ping")
    assert seen == [False, True]
