"""Web tools that ask for credentials on a user's behalf: both flows, consent, and what attackers get."""

import base64
import hashlib
import logging
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox.services.web_server.service import Rules
from tcbox.services.web_server.store import digest, sql
from tcbox.services.web_server.third_party import RegisteredClient
from tests.support.databases import database  # noqa: F401
from tests.support.web_server import MIGRATIONS, running

migrations = MIGRATIONS
ME = "github/42|octo-cat"
BACK = "https://tool.example/back?a=1"
TOOLS = [
    RegisteredClient("tool", "code", ("queue:a", "queue:b:*"), (BACK, "https://tool.example/other"), 3 * clocks.DAY),
    RegisteredClient("trusted", "code", ("queue:a",), (BACK,), clocks.DAY, whitelisted=True),
    RegisteredClient("page", "token", ("queue:a", "queue:b:*"), (BACK,), clocks.DAY),
    RegisteredClient("trusted-page", "token", ("queue:a",), (BACK,), clocks.DAY, whitelisted=True),
]


@pytest_asyncio.fixture
async def web(database, clock):
    async with running(database, clock, Rules(tools=TOOLS)) as made:
        made.github.add(42, "octo-cat", ["acme/devs"])
        await made.root.call("auth", "createRole", "github-team:acme/devs", payload={"description": "", "scopes": ["queue:a", "queue:b:c"]})
        yield made


def asking(tool="tool", **changes):
    asked = {"response_type": "code", "client_id": tool, "redirect_uri": BACK, "scope": "queue:a queue:b:*", "state": "abc 1&2"}
    if "page" in tool:
        asked["response_type"] = "token"
    if "trusted" in tool:
        asked["scope"] = "queue:a"
    return "/login/oauth/authorize?" + urlencode({name: value for name, value in {**asked, **changes}.items() if value is not None})


async def consented(browser, tool="tool", *, change=None, **asked):
    """Ask, and consent; gives where the browser is sent."""
    told = await browser.get(asking(tool, **asked))
    assert told.location.startswith("/third-party?"), told.location
    form = {"transaction_id": told.values()["transactionID"], "scope": "queue:a queue:b:c", **(change or {})}
    return await browser.post("/login/oauth/authorize/decision", data=form)


async def redeem(browser, code, /, **changes):
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "tool", **changes}
    return await browser.post(
        "/login/oauth/token", data={name: value for name, value in form.items() if value is not None}, headers={"Origin": "https://tool.example"}
    )


async def bearer(browser, token, kind="Bearer"):
    return await browser.ask("GET", "/login/oauth/credentials", headers={"Authorization": f"{kind} {token}", "Origin": "https://tool.example"})


async def test_authorization_code(web, clock, caplog):
    """A tool gets a code, for it a token, and for that credentials of what was asked for, consented to, and the user's; none stand in a log."""
    caplog.set_level(logging.DEBUG, "tcbox")
    browser = await web.by_github()
    told = await browser.get(asking())
    shown = told.values()
    assert (shown["client_id"], shown["scope"]) == ("tool", "queue:a queue:b:*")
    asked = (await browser.get("/login/oauth/request", transaction_id=shown["transactionID"])).body
    assert (asked["tool"], asked["scopes"], asked["missing"]) == ("tool", ["queue:a", "queue:b:c"], ["queue:b:*"])
    form = {"transaction_id": shown["transactionID"], "scope": "queue:a queue:b:*", "description": "mine"}
    back = await browser.post("/login/oauth/authorize/decision", data=form)
    assert back.status == 302
    assert back.location.startswith(BACK)
    assert back.values()["state"] == "abc 1&2"
    code = back.values()["code"]
    given = (await redeem(browser, code)).body
    assert given["token_type"] == "Bearer"
    reply = await bearer(browser, given["access_token"], "bearer")
    made = reply.body["credentials"]
    assert made["clientId"].startswith(f"{ME}/tool-")
    assert made["clientId"] == shown["clientId"] == asked["clientId"]
    assert set(await web.scopes(made)) >= {"queue:a", "queue:b:c"}
    assert "queue:b:*" not in await web.scopes(made)
    client = await web.root.call("auth", "client", made["clientId"])
    assert (client["description"], client["deleteOnExpiration"], client["scopes"]) == ("mine", True, ["queue:a", "queue:b:c"])
    ends = clocks.from_wire(client["expires"])
    assert abs(ends - clock.now() - 3 * clocks.DAY) < 10_000
    assert clocks.from_wire(reply.body["expires"]) == ends - 30_000
    again = await bearer(browser, given["access_token"])
    assert again.body == reply.body
    assert all(secret not in caplog.text for secret in (code, given["access_token"], made["accessToken"], shown["transactionID"]))


