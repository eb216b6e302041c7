"""Signing in with a browser: by a one-time link, by GitHub, what it gives, and what attackers get."""

import hashlib
import logging
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox.credentials import Credentials
from tcbox.services.web_server import links
from tcbox.services.web_server.service import Rules
from tcbox.services.web_server.store import digest
from tcbox.services.web_server.web.door import within
from tests.support.databases import database  # noqa: F401
from tests.support.web_server import MIGRATIONS, OWN, ROOT, SEALER, running

migrations = MIGRATIONS
ME = "github/42|octo-cat"


@pytest_asyncio.fixture
async def web(database, clock):
    async with running(database, clock) as made:
        yield made


async def test_a_link_signs_the_owner_in_once(web, caplog):
    """A link signs in who opens it first; the session gives credentials of the root client, and neither stands in a log."""
    caplog.set_level(logging.DEBUG, "tcbox")
    browser, other = await web.browser(), await web.browser()
    code = await web.service.links.make()
    told = await browser.post("/login/link", json={"code": code})
    assert (told.status, told.body["session"]["clientId"]) == (200, ROOT.client_id)
    again = await other.post("/login/link", json={"code": code})
    assert (again.status, again.body["code"]) == (403, "LinkUsed")
    assert (await browser.who(), await other.who()) == (ROOT.client_id, None)
    made = (await browser.post("/login/credentials")).body
    assert made["clientId"] == ROOT.client_id
    assert made["accessToken"] != ROOT.access_token
    assert "*" in await web.scopes(made)
    shown = next(iter(browser.cookies.values()))
    assert all(secret not in caplog.text for secret in (code, shown, made["accessToken"]))


async def test_a_link_ends_by_itself(web, clock):
    """After 10 minutes a link signs nobody in, and the twenty-first link ends the first."""
    late = await web.service.links.make()
    clock.advance(links.LIFETIME + 1)
    browser = await web.browser()
    assert (await browser.post("/login/link", json={"code": late})).body["code"] == "LinkUsed"
    first, *rest = [await web.service.links.make() for _ in range(links.MOST + 1)]
    assert (await browser.post("/login/link", json={"code": first})).status == 403
    assert (await browser.post("/login/link", json={"code": rest[-1]})).status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
async def test_a_link_works_on_this_machine_alone(web, header):
    """A request that comes through a proxy is refused, without using the link up."""
    browser, code = await web.browser(), await web.service.links.make()
    told = await browser.post("/login/link", json={"code": code}, headers={header: "127.0.0.1"})
    assert (told.status, told.body["code"]) == (403, "NotLocal")
    assert "services.web_server.links" in told.body["message"]
    assert (await browser.post("/login/link", json={"code": code})).status == 200


async def test_a_link_may_be_taken_from_anywhere(database, clock):
    """With links: anywhere, a request through a proxy is taken; with links: off there are none."""
    async with running(database, clock, Rules(reach="anywhere")) as web:
        told = await (await web.browser()).post("/login/link", json={"code": await web.service.links.make()}, headers={"Via": "proxy"})
        assert told.status == 200
    async with running(database, clock, Rules(reach=None)) as web:
        assert not web.service.has_links
        told = await (await web.browser()).post("/login/link", json={"code": await web.service.links.make()})
        assert (told.status, told.body["code"]) == (404, "NotConfigured")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"code": 7}', b"\xff", b'{"code": "' + b"x" * 50 + b'"}', b"[" * 5000])
async def test_what_is_no_link_signs_nobody_in(web, body):
    """Whatever is sent in place of a link's secret is refused in the same words."""
    told = await (await web.browser()).post("/login/link", data=body)
    assert (told.status, told.body["code"]) == (403, "LinkUsed")


async def test_a_body_that_is_too_large(web):
    """A body of more than 64 KiB is refused, wherever it is sent."""
    told = await (await web.browser()).post("/login/link", data=b"x" * 100_000)
    assert (told.status, told.body["code"]) == (413, "InputTooLarge")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}, {"Origin": "https://127.0.0.1.evil.example"}],
)
async def test_pages_of_other_origins_get_nothing(web, headers):
    """A page of another origin, also one at another port of the same host, can neither sign anybody in or out nor get credentials."""
    browser = await web.owner()
    for path in ("credentials", "logout", "link", "oauth/authorize/decision"):
        told = await browser.post(f"/login/{path}", headers=headers, json={"code": await web.service.links.make()})
        assert told.status == 403, path
        assert "Access-Control-Allow-Origin" not in told.headers
    assert (await browser.ask("GET", "/login/session", headers=headers)).status == 403
    assert (await browser.ask("GET", "/login/session", headers={"Sec-Fetch-Site": "same-site"})).status == 403
    assert await browser.who() == ROOT.client_id


