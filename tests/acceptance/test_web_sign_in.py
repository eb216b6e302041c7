"""Signing in with a real browser: by link and by GitHub, for web tools and for the command line; profiles."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import taskcluster
from aiohttp import web

from tests.acceptance.test_ui import chromium, create, sign_in_as_root  # noqa: F401
from tests.simulators.github_oauth import GithubOauth
from tests.support import definitions, proof
from tests.support.box import TCBOX, Box
from tests.support.threaded import threaded

ME = "github/42|octo-cat"
TOOL = """<!doctype html><meta charset="utf-8"><title>Tool</title>
<a id="code" href="{root}/login/oauth/authorize?response_type=code&client_id=tool&redirect_uri={back}&scope=queue:get-artifact:*+secrets:get:tool/*&state=99&expires=1+day">Code</a>
<a id="token" href="{root}/login/oauth/authorize?response_type=token&client_id=page&redirect_uri={back}&scope=queue:get-artifact:*+secrets:get:tool/*&state=98">Token</a>
<pre id="out"></pre>
<script>
const out = document.getElementById("out");
async function read(reply) {{ if (!reply.ok) throw new Error(await reply.text()); return reply.json(); }}
async function credentials(token) {{
  return read(await fetch("{root}/login/oauth/credentials", {{ headers: {{ Authorization: "Bearer " + token, "Content-Type": "application/json" }} }}));
}}
async function run() {{
  const query = new URLSearchParams(location.search), hash = new URLSearchParams(location.hash.slice(1));
  if (query.get("error") || hash.get("error")) {{ out.textContent = "refused: " + (query.get("error") || hash.get("error")); return; }}
  let token = hash.get("access_token");
  if (query.get("code")) {{
    const body = new URLSearchParams({{ grant_type: "authorization_code", code: query.get("code"), redirect_uri: "{back}", client_id: "tool" }});
    token = (await read(await fetch("{root}/login/oauth/token", {{ method: "POST", body }}))).access_token;
  }}
  if (token) out.textContent = JSON.stringify({{ ...await credentials(token), state: query.get("state") || hash.get("state") }});
}}
run().catch((error) => {{ out.textContent = "failed: " + error.message; }});
</script>"""


class Tool:
    """A small web tool at an origin of its own."""

    def __init__(self) -> None:
        self.root = self.url = ""
        self.app = web.Application()
        self.app.router.add_get("/", self.page)

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=TOOL.format(root=self.root, back=f"{self.url}/"), content_type="text/html")


@pytest.fixture(scope="module")
def github():
    made = GithubOauth()
    with threaded(made.app) as made.url:
        yield made


@pytest.fixture(scope="module")
def tool():
    made = Tool()
    with threaded(made.app) as made.url:
        yield made


@pytest.fixture(scope="module")
def box(tmp_path_factory, github, tool):
    """One instance with sign-in by GitHub, and a web tool that it knows."""
    registered = [
        {
            "client_id": name,
            "response_type": kind,
            "scope": ["queue:get-artifact:*", "secrets:get:tool/*"],
            "redirect_uri": [f"{tool.url}/"],
            "max_expires": "3 days",
        }
        for name, kind in (("tool", "code"), ("page", "token"))
    ]
    config = {
        "workers": {"docker": {"enabled": False}},
        "services": {"web_server": {"github": {"client_id": "app", "client_secret": "app-secret", "endpoint": github.url}, "registered_clients": registered}},
    }
    made = Box(tmp_path_factory.mktemp("sign-in"), json.dumps(config)).start()
    tool.root = made.root_url
    auth = taskcluster.Auth(made.options)
    auth.createRole("github-team:acme/devs", {"description": "", "scopes": ["secrets:get:tool/a", "queue:create-task:*"]})
    yield made
    made.stop()


@pytest.fixture
def new_page(chromium, box):  # noqa: F811
    """Pages, each in a fresh browser profile; the test fails when a script of one does."""
    made, wrong = [], []

    def new():
        context = chromium.new_context(base_url=box.root_url)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        made.append(context)
        return page

    yield new
    for context in made:
        context.close()
    assert wrong == []


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def auth(box):
    return taskcluster.Auth(box.options)


def link(box) -> str:
    return box.command("ui", "--print", "--data", str(box.data)).stdout.strip()


def by_link(page, box):
    page.goto(link(box))
    page.get_by_role("link", name="static/taskcluster/root").wait_for()


def by_github(page, github, number=42, login="octo-cat", teams=("acme/devs",), at="/account"):
    github.add(number, login, list(teams))
    page.goto(at)
    page.locator("main").get_by_role("link", name="Continue with GitHub").click()
    page.get_by_role("button", name="Sign out").wait_for()


def test_the_owner_signs_in_by_a_link(new_page, box):
    """The link that `tcbox ui` prints signs the owner in, in all tabs, once; nothing of it stays; signing out ends it everywhere."""
    page, given = new_page(), link(box)
    page.goto(given)
    page.get_by_role("link", name="static/taskcluster/root").wait_for()
    assert page.url == f"{box.root_url}/"
    secret = given.partition("#")[2]
    assert secret not in page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    assert secret not in box.log_tail(2000)
    assert page.evaluate("document.cookie") == ""
    tab = page.context.new_page()
    tab.goto("/account")
    tab.get_by_text("with this browser, in all of its tabs").wait_for()
    other = new_page()
    other.goto(given)
    other.get_by_text("This link was used before").wait_for()
    assert other.locator("#who").get_by_role("button").inner_text() == "Sign in"
    tab.get_by_role("button", name="Sign out").click()
    tab.get_by_role("heading", name="You are not signed in").wait_for()
    page.locator("#who").get_by_role("button", name="Sign in").wait_for()
    page.goto("/account")
    page.get_by_role("heading", name="You are not signed in").wait_for()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_banner_has_a_link_for_a_terminal_alone(box, tmp_path):
    """`tcbox up` shows a link that signs in when it is started in a terminal, and none where its output is collected."""
    command = [*TCBOX, "up", "--data", str(tmp_path / "d"), "--port", "0", "--config", str(box.config)]
    mine, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=box.env)
    os.close(theirs)
    said = b""
    while b"stop " not in said:
        said += os.read(mine, 4096)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    os.close(mine)
    assert re.search(rb"sign in\s+(?:\x1b\[0m)?http://localhost:\d+/sign-in#[\w-]{43}", said), said
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=box.env)
    said = ""
    while "stop " not in said:
        said += process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert "sign-in" not in said
    assert "sign-in#" not in (tmp_path / "d" / "logs" / "tcbox.log").read_text()


def test_sign_in_by_github(page, box, github):
    """Who signs in by GitHub comes back to where they were, sees who they are, what they may do and until when, and can do it."""
    by_github(page, github)
    assert page.url == f"{box.root_url}/account"
    assert page.locator("#who").get_by_role("link").inner_text() == ME
    page.get_by_text("secrets:get:tool/a", exact=True).wait_for()
    assert page.get_by_text("in 7 days").or_(page.get_by_text("in 6 days")).count() == 1
    page.goto("/auth/clients/create")
    page.locator("main").get_by_label("Client ID").fill(f"{ME}/laptop")
    page.get_by_role("textbox", name="Scopes").fill("queue:create-task:*\nqueue:rerun-task:*")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_role("alert").filter(has_text="queue:rerun-task:*").wait_for()
    page.get_by_role("textbox", name="Scopes").fill("queue:create-task:*")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_text("It is shown only now").wait_for()
    token = page.locator(".fresh code").nth(1).inner_text()
    made = taskcluster.Auth({"rootUrl": box.root_url, "credentials": {"clientId": f"{ME}/laptop", "accessToken": token}})
    assert "queue:create-task:*" in made.currentScopes()["scopes"]


def test_github_refuses(page, github):
    """Who says no at GitHub is told so, and is not signed in."""
    page.goto("/account")
    github.at_keyboard = None
    page.locator("main").get_by_role("link", name="Continue with GitHub").click()
    page.get_by_text("The user has denied your application access").wait_for()
    page.get_by_role("link", name="To the start page").click()
    page.locator("#who").get_by_role("button", name="Sign in").wait_for()


def given(page, tool):
    """What the tool got."""
    page.wait_for_url(f"{tool.url}/**")
    page.wait_for_function("document.getElementById('out').textContent")
    return page.locator("#out").inner_text()


def works(box, credentials, *scopes):
    may = taskcluster.Auth({"rootUrl": box.root_url, "credentials": credentials}).currentScopes()["scopes"]
    assert set(scopes) <= set(may)
    return may


def test_a_tool_signs_in_by_code(page, box, github, tool):
    """A tool at another origin sends its user, who signs in, sees what is asked for, consents, and the tool calls the API in their name."""
    page.goto(tool.url)
    page.locator("#code").click()
    page.get_by_text("asks for credentials of yours").wait_for()
    github.add(42, "octo-cat", ["acme/devs"])
    page.locator("main").get_by_role("link", name="Continue with GitHub").click()
    page.get_by_text("asks to act in your name").wait_for()
    assert page.get_by_label("Scopes").input_value().split() == ["queue:get-artifact:public/*", "secrets:get:tool/a"]
    assert "secrets:get:tool/*" in page.get_by_text("you do not have yourself").inner_text()
    page.get_by_role("button", name="Allow", exact=True).click()
    got = json.loads(given(page, tool))
    assert (got["state"], got["credentials"]["clientId"].startswith(f"{ME}/tool-")) == ("99", True)
    works(box, got["credentials"], "secrets:get:tool/a", "queue:get-artifact:public/*")
    assert got["expires"] < taskcluster.fromNowJSON("1 day")
    page.goto(tool.url)
    page.locator("#code").click()
    page.get_by_role("button", name="Do not allow").click()
    assert given(page, tool) == "refused: access_denied"


def test_a_tool_signs_in_by_the_implicit_flow(page, box, tool):
    """With the implicit flow the tool has its token in the fragment; the user, here the owner, may give less than is asked for."""
    by_link(page, box)
    page.goto(tool.url)
    page.locator("#token").click()
    page.get_by_label("Scopes").fill("secrets:get:tool/*")
    page.get_by_role("button", name="Allow", exact=True).click()
    got = json.loads(given(page, tool))
    assert got["state"] == "98"
    assert got["credentials"]["clientId"].startswith("taskcluster/root/page-")
    may = works(box, got["credentials"], "secrets:get:tool/*")
    assert "queue:get-artifact:*" not in may


def test_another_page_gets_nothing(page, box, tool):
    """A page at another port of the same host can read neither the session nor its credentials, though the browser sends the cookie."""
    by_link(page, box)
    page.goto(tool.url.replace("127.0.0.1", "localhost"))
    for path, method in (("session", "GET"), ("credentials", "POST"), ("logout", "POST")):
        told = page.evaluate(
            "([url, method]) => fetch(url, { method, credentials: 'include' }).then((reply) => reply.text(), (error) => `refused: ${error.message}`)",
            [f"{box.root_url}/login/{path}", method],
        )
        assert told.startswith("refused")
    page.goto("/account")
    page.get_by_role("heading", name="Your sign-in").wait_for()


class Waiting:
    """A program on this machine that waits for credentials, as `taskcluster signin` does."""

    def __init__(self) -> None:
        self.got: dict = {}
        waiting = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                waiting.got.update({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<h1>You have successfully signed in</h1>")

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://localhost:{self.server.server_port}"


def test_the_page_of_taskcluster_signin(page, box, github):
    """The page that `taskcluster signin` opens makes a client below the user's identity, and hands it to the program that waits."""
    waiting = Waiting()
    github.add(42, "octo-cat", ["acme/devs"])
    page.goto(
        f"/auth/clients/create?scope=queue%3Acreate-task%3A*&scope=secrets%3A*&name=cli-abc123&expires=1d&callback_url={waiting.url}&description=Temporary+client"
    )
    page.get_by_text("Sign in first").wait_for()
    page.locator("#sign-in").get_by_role("link", name="Continue with GitHub").click()
    page.get_by_text("A program on this machine").wait_for()
    assert page.locator("main").get_by_label("Client ID").input_value() == f"{ME}/cli-abc123"
    assert page.get_by_role("textbox", name="Scopes").input_value().split() == ["queue:create-task:*", "secrets:get:tool/a"]
    page.get_by_role("button", name="Create and sign in").click()
    page.get_by_text("You have successfully signed in").wait_for()
    waiting.server.shutdown()
    works(box, {"clientId": waiting.got["clientId"], "accessToken": waiting.got["accessToken"]}, "queue:create-task:*")
    assert waiting.got["clientId"] == f"{ME}/cli-abc123"
    page.go_back()
    assert "accessToken" not in page.url