async def test_implicit_flow(web):
    """A page gets an access token in the fragment, and credentials for it; with the implicit flow the user is always asked."""
    browser = await web.by_github()
    back = await consented(browser, "page")
    assert back.location.startswith(f"{BACK}#")
    values = back.values("fragment")
    assert (values["state"], values["token_type"]) == ("abc 1&2", "Bearer")
    made = (await bearer(browser, values["access_token"])).body["credentials"]
    assert "queue:a" in await web.scopes(made)
    told = await browser.get(asking("trusted-page"))
    assert told.location.startswith("/third-party?")


async def test_whitelisted_tools_are_not_asked_for(web, clock):
    """Who is sent by a whitelisted tool is sent back at once, and credentials last as long as was asked for, at most as registered."""
    browser = await web.by_github()
    for asked, lasting in (("15 minutes", 15 * clocks.MINUTE), ("2 weeks", clocks.DAY), ("nonsense", clocks.DAY), ("", clocks.DAY)):
        back = await browser.get(asking("trusted", expires=asked))
        given = (await redeem(browser, back.values()["code"], client_id="trusted")).body
        made = (await bearer(browser, given["access_token"])).body
        assert abs(clocks.from_wire(made["expires"]) - clock.now() - lasting) < 40_000


async def test_the_owner_can_be_asked(web):
    """The owner, who signed in by a link, gives a tool clients of a name that may be made."""
    browser = await web.owner()
    back = await consented(browser, change={"scope": "queue:a queue:b:*"})
    made = (await bearer(browser, (await redeem(browser, back.values()["code"])).body["access_token"])).body["credentials"]
    assert made["clientId"].startswith("taskcluster/root/tool-")
    assert {"queue:a", "queue:b:*"} <= set(await web.scopes(made))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "nobody"}, "unauthorized_client"), ({"redirect_uri": "https://evil.example/"}, "unauthorized_client"),
        ({"redirect_uri": BACK + "&x=1"}, "unauthorized_client"), ({"redirect_uri": BACK.partition("?")[0]}, "unauthorized_client"),
        ({"redirect_uri": "https://tool.example@evil.example/back?a=1"}, "unauthorized_client"),
        ({"client_id": None}, "invalid_request"), ({"response_type": None}, "invalid_request"), ({"redirect_uri": None}, "invalid_request"),
    ],
)  # fmt: skip
async def test_nobody_is_sent_where_no_tool_is(web, changes, code):
    """A request of an unknown tool, or for another address than its own, leads nowhere, and says what is wrong, to people and programs."""
    for browser in (await web.browser(), await web.by_github()):
        told = await browser.get(asking(**changes))
        assert (told.status, told.body["code"]) == (400, code)
        assert "Location" not in told.headers
        page = await browser.ask("GET", asking(**changes), headers={"Accept": "text/html,*/*"})
        assert page.status == 400
        assert code in page.text
    told = await browser.ask("GET", asking(client_id="<script>"), headers={"Accept": "text/html"})
    assert "<script>" not in told.text