async def test_nothing_is_there_for_who_is_not_signed_in(web):
    """Without a session, or with a made-up one, there are no credentials."""
    browser = await web.browser()
    assert (await browser.post("/login/credentials")).status == 401
    name = next(iter((await web.owner()).cookies))
    told = await browser.post("/login/credentials", headers={"Cookie": f"{name}=x"})
    assert (told.status, told.body["code"]) == (401, "NotSignedIn")


async def test_signing_out_ends_the_session(web):
    """After signing out the cookie is gone, and is worth nothing to who has kept it."""
    browser = await web.owner()
    kept = browser.cookies
    assert (await browser.post("/login/logout")).status == 200
    assert (browser.cookies, await browser.who()) == ({}, None)
    thief = await web.browser()
    thief.session.cookie_jar.update_cookies(kept)
    assert (await thief.post("/login/credentials")).status == 401


async def test_a_session_is_new_with_each_sign_in(web):
    """A session that was planted or used before is not the one that a sign-in gives, and ends with it."""
    browser = await web.owner()
    before = browser.cookies
    assert (await browser.post("/login/link", json={"code": await web.service.links.make()})).status == 200
    assert browser.cookies != before
    thief = await web.browser()
    thief.session.cookie_jar.update_cookies(before)
    assert await thief.who() is None


async def test_a_session_ends_by_itself(web, clock):
    """After a week one has to sign in again; credentials never outlast the session; the sweep forgets it."""
    browser = await web.owner()
    clock.advance(7 * clocks.DAY - 4 * clocks.MINUTE)
    made = (await browser.post("/login/credentials")).body
    assert made["certificate"]["expiry"] - clock.now() <= 4 * clocks.MINUTE
    clock.advance(4 * clocks.MINUTE)
    assert await browser.who() is None
    assert (await browser.post("/login/credentials")).status == 401
    await web.service.expire()


async def test_another_root_token_ends_the_owner_s_sign_ins(web, database, clock):
    """With a new token of the root client, as after the old one got lost, the owner has to sign in again."""
    from tcbox.services.web_server.service import Service

    browser = await web.owner()
    other = Service(
        database=database, sealer=SEALER, clock=clock, callers=web, own=Credentials(OWN.client_id, OWN.access_token),
        root=Credentials(ROOT.client_id, "n" * 44), root_url=web.root_url, local_url=web.root_url,
    )  # fmt: skip
    web.front.unmount("/login/")
    web.front.mount("/login/", other.mounts()["/login/"])
    assert await browser.who() is None
    assert (await browser.post("/login/credentials")).status == 401


async def test_an_instance_that_shows_nothing_to_everybody(web):
    """Signing in, also of who is in many teams, works when the role anonymous is empty."""
    await web.root.call("auth", "updateRole", "anonymous", payload={"description": "", "scopes": []})
    web.github.add(42, "octo-cat", [f"acme/{number}" for number in range(30)])
    browser = await web.by_github()
    assert (await browser.post("/login/credentials")).status == 200
    await web.service.scanner.scan()


async def test_cookies_are_kept_from_scripts_and_other_sites(database, clock):
    """On plain HTTP the cookie goes to /login alone; on https it has the __Host- prefix, and is sent over https only."""
    async with running(database, clock) as web:
        told = await (await web.browser()).post("/login/link", json={"code": await web.service.links.make()})
        cookie = told.headers["Set-Cookie"]
        assert cookie.startswith(f"tcbox-session-{urlsplit(web.root_url).port}=")
        assert {"HttpOnly", "Path=/login", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    async with running(database, clock, root_url="https://tc.example.com") as web:
        headers = {"Host": "tc.example.com", "Origin": "https://tc.example.com"}
        told = await (await web.browser()).post("/login/link", json={"code": await web.service.links.make()}, headers=headers)
        cookie = told.headers["Set-Cookie"]
        assert cookie.startswith("__Host-tcbox-session=")
        assert {"HttpOnly", "Path=/", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))


async def test_what_the_database_has_is_of_no_use(web, database):
    """The database holds digests of sessions, and GitHub's tokens sealed."""
    from tcbox.services.web_server.store import sql

    web.github.add(42, "octo-cat")
    browser = await web.by_github()
    shown = next(iter(browser.cookies.values()))
    assert await database.point(sql.get_session, session=shown, now=0) is None
    assert (await database.point(sql.get_session, session=digest(shown), now=0))["identity"] == ME
    sealed = bytes((await database.one(sql.get_github_token, user_id=42))["sealed"])
    assert b"gho_" not in sealed


