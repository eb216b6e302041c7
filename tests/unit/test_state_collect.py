"""A state is read from any Taskcluster by its public API, and what cannot be read is told."""

import contextlib

import pytest

from tcbox import errors
from tcbox.state import files, sources
from tcbox.state.model import CLIENTS, HOOKS, KINDS, ROLES, SECRETS, WORKER_POOLS, Client, Role
from tests.simulators import upstream
from tests.simulators.serving import served

EXPECTED = """\
# Written by `tcbox state export`.
version: 1
providers:
  aws-main: aws
roles:
  anonymous:
    scopes:
      - a*
      - a
      - b
  project:x: {}
  repo:y:
    scopes:
      - assume:project:x
clients:
  github/1|a:
    expires: "2099-01-01T00:00:00.000Z"
    deleteOnExpiration: true
    disabled: true
  project/x:
    expires: "2099-01-01T00:00:00.000Z"
    scopes:
      - "y"
      - z
hooks:
  x/a/b:
    metadata:
      name: "n"
      description: d
      owner: a@example.com
      emailOnError: false
    schedule:
      - "0 0 4 * * *"
    task:
      z: 1
      a:
        - 1.5
    triggerSchema:
      type: object
  y/c:
    metadata:
      name: "n"
      description: d
      owner: a@example.com
    task: {}
    triggerSchema: {}
workerPools:
  x/a:
    owner: a@example.com
    providerId: aws-main
    config:
      minCapacity: 1
      launchConfigs: []
  y/b:
    owner: a@example.com
    providerId: static
    config: {}
"""


@pytest.fixture
async def there():
    """An instance, and a function that reads it."""
    made = upstream.example()
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(made.app))

        async def read(**asked):
            return await sources.read(url, None, **asked)

        made.read = read
        made.url = url
        yield made


async def test_everything_comes_and_nothing_that_changes_by_itself(there):
    """All pages of all lists are read; times, numbers, expanded scopes, static clients and pools on their way out are no part of it."""
    found = await there.read()
    assert files.text(found.state) == EXPECTED
    assert found.left_out == ()
    assert files.text((await there.read()).state) == EXPECTED


async def test_secrets_come_only_when_asked_for(there):
    """No secret is read, nor even listed, unless it is asked for."""
    await there.read()
    assert not any("secret" in path for path in there.calls)
    found = (await there.read(kinds=[SECRETS], asked=[SECRETS])).state
    assert {name: each.secret for name, each in found.secrets.items()} == {"other": {}, "project/x/key": {"token": "hunter2"}}
    assert found.roles is None
    assert "hunter2" not in repr(found)


async def test_a_prefix_narrows_all_kinds(there):
    """Only names that begin so come, and only groups are asked for that may hold some."""
    found = (await there.read(prefixes=["project", "x/a"])).state
    assert {kind.name: sorted(found.things(kind)) for kind in found.kinds} == {
        "roles": ["project:x"], "clients": ["project/x"], "hooks": ["x/a/b"], "worker-pools": ["x/a"],
    }  # fmt: skip
    assert found.prefixes == ("project", "x/a")
    assert "/hooks/y" not in there.calls


async def test_what_may_not_be_read_is_left_out_and_told(there):
    """A kind that the caller may not read is left out as a whole, with the scope that it takes, also if one group of hooks is closed."""
    there.denied = {"auth:list-clients", "hooks:list-hooks:y", "worker-manager:list-providers"}
    found = await there.read()
    assert [kind.name for kind in found.state.kinds] == ["roles", "worker-pools"]
    assert found.left_out == ("clients: the caller lacks auth:list-clients", "hooks: the caller lacks hooks:list-hooks:y")
    assert found.state.providers == {}


async def test_what_is_asked_for_by_name_must_be_readable(there):
    """A kind that was named is not left out; all that is missing is told at once."""
    there.denied = {"auth:list-clients", "secrets:get:other", "secrets:get:project/x/key"}
    with pytest.raises(errors.TcboxError) as caught:
        await there.read(kinds=[ROLES, CLIENTS, SECRETS], asked=[CLIENTS, SECRETS])
    assert str(caught.value).splitlines()[1:] == [
        "  clients: the caller lacks auth:list-clients", "  secrets: the caller lacks secrets:get:other, secrets:get:project/x/key",
    ]  # fmt: skip
    there.denied = {"auth:list-roles"}
    with pytest.raises(errors.TcboxError, match="does not let its state be read"):
        await there.read(kinds=[ROLES])


async def test_what_is_no_taskcluster_is_told_so(there):
    """Another web server, an answer of another form, and no server at all are told apart."""
    with pytest.raises(errors.TcboxError, match="is no root URL"):
        await sources.read("https://tc.example.com/tasks", None)
    with pytest.raises(errors.TcboxError, match="is no root URL"):
        await sources.read("ftp://tc.example.com", None)
    there.pools["x/a"].pop("config")
    with pytest.raises(errors.TcboxError, match="answers in another form than the published one"):
        await there.read(kinds=[WORKER_POOLS])

    from aiohttp import web

    async def page(request):
        return web.Response(text="<html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    async with served(app) as url:
        with pytest.raises(errors.TcboxError, match="is that the root URL of one"):
            await sources.read(url, None)
    async with served(web.Application()) as url:
        with pytest.raises(errors.TcboxError, match="is that the root URL of a Taskcluster"):
            await sources.read(url, None)


async def test_a_file_has_what_is_asked_of_it_or_is_refused(tmp_path):
    """A kind that was named and is not in a file is missed; others are not."""
    path = tmp_path / "state.yml"
    path.write_text("roles: {x: {}}\nclients: {y: {expires: 2099-01-01T00:00:00Z}}\n")
    found = await sources.read(str(path), None)
    assert (found.state.roles, found.state.clients) == ({"x": Role()}, {"y": Client(expires="2099-01-01T00:00:00Z")})
    assert (await sources.read(str(path), None, kinds=KINDS)).state.kinds == [ROLES, CLIENTS]
    with pytest.raises(errors.TcboxError, match="has no hooks and no secrets"):
        await sources.read(str(path), None, asked=[HOOKS, SECRETS])
    with pytest.raises(errors.TcboxError, match="give a file that 'tcbox state export' wrote"):
        await sources.read(str(tmp_path / "other.yml"), None)


def test_credentials_are_not_shown_to_another_instance():
    """The environment's credentials are for its own root URL alone, if it names one."""
    env = {"TASKCLUSTER_CLIENT_ID": "me", "TASKCLUSTER_ACCESS_TOKEN": "t"}
    assert sources.from_environment("https://a.example.com", env).client_id == "me"
    assert sources.from_environment("https://a.example.com/", {**env, "TASKCLUSTER_ROOT_URL": "https://a.example.com"}).client_id == "me"
    assert sources.from_environment("https://a.example.com", {**env, "TASKCLUSTER_ROOT_URL": "https://b.example.com"}) is None
    assert sources.from_environment("https://a.example.com", {}) is None