@pytest.mark.parametrize(
    ("tool", "changes", "error", "part"),
    [
        ("tool", {"scope": "queue:a"}, "invalid_scope", "query"), ("tool", {"scope": "*"}, "invalid_scope", "query"),
        ("tool", {"scope": None}, "invalid_scope", "query"), ("page", {"scope": "queue:x"}, "invalid_scope", "fragment"),
        ("tool", {"response_type": "token"}, "unsupported_response_type", "fragment"), ("page", {"response_type": "code"}, "unsupported_response_type", "query"),
        ("tool", {"response_type": "password"}, "unsupported_response_type", "query"),
        ("tool", {"code_challenge": "x" * 43, "code_challenge_method": "plain"}, "invalid_request", "query"),
        ("tool", {"code_challenge": "x" * 43}, "invalid_request", "query"), ("tool", {"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request", "query"),
    ],
)  # fmt: skip
async def test_tools_are_told_what_is_wrong(web, tool, changes, error, part):
    """A request that is wrong otherwise is refused to the tool, in the place where it looks for an answer."""
    back = await (await web.by_github()).get(asking(tool, **changes))
    assert back.location.startswith("https://tool.example/back")
    assert back.values(part)["error"] == error
    assert back.values(part)["state"] == "abc 1&2"


async def test_a_parameter_that_comes_twice(web):
    """A parameter that is given twice is refused, so that nobody checks one value and uses the other."""
    told = await (await web.by_github()).get(asking() + "&redirect_uri=https://evil.example/")
    assert (told.status, told.body["code"]) == (400, "invalid_request")


async def test_who_is_not_signed_in_is_asked_to(web):
    """Without a session the pages ask to sign in, and keep what was asked for."""
    browser = await web.browser()
    told = await browser.get(asking())
    assert told.location == asking().replace("/login/oauth/authorize", "/third-party")
    told = await browser.post("/login/oauth/authorize/decision", data={"transaction_id": "x"})
    assert (told.status, told.location) == (302, "/third-party")


async def test_the_user_says_no(web):
    """Who does not consent is sent back with access_denied, and no code; nor can they consent afterwards."""
    browser = await web.by_github()
    shown = (await browser.get(asking())).values()["transactionID"]
    back = await browser.post("/login/oauth/authorize/decision", data={"transaction_id": shown, "cancel": "1", "scope": "queue:a"})
    assert back.values()["error"] == "access_denied"
    assert "code" not in back.values()
    assert (await browser.post("/login/oauth/authorize/decision", data={"transaction_id": shown, "scope": "queue:a"})).status == 403


async def test_consent_counts_once_in_its_session_and_in_time(web, clock, database):
    """Nobody else can answer for the user, nobody can answer twice or late, and signing out ends what was asked."""
    mine, theirs = await web.by_github(), await web.owner()

    async def ask():
        return (await mine.get(asking())).values()["transactionID"]

    async def answer(browser, shown):
        return await browser.post("/login/oauth/authorize/decision", data={"transaction_id": shown, "scope": "queue:a"})

    shown = await ask()
    assert (await theirs.get("/login/oauth/request", transaction_id=shown)).status == 404
    assert (await answer(theirs, shown)).status == 403
    assert (await answer(mine, "x")).status == 403
    assert (await answer(mine, shown)).status == 302
    assert (await answer(mine, shown)).status == 403
    shown = await ask()
    clock.advance(11 * clocks.MINUTE)
    assert (await answer(mine, shown)).status == 403
    shown = await ask()
    cookies = mine.cookies
    await mine.post("/login/logout")
    mine.session.cookie_jar.update_cookies(cookies)
    assert (await answer(mine, shown)).location == "/third-party"


async def test_consent_from_another_origin_does_not_count(web):
    """A page of another origin cannot consent in the user's name, even if it knew what to send."""
    browser = await web.by_github()
    shown = (await browser.get(asking())).values()["transactionID"]
    for origin in ("https://tool.example", "null", "http://127.0.0.1:9"):
        told = await browser.post("/login/oauth/authorize/decision", data={"transaction_id": shown, "scope": "queue:a"}, headers={"Origin": origin})
        assert told.status == 403


@pytest.mark.parametrize("scope", ["*", "queue:*", "queue:a queue:c", "queue:b:* auth:create-client:*"])
async def test_consent_gives_no_more_than_was_asked_for(web, scope):
    """Scopes that were not asked for are refused when they are added to the consent."""
    for tool, part in (("tool", "query"), ("page", "fragment")):
        back = await consented(await web.owner(), tool, change={"scope": scope})
        assert back.values(part)["error"] == "invalid_scope"


async def test_consent_to_less(web, clock):
    """The user may give less: fewer scopes, and for a shorter time, never for a longer one; the client's name is not theirs to choose."""
    browser = await web.by_github()
    soon = clocks.to_wire(clock.now() + clocks.HOUR)
    back = await consented(browser, change={"scope": "queue:a", "expires": soon, "clientId": "github/1|victim/x"})
    made = (await bearer(browser, (await redeem(browser, back.values()["code"])).body["access_token"])).body
    assert clocks.from_wire(made["expires"]) == pytest.approx(clocks.from_wire(soon) - 30_000, abs=2000)
    assert made["credentials"]["clientId"].startswith(f"{ME}/tool-")
    assert "queue:b:c" not in await web.scopes(made["credentials"])
    back = await consented(browser, change={"expires": "3019-01-01T00:00:00.000Z"})
    made = (await bearer(browser, (await redeem(browser, back.values()["code"])).body["access_token"])).body
    assert clocks.from_wire(made["expires"]) < clock.now() + 3 * clocks.DAY
    back = await consented(browser, change={"expires": "2001-01-01T00:00:00.000Z"})
    assert back.values()["error"] == "access_denied"


async def test_a_code_counts_once(web):
    """A code that is redeemed a second time gives nothing, and takes back what the first time gave."""
    browser = await web.by_github()
    code = (await consented(browser)).values()["code"]
    first = (await redeem(browser, code)).body
    again = await redeem(browser, code)
    assert (again.status, again.body["error"]) == (400, "invalid_grant")
    assert (await bearer(browser, first["access_token"])).status == 401


async def test_a_code_that_comes_twice_at_once(web):
    """Of requests that redeem one code at the same time at most one gets a token, and that is taken back."""
    import asyncio

    browser = await web.by_github()
    code = (await consented(browser)).values()["code"]
    told = await asyncio.gather(*(redeem(browser, code) for _ in range(5)))
    tokens = [each.body["access_token"] for each in told if each.status == 200]
    assert len(tokens) <= 1
    assert [(await bearer(browser, token)).status for token in tokens] == [401] * len(tokens)


async def test_answers_that_come_twice_at_once(web):
    """Of consents that come at the same time one counts."""
    import asyncio

    browser = await web.by_github()
    shown = (await browser.get(asking())).values()["transactionID"]
    form = {"transaction_id": shown, "scope": "queue:a"}
    told = await asyncio.gather(*(browser.post("/login/oauth/authorize/decision", data=form) for _ in range(5)))
    assert sorted(each.status for each in told) == [302, 403, 403, 403, 403]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "trusted"}, "invalid_grant"), ({"redirect_uri": "https://tool.example/other"}, "invalid_grant"), ({"code": "x"}, "invalid_grant"),
        ({"code_verifier": "v" * 43}, "invalid_grant"), ({"grant_type": "client_credentials"}, "unsupported_grant_type"), ({"grant_type": None}, "unsupported_grant_type"),
        ({"client_id": None}, "invalid_request"), ({"redirect_uri": None}, "invalid_request"), ({"code": None}, "invalid_request"),
    ],
)  # fmt: skip
async def test_a_code_counts_for_who_asked(web, changes, error):
    """A code counts for the tool and the address that it was asked for, and for nobody else; such a try uses it up."""
    browser = await web.by_github()
    code = (await consented(browser)).values()["code"]
    told = await redeem(browser, code, **changes)
    assert (told.status, told.body["error"]) == (400, error)
    if error == "invalid_grant" and "code" not in changes:
        assert (await redeem(browser, code)).body["error"] == "invalid_grant"