# -- GitHub


async def test_sign_in_by_github(web):
    """Who signs in by GitHub has the roles of the identity, of the teams, and of the organizations they are an administrator of."""
    orgs = {"acme": ("admin", "active"), "other": ("member", "active"), "wants-me": ("admin", "pending")}
    web.github.add(42, "octo-cat", ["acme/devs", "acme/ops"], orgs)
    await web.root.call("auth", "createRole", "github-team:acme/devs", payload={"description": "", "scopes": ["queue:dev"]})
    await web.root.call("auth", "createRole", f"login-identity:{ME}", payload={"description": "", "scopes": ["queue:me"]})
    browser = await web.by_github(after="/tasks/x?y=1")
    assert await browser.who() == ME
    made = (await browser.post("/login/credentials")).body
    assert made["clientId"] == ME
    scopes = await web.scopes(made)
    assert {"queue:dev", "queue:me", "assume:github-team:acme/ops", "assume:github-org-admin:acme", f"auth:create-client:{ME}/*"} <= set(scopes)
    assert not {"assume:github-org-admin:other", "assume:github-org-admin:wants-me", "*"} & set(scopes)
    assert sorted(made["certificate"]) == ["expiry", "issuer", "scopes", "seed", "signature", "start", "version"]


async def test_who_is_in_many_teams(web):
    """Of hundreds of teams all are asked for, and those with a role, exact or by its beginning, count, as long as requests can carry them."""
    web.github.add(42, "octo-cat", [f"big/team-{number}" for number in range(250)])
    for name in ("big/team-249", "big/team-24*"):
        await web.root.call("auth", "createRole", f"github-team:{name}", payload={"description": "", "scopes": [f"queue:{name}"]})
    browser = await web.by_github()
    scopes = await web.scopes((await browser.post("/login/credentials")).body)
    assert {"queue:big/team-24*", "assume:github-team:big/team-240", f"auth:create-client:{ME}/*"} <= set(scopes)
    assert "assume:github-team:big/team-1" not in scopes
    await web.root.call("auth", "createRole", "github-team:big/team-1*", payload={"description": "", "scopes": []})
    told = await browser.post("/login/credentials")
    assert (told.status, told.body["code"]) == (400, "InputError")
    web.github.accounts[42].teams[:] = [f"big/team-1{number:04}" for number in range(64)]
    assert "assume:github-team:big/team-10063" in await web.scopes((await browser.post("/login/credentials")).body)


async def test_scopes_follow_what_github_says_now(web):
    """Each renewal of credentials asks GitHub anew: who has left a team has its scopes no more."""
    me = web.github.add(42, "octo-cat", ["acme/devs"])
    browser = await web.by_github()
    assert "assume:github-team:acme/devs" in await web.scopes((await browser.post("/login/credentials")).body)
    me.teams.clear()
    assert "assume:github-team:acme/devs" not in await web.scopes((await browser.post("/login/credentials")).body)


@pytest.mark.parametrize("change", ["revoked", "renamed", "gone"])
async def test_who_is_gone_from_github_is_signed_out(web, change):
    """Without the user's consent at GitHub, the account, or its name, the session ends with the next renewal."""
    me = web.github.add(42, "octo-cat")
    browser = await web.by_github()
    if change == "revoked":
        web.github.revoke(42)
    elif change == "renamed":
        me.login = "another"
    else:
        del web.github.accounts[42]
    told = await browser.post("/login/credentials")
    assert (told.status, told.body["code"]) == (401, "NotSignedIn")
    assert ME in told.body["message"]
    assert await browser.who() is None


@pytest.mark.parametrize("trouble", ["down", "limited"])
async def test_github_in_trouble(web, trouble):
    """While GitHub does not answer, credentials are refused for the moment, and the session goes on."""
    web.github.add(42, "octo-cat")
    browser = await web.by_github()
    setattr(web.github, trouble, True)
    told = await browser.post("/login/credentials")
    assert (told.status, told.body["code"]) == (503, "ServiceUnavailable")
    assert "GitHub" in told.body["message"]
    setattr(web.github, trouble, False)
    assert (await browser.post("/login/credentials")).status == 200


async def test_case_of_a_login(web):
    """A login whose case has changed at GitHub is still the same."""
    me = web.github.add(42, "octo-cat")
    browser = await web.by_github()
    me.login = "Octo-Cat"
    assert (await browser.post("/login/credentials")).body["clientId"] == ME