@pytest.mark.parametrize(
    "callback",
    [
        "https://evil.example/",
        "http://localhost.evil.example/",
        "http://localhost:80@evil.example/",
        "javascript:alert(1)",
        "//evil.example",
        "http://192.0.2.1/",
    ],
)
def test_credentials_are_handed_to_this_machine_alone(page, box, callback):
    """An address that is not on this machine is refused before anything is made."""
    by_link(page, box)
    page.goto(f"/auth/clients/create?scope=*&name=x&expires=1d&callback_url={callback}")
    page.get_by_text("They are sent only to programs on this machine").wait_for()
    assert page.get_by_role("button", name="Create and sign in").count() == 0


def test_taskcluster_signin_itself(page, box, tmp_path):
    """The published command line signs in by this instance's pages, and its variables work."""
    program = os.environ.get("TASKCLUSTER_CLI") or shutil.which("taskcluster")
    if not program:
        pytest.skip("there is no taskcluster command: set TASKCLUSTER_CLI")
    by_link(page, box)
    opened = tmp_path / "opened"
    for name in ("xdg-open", "x-www-browser", "www-browser"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new && mv {opened}.new {opened}\n')
        (tmp_path / name).chmod(0o755)
    env = {**box.env, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TASKCLUSTER_ROOT_URL": box.root_url, "HOME": str(tmp_path)}
    process = subprocess.Popen([program, "signin", "-s", "queue:*", "--expires", "2h"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    until = time.monotonic() + 20
    while not opened.exists() and time.monotonic() < until:
        time.sleep(0.05)
    page.goto(opened.read_text())
    page.get_by_role("button", name="Create and sign in").click()
    page.get_by_text("You have successfully signed in").wait_for()
    out, _ = process.communicate(timeout=20)
    made = dict(re.findall(r"export (\w+)='?([^'\n]*)'?", out))
    assert made["TASKCLUSTER_ROOT_URL"] == box.root_url
    assert made["TASKCLUSTER_CLIENT_ID"].startswith("taskcluster/root/cli-")
    may = works(box, {"clientId": made["TASKCLUSTER_CLIENT_ID"], "accessToken": made["TASKCLUSTER_ACCESS_TOKEN"]}, "queue:*")
    assert "*" not in may
    checked = subprocess.run([program, "signin", "--check"], env={**env, **made}, capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0, checked.stderr


def test_every_method_by_the_client_from_pypi(box, request):
    """The published client reads profiles, and asks how the service is."""
    queue = taskcluster.Queue(box.options)
    group, task_id = taskcluster.slugId(), create(queue, definitions.task("built-in/succeed"))
    done = create(queue, definitions.host("echo hello", taskGroupId=group))
    until = time.monotonic() + 20
    while queue.status(done)["status"]["state"] != "completed" and time.monotonic() < until:
        time.sleep(0.1)
    with proof.by("taskcluster (PyPI)", box.root_url, request):
        client = taskcluster.WebServer({"rootUrl": box.root_url})
        assert client.ping()["alive"]
        assert client.lbheartbeat() == client.heartbeat() == {}
        assert client.version()["version"]
        assert client.taskGroupProfile(group)["meta"]["product"].startswith(f"Task Group {group}")
        assert client.taskProfile(done)["threads"][0]["name"] == "Live Log"
        with pytest.raises(taskcluster.TaskclusterRestFailure) as refused:
            client.taskProfile(task_id)
        assert refused.value.status_code == 404


def test_profiles(page, box, tool):
    """From the page of a task, and of a group, one comes to its profile, which pages of other origins may read."""
    queue = taskcluster.Queue(box.options)
    group = taskcluster.slugId()
    task_id = create(queue, definitions.host("echo hello; echo world", taskGroupId=group))
    until = time.monotonic() + 20
    while queue.status(task_id)["status"]["state"] != "completed" and time.monotonic() < until:
        time.sleep(0.1)
    for place, path in ((f"/tasks/{task_id}", f"task/{task_id}"), (f"/groups/{group}", f"task-group/{group}")):
        page.goto(place)
        page.get_by_role("link", name="Profile", exact=True).click()
        address = page.get_by_role("link", name="Open in the Firefox Profiler").get_attribute("href")
        profile = f"{box.root_url}/api/web-server/v1/{path}/profile"
        assert address == f"https://profiler.firefox.com/from-url/{profile.replace(':', '%3A').replace('/', '%2F')}"
        page.goto(tool.url)
        read = page.evaluate("async (url) => (await fetch(url)).json()", profile)
        (thread,) = read["threads"]
        assert thread["markers"]["length"] == len(thread["markers"]["data"]) > 1
        if path.startswith("task/"):
            rows = [thread["stringArray"][data["message"]] for data in thread["markers"]["data"] if data["type"] == "LiveLogRow"]
            assert {"hello", "world"} <= set(rows)


def test_instances_without_links(make_box):
    """Where links are switched off, `tcbox ui` says so and what else there is; behind another root URL the link leads to this machine."""
    quiet = {"docker": {"enabled": False}, "host": {"enabled": False}, "builtin": {"enabled": False}}
    for web_server in ({"links": "off"}, {"enabled": False}):
        made = make_box(json.dumps({"workers": quiet, "services": {"web_server": web_server}}))
        told = made.command("ui", "--data", str(made.data), check=False)
        assert told.returncode == 1
        assert "services.web_server" in told.stderr
        assert "tcbox env" in told.stderr
        made.stop()
    made = make_box(json.dumps({"workers": quiet, "root_url": "https://tc.example.com"}))
    assert link(made).startswith(f"http://localhost:{made.port}/sign-in#")


def test_a_browser_is_told_of_a_file(box, tmp_path):
    """`tcbox ui` opens the browser with a file that only the owner can read: the link stands in no program's arguments."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$*" > {tmp_path}/told\n')
    browser.chmod(0o755)
    done = subprocess.run([*TCBOX, "ui", "--data", str(box.data)], env={**box.env, "BROWSER": f"{browser} %s"}, capture_output=True, text=True, timeout=30)
    assert "opened in your browser" in done.stdout
    until = time.monotonic() + 10
    while not (tmp_path / "told").exists() and time.monotonic() < until:
        time.sleep(0.05)
    told = (tmp_path / "told").read_text()
    assert told == (box.data / "run" / "sign-in.html").as_uri()
    file = box.data / "run" / "sign-in.html"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "/sign-in#" in file.read_text()