async def test_a_code_can_be_bound_to_its_asker(web):
    """With a PKCE challenge the code counts only with its verifier."""
    browser = await web.by_github()
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    bound = {"code_challenge": challenge, "code_challenge_method": "S256"}
    for wrong in ("w" * 50, None, verifier + "x", "v"):
        code = (await consented(browser, **bound)).values()["code"]
        assert (await redeem(browser, code, code_verifier=wrong)).body["error"] == "invalid_grant"
    code = (await consented(browser, **bound)).values()["code"]
    assert (await redeem(browser, code, code_verifier=verifier)).status == 200


async def test_codes_and_tokens_end_soon(web, clock, database):
    """Codes and access tokens end after 10 minutes, and the sweep forgets them."""
    browser = await web.by_github()
    code = (await consented(browser)).values()["code"]
    clock.advance(10 * clocks.MINUTE)
    assert (await redeem(browser, code)).body["error"] == "invalid_grant"
    token = (await redeem(browser, (await consented(browser)).values()["code"])).body["access_token"]
    kept = digest(token)
    assert await database.point(sql.get_token, token=token, now=0) is None
    assert await database.point(sql.get_token, token=kept, now=0) is not None
    clock.advance(10 * clocks.MINUTE)
    told = await bearer(browser, token)
    assert (told.status, told.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    await web.service.expire()
    assert await database.point(sql.get_token, token=kept, now=0) is None
    assert await database.point(sql.get_code, code=digest(code)) is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer x", "Basic x", "Hawk id=x"])
async def test_without_a_token_there_are_no_credentials(web, header):
    """What is no access token gives no credentials, also to who is signed in."""
    browser = await web.by_github()
    told = await browser.ask("GET", "/login/oauth/credentials", headers={"Authorization": header} if header else {})
    assert (told.status, told.body["code"]) == (401, "InputError")
    assert told.body["message"].startswith("Could not generate credentials for this access token")


async def test_credentials_are_no_more_than_the_user_has_now(web):
    """Who has lost the scopes, or the account, between consent and credentials, gives none."""
    browser = await web.by_github()
    token = (await redeem(browser, (await consented(browser)).values()["code"])).body["access_token"]
    web.github.accounts[42].teams.clear()
    assert (await bearer(browser, token)).status == 403
    web.github.revoke(42)
    assert (await bearer(browser, token)).status == 403
    assert [client["clientId"] for client in (await web.root.call("auth", "listClients", query={"prefix": "github/"}))["clients"]] == []


async def test_github_in_trouble(web):
    """While GitHub does not answer, the tool is told to try again, and can."""
    browser = await web.by_github()
    token = (await redeem(browser, (await consented(browser)).values()["code"])).body["access_token"]
    web.github.down = True
    assert (await bearer(browser, token)).status == 503
    back = await browser.get(asking("trusted"))
    assert back.values()["error"] == "temporarily_unavailable"
    web.github.down = False
    assert (await bearer(browser, token)).status == 200


async def test_pages_of_registered_tools_may_read_replies(web):
    """Browsers let pages of registered tools read what the last two steps answer, refusals included, and pages of no other origin."""
    browser = await web.browser()
    for path, verb in (("token", "POST"), ("credentials", "GET")):
        for origin, allowed in (("https://tool.example", True), ("https://evil.example", False), ("null", False), ("https://tool.example.evil.example", False)):
            for asked in ("OPTIONS", verb):
                told = await browser.ask(asked, f"/login/oauth/{path}", headers={"Origin": origin})
                assert told.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
                assert told.headers["Vary"] == "Origin"
                if asked == "OPTIONS":
                    assert told.status == 204
                    assert "Authorization" in told.headers["Access-Control-Allow-Headers"]
    told = await browser.get(asking())
    assert "Access-Control-Allow-Origin" not in told.headers


async def test_token_takes_json_too(web):
    """The token end-point takes a form or JSON; what is neither is refused in words."""
    browser = await web.by_github()
    code = (await consented(browser)).values()["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "tool"}
    assert (await browser.post("/login/oauth/token", json=form)).status == 200
    for body, kind in ((b"[1]", "application/json"), (b"\xff=1", "application/x-www-form-urlencoded"), (b"a=1&a=2", "application/x-www-form-urlencoded")):
        told = await browser.post("/login/oauth/token", data=body, headers={"Content-Type": kind})
        assert (told.status, told.body["error"]) == (400, "invalid_request")


async def test_the_scanner_looks_after_clients_of_tools(web):
    """A tool's client is turned off when its user no longer has its scopes."""
    browser = await web.by_github()
    token = (await redeem(browser, (await consented(browser)).values()["code"])).body["access_token"]
    made = (await bearer(browser, token)).body["credentials"]
    await web.service.scanner.scan()
    assert not (await web.root.call("auth", "client", made["clientId"]))["disabled"]
    web.github.accounts[42].teams.clear()
    await web.service.scanner.scan()
    assert (await web.root.call("auth", "client", made["clientId"]))["disabled"]


ODD = (
    "",
    "a",
    "%",
    "%00",
    "%ff",
    "%ud800",
    "%0d%0aX-Evil:1",
    "x" * 3000,
    "%F0%9F%98%80",
    "..%2F..",
    "[]",
    "1e400",
    "-1",
    "%3Cscript%3E",
    "a=b",
    "%26a%3Db",
    ";",
    "%5C",
)


async def test_nothing_odd_breaks_it(web, caplog):
    """Whatever stands in parameters, bodies and headers, the answer is a refusal or a redirect, never a failure or a header of the sender's."""
    browser = await web.by_github()
    named = (
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "expires",
        "code_challenge",
        "transaction_id",
        "code",
        "next",
        "error",
        "description",
    )
    for odd in ODD:
        for name in named:
            for path in ("authorize", "request"):
                told = await browser.ask("GET", f"/login/oauth/{path}?{name}={odd}")
                assert told.status < 500
                told = await browser.ask("GET", asking() + f"&{name}x={odd}&{name}={odd}")
                assert told.status < 500
                assert "X-Evil" not in told.headers
            for path in ("github", "github/callback"):
                told = await browser.ask("GET", f"/login/{path}?{name}={odd}")
                assert told.status < 500
                assert "X-Evil" not in told.headers
        back = await browser.ask("GET", asking("trusted", state=None) + f"&state={odd}")
        assert back.status in (302, 400)
        assert "X-Evil" not in back.headers
        for kind in ("application/x-www-form-urlencoded", "application/json", "text/plain", "x"):
            for path in ("oauth/token", "oauth/authorize/decision", "link", "credentials"):
                body = f"grant_type=authorization_code&code={odd}&redirect_uri={odd}&client_id={odd}&transaction_id={odd}"
                told = await browser.ask("POST", f"/login/{path}", headers={"Origin": web.root_url, "Content-Type": kind}, data=body.encode())
                assert told.status < 500
        told = await browser.ask("GET", "/login/session", headers={"Cookie": f"tcbox-session-1={odd}; {odd}"})
        assert told.status < 500
    assert "failed" not in caplog.text


async def test_consent_takes_a_page_of_the_instance(web):
    """With a sign-in that pages have bound to their secret, what is asked for is shown to pages alone, and consent is theirs alone to give."""
    secret = "a page's own secret"
    browser = await web.browser()
    bound = {"code": await web.service.links.make(), "page": hashlib.sha256(secret.encode()).hexdigest()}
    assert (await browser.post("/login/link", json=bound)).status == 200
    told = await browser.get(asking())
    shown = told.values()["transactionID"]
    place = f"/login/oauth/request?transaction_id={shown}"
    assert (await browser.get(place)).status == 401
    assert (await browser.ask("GET", place, headers={"X-Tcbox-Page": secret})).body["tool"] == "tool"
    form = {"transaction_id": shown, "scope": "queue:a"}
    refused = await browser.post("/login/oauth/authorize/decision", data=form)
    assert (refused.status, refused.location) == (302, "/third-party")
    assert "code" in (await browser.post("/login/oauth/authorize/decision", data={**form, "page": secret})).values()