async def test_names_are_never_patterns(web):
    """Names of teams and organizations that GitHub would not have give no scopes."""
    web.github.add(42, "octo-cat", ["acme/*", "*/x", "a b/c"], {"*": ("admin", "active")})
    made = (await (await web.by_github()).post("/login/credentials")).body
    assert [scope for scope in made["certificate"]["scopes"] if "github-" in scope] == []


async def test_a_sign_in_that_was_begun_elsewhere_is_refused(web):
    """Nobody can sign a browser in as somebody else: GitHub's code counts only in the browser that left for it, once, in time."""
    web.github.add(666, "attacker")
    attacker, victim = await web.browser(), await web.browser()
    sent = await attacker.get("/login/github")
    back = await attacker.get(sent.location)
    for forged in (back.location, back.location.replace("state=", "state=x"), back.location.partition("&state")[0] + "&state="):
        told = await victim.get(forged)
        assert (told.status, await victim.who()) == (400, None)
        assert "You are not signed in" in told.text
    await victim.get("/login/github")
    assert ((await victim.get(back.location)).status, await victim.who()) == (400, None)
    late = await web.browser()
    back = await late.get((await late.get("/login/github")).location)
    web.clock.advance(16 * clocks.MINUTE)
    assert ((await late.get(back.location)).status, await late.who()) == (400, None)


async def test_the_way_to_github(web):
    """GitHub is asked to read organizations and nothing else, with PKCE and a state that is new each time."""
    browser = await web.browser()
    first, second = [dict(parse_qsl(urlsplit((await browser.get("/login/github")).location).query)) for _ in range(2)]
    assert (first["scope"], first["code_challenge_method"], first["redirect_uri"]) == ("read:org", "S256", f"{web.root_url}/login/github/callback")
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]
    assert "app-secret" not in str(first)


async def test_the_user_says_no_at_github(web):
    """Who refuses at GitHub is told so, in words that become no markup."""
    web.github.at_keyboard = None
    browser = await web.browser()
    back = await browser.get((await browser.get("/login/github")).location)
    told = await browser.get(back.location.replace("denied+your", "%3Cscript%3E"))
    assert told.status == 400
    assert "&lt;script&gt; application access" in told.text
    assert "<script>" not in told.text
    assert "default-src 'none'" in told.headers["Content-Security-Policy"]


async def test_a_wrong_secret_is_told(web):
    """A wrong client secret is told to who signs in, as GitHub says it."""
    web.github.add(42, "octo-cat")
    web.github.client_secret = "another"
    browser = await web.browser()
    told = await browser.get((await browser.get((await browser.get("/login/github")).location)).location)
    assert told.status == 400
    assert "client_secret passed are incorrect" in told.text


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "evil",
        "",
        "/login/logout",
        "javascript:x",
        "/a\nb",
        "/\t/evil.example",
    ],
)
def test_signing_in_leads_nowhere_else(place):
    """What could lead away from the instance after signing in leads to the start page."""
    assert within(place) == "/"


def test_signing_in_leads_back():
    """After signing in one is where one was, queries included."""
    for place in ("/", "/tasks/x", "/auth/clients/create?scope=*&callback_url=http%3A%2F%2Flocalhost%3A1", "/third-party?redirect_uri=https%3A%2F%2Fx"):
        assert within(place) == place


async def test_another_name_of_the_instance_leads_to_its_own(web):
    """Who has the instance open under another name is led to its root URL first, as GitHub sends back there."""
    browser = await web.browser()
    port = urlsplit(web.root_url).port
    told = await browser.ask("GET", "/login/github?next=/x", headers={"Host": f"localhost:{port}"})
    assert told.location == f"{web.root_url}/login/github?next=%2Fx&again=1"
    told = await browser.ask("GET", "/login/github?next=/x&again=1", headers={"Host": f"localhost:{port}"})
    assert told.location.startswith(web.github.app and "http://127.0.0.1")
    assert "/login/oauth/authorize" in told.location


@pytest.mark.parametrize(
    ("remote", "headers", "local"),
    [
        ("127.0.0.1", [], True), ("127.9.9.9", [], True), ("::1", [], True), ("::ffff:127.0.0.1", [], True), ("10.0.0.1", [], False),
        ("::ffff:10.0.0.1", [], False), (None, [], False), ("", [], False), ("localhost", [], False), ("127.0.0.1", ["x-forwarded-for"], False),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(remote, headers, local):
    """Only loopback addresses are this machine, and no proxy may stand between."""
    assert links.is_local(remote, headers) is local


async def test_paths_and_verbs(web):
    """What is not there, or is asked for by another verb, is refused in words."""
    browser = await web.browser()
    assert (await browser.get("/login/nothing")).status == 404
    told = await browser.get("/login/logout")
    assert (told.status, told.headers["Allow"]) == (405, "POST")


async def test_credentials_are_the_service_s_or_the_owner_s(web):
    """Named credentials of a user are made by the service's client, and turn useless when it loses that client."""
    web.github.add(42, "octo-cat")
    made = (await (await web.by_github()).post("/login/credentials")).body
    assert made["certificate"]["issuer"] == OWN.client_id
    forged = {**made, "certificate": {**made["certificate"], "scopes": ["*"]}}
    assert (await web.signed(forged, "auth", "scopes/current"))[0] == 401
    assert Credentials(made["clientId"], made["accessToken"], msgspec.json.encode(made["certificate"]).decode())


# -- the cookie alone


SECRET = "a page's own secret"
PAGE = hashlib.sha256(SECRET.encode()).hexdigest()


async def test_the_cookie_of_pages_is_of_no_use_elsewhere(web):
    """A sign-in that pages have bound to their secret gives credentials to those who show it, and to nobody who has the cookie alone."""
    browser = await web.browser()
    assert (await browser.post("/login/link", json={"code": await web.service.links.make(), "page": PAGE})).status == 200
    assert await browser.who() == ROOT.client_id
    for shown in ({}, {"X-Tcbox-Page": ""}, {"X-Tcbox-Page": PAGE}, {"X-Tcbox-Page": "another"}):
        told = await browser.post("/login/credentials", headers=shown)
        assert (told.status, told.body["code"]) == (401, "NotSignedIn"), shown
    given = await browser.post("/login/credentials", headers={"X-Tcbox-Page": SECRET})
    assert "*" in await web.scopes(given.body)
    ((name, cookie),) = browser.cookies.items()
    thief = await web.browser()
    for stolen in (cookie.partition(".")[0], cookie.partition(".")[0] + ".", cookie.replace(PAGE, hashlib.sha256(b"mine").hexdigest())):
        assert (await thief.post("/login/credentials", headers={"Cookie": f"{name}={stolen}", "X-Tcbox-Page": "mine"})).status == 401


async def test_a_sign_in_by_github_is_bound_to_a_page_of_the_instance_alone(web):
    """Pages bind a sign-in by GitHub likewise; a page of another site, which knows its own secret, cannot."""
    web.github.add(42, "octo-cat")
    browser = await web.browser()
    foreign = await browser.ask("GET", f"/login/github?page={PAGE}", headers={"Sec-Fetch-Site": "cross-site"})
    assert (foreign.status, "another site" in foreign.text) == (403, True)
    sent = await browser.ask("GET", f"/login/github?page={PAGE}", headers={"Sec-Fetch-Site": "same-origin"})
    back = await browser.get(sent.location)
    assert (await browser.get(back.location)).status == 303
    assert (await browser.post("/login/credentials")).status == 401
    assert (await browser.post("/login/credentials", headers={"X-Tcbox-Page": SECRET})).body["clientId"] == ME


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example.com:{port}", 403), ("evil.example.com", 403), ("localhost.evil.example.com", 403), ("printer", 403), ("[", 403), ("localhost:{port}", 401), ("[::1]:{port}", 401), ("127.0.0.1:{port}", 401)],
)  # fmt: skip
async def test_a_page_whose_own_name_leads_here_is_none_of_the_instance(web, host, status):
    """A page that has its own name lead to this machine is of one origin with its requests, and gets nothing for that."""
    browser = await web.browser()
    host = host.format(port=web.root_url.rpartition(":")[2])
    for headers in ({"Host": host, "Origin": f"http://{host}"}, {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}):
        assert (await browser.post("/login/credentials", headers=headers)).status == status
    told = await browser.ask("POST", "/login/link", headers={"Host": host, "Origin": f"http://{host}"}, json={"code": await web.service.links.make()})
    assert told.status == (403 if status == 403 else 200)


@pytest.mark.parametrize(
    ("origin", "status"), [("https://tc.example.com", 401), ("http://tc.example.com", 403), ("https://evil.example.com", 403), ("https://backend", 403)]
)
async def test_behind_a_proxy_the_origin_tells(database, clock, origin, status):
    """Behind a proxy that gives the instance another Host, pages of the root URL are its own, and by https alone where that is https."""
    async with running(database, clock, root_url="https://tc.example.com") as web:
        browser = await web.browser()
        told = await browser.post("/login/credentials", headers={"Host": "backend", "Origin": origin})
        assert told.status == status
