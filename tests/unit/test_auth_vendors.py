"""Credentials for services of other makers, held against stand-ins that refuse what the vendors would refuse."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import db
from tcbox.services.auth.service import Vendors
from tcbox.services.auth.vendors import aws, gcp, github, sentry
from tcbox.vendors import jwt
from tests.simulators import tokens
from tests.simulators.gcp_iam import GcpIam
from tests.simulators.github_app import GithubApp
from tests.simulators.sentry import Sentry
from tests.simulators.serving import served
from tests.support import auth as support
from tests.support.auth import Auth, refused

Configured = Callable[[Vendors], AbstractAsyncContextManager[Auth]]


@pytest_asyncio.fixture
async def configured(tmp_path: Path) -> AsyncIterator[Configured]:
    clock = clocks.VirtualClock()
    database = db.connect(f"sqlite://{tmp_path}/tcbox.db", clock=clock)
    await database.start(support.MIGRATIONS)

    @asynccontextmanager
    async def run(vendors: Vendors) -> AsyncIterator[Auth]:
        async with support.running(database, clock, vendors=vendors) as made:
            yield made

    yield run
    await database.close()


@pytest.fixture(scope="module")
def pair() -> tuple[str, Any]:
    return tokens.key_pair()


REPOS = {"repositories": ["bar"], "permissions": {"contents": "read"}}


@pytest.mark.parametrize(
    ("call", "args", "status", "code", "setting"),
    [
        ("awsS3Credentials", ("read-only", "some-bucket", "x"), 404, "ResourceNotFound", "services.auth.aws_s3"),
        ("gcpCredentials", ("project", "a@b.example"), 400, "InvalidRequestArguments", "services.auth.gcp"),
        ("sentryDSN", ("project",), 404, "ResourceNotFound", "services.auth.sentry"),
        ("websocktunnelToken", ("audience", "client"), 404, "ResourceNotFound", "services.auth.websocktunnel_secret"),
        ("githubRepoToken", ("app", "owner", REPOS), 404, "ResourceNotFound", "services.auth.github.apps"),
    ],
)
async def test_what_is_not_configured_says_which_setting_to_set(configured: Configured, call: str, args: Any, status: int, code: str, setting: str) -> None:
    """Without configuration each method answers with its published code, and names the setting; scopes come first."""
    async with configured(Vendors()) as auth:
        assert setting in await refused(getattr(auth.root, call)(*args), status, code)
        await refused(getattr(auth.client(), call)(*args), 403, "InsufficientScopes")


# -- websocktunnel


async def test_websocktunnel_tokens(configured: Configured) -> None:
    """The token is a JWT signed with the shared secret, for this audience and client, good for four days."""
    async with configured(Vendors(websocktunnel_secret="shared")) as auth:
        got = await auth.root.websocktunnelToken("audience", "group.worker~1")
        signed, _, signature = got["token"].rpartition(".")
        assert signature == base64.urlsafe_b64encode(hmac.digest(b"shared", signed.encode(), "sha256")).rstrip(b"=").decode()
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in signed.split("."))
        assert header == {"alg": "HS256", "typ": "JWT"}
        now = claims["iat"]
        assert abs(now - auth.clock.now() / 1000) < 5
        assert claims == {
            "iss": "taskcluster-auth", "aud": "audience", "tid": "group.worker~1", "sub": "static/taskcluster/root",
            "iat": now, "nbf": now - 900, "exp": now + 96 * 3600,
        }  # fmt: skip
        assert clocks.from_wire(got["expires"]) == claims["exp"] * 1000
        assert (got["wstAudience"], got["wstClient"]) == ("audience", "group.worker~1")
        await refused(auth.root.websocktunnelToken("a b", "c"), 400, "InvalidRequestArguments")


# -- AWS


@pytest.fixture(scope="module")
def moto() -> Any:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_aws_credentials(configured: Configured, moto: str) -> None:
    """STS is asked for a federated user's credentials, which come in both published forms."""
    key = aws.Bucket("AKIAEXAMPLE", "secret", ("bucket-one", "bucket-two"), endpoint=moto)
    async with configured(Vendors(aws=(key,))) as auth:
        got = await auth.root.awsS3Credentials("read-write", "bucket-two", "folder/sub/")
        assert set(got["credentials"]) == {"accessKeyId", "secretAccessKey", "sessionToken"}
        assert clocks.from_wire(got["expires"]) > auth.clock.now() + 50 * clocks.MINUTE
        async with auth.session.get(auth.root.buildSignedUrl("awsS3Credentials", "read-only", "bucket-one", "p", query={"format": "iam-role-compat"})) as raw:
            compat = await raw.json()
        assert (compat["Code"], compat["Type"]) == ("Success", "AWS-HMAC")
        assert set(compat) == {"Code", "Type", "LastUpdated", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
        await refused(auth.root.awsS3Credentials("read-only", "other-bucket", "x"), 404, "ResourceNotFound")
        await refused(auth.root.awsS3Credentials("read-only", "bucket-one", "/x"), 400, "InputError")
        await refused(auth.root.awsS3Credentials("write-only", "bucket-one", "x"), 400, "InvalidRequestArguments")
        await refused(auth.root.awsS3Credentials("read-only", "bucket.one", "x"), 400, "InvalidRequestArguments")


async def test_aws_scopes(configured: Configured, moto: str) -> None:
    """Reading is allowed by either scope, writing by that for writing alone, each for its prefix."""
    key = aws.Bucket("AKIAEXAMPLE", "secret", ("bucket",), endpoint=moto)
    async with configured(Vendors(aws=(key,))) as auth:
        for held in ("auth:aws-s3:read-only:bucket/a/*", "auth:aws-s3:read-write:bucket/a/*"):
            await auth.having(held).awsS3Credentials("read-only", "bucket", "a/b")
            await refused(auth.having(held).awsS3Credentials("read-only", "bucket", "b"), 403, "InsufficientScopes")
        await auth.having("auth:aws-s3:read-write:bucket/a/*").awsS3Credentials("read-write", "bucket", "a/b")
        await refused(auth.having("auth:aws-s3:read-only:bucket/*").awsS3Credentials("read-write", "bucket", "a/b"), 403, "InsufficientScopes")


@pytest.mark.parametrize(("write", "actions"), [(False, ["s3:GetObject"]), (True, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])])
def test_the_policy_for_aws(write: bool, actions: list[str]) -> None:
    """The policy allows just the objects below the prefix, listing them, and finding the bucket."""
    assert aws.policy("bucket", "a/b", write=write) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "ReadWriteObjectsUnderPrefix", "Effect": "Allow", "Action": actions, "Resource": ["arn:aws:s3:::bucket/a/b*"]},
            {
                "Sid": "ListObjectsUnderPrefix", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::bucket"],
                "Condition": {"StringLike": {"s3:prefix": ["a/b*"]}},
            },
            {"Sid": "GetBucketLocation", "Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::bucket"]},
        ],
    }  # fmt: skip


# -- Google Cloud


async def test_gcp_credentials(configured: Configured, pair: tuple[str, Any]) -> None:
    """A configured service account gets a token, with one assertion for many; all others are refused."""
    iam = GcpIam("creator@p.example", pair[1], {"worker@p.example"})
    async with served(iam.app) as url:
        iam.url = url
        own = {"client_email": iam.email, "private_key": pair[0], "token_uri": f"{url}/token"}
        project = gcp.Project("proj", own, ("worker@p.example", "unknown@p.example"), endpoint=url)
        async with configured(Vendors(gcp=project)) as auth:
            for _ in range(2):
                got = await auth.root.gcpCredentials("proj", "worker@p.example")
                assert got == {"accessToken": "token-for-worker@p.example", "expireTime": "2031-02-03T04:05:06Z"}
            assert iam.assertions == 1
            await refused(auth.root.gcpCredentials("proj", "other@p.example"), 400, "InvalidRequestArguments")
            await refused(auth.root.gcpCredentials("other", "worker@p.example"), 404, "ResourceNotFound")
            assert "Unknown service account" in await refused(auth.root.gcpCredentials("proj", "unknown@p.example"), 404, "ResourceNotFound")
        wrong = {**own, "private_key": tokens.key_pair()[0]}
        async with configured(Vendors(gcp=gcp.Project("proj", wrong, ("worker@p.example",), endpoint=url))) as auth:
            assert "Invalid JWT" in await refused(auth.root.gcpCredentials("proj", "worker@p.example"), 404, "ResourceNotFound")


def test_a_bad_private_key_is_named() -> None:
    """A private key that is none says so, and what to give instead."""
    with pytest.raises(jwt.PrivateKeyError, match="PEM"):
        jwt.rs256({}, "no key")


# -- Sentry


async def test_sentry_keys(configured: Configured) -> None:
    """A project is made on first use, its key given out for a day, then another; old keys are removed, others left."""
    simulator = Sentry("token", "org", "team")
    async with served(simulator.app) as url:
        settings = sentry.Settings(url, "token", "org", "team", "tc")
        async with configured(Vendors(sentry=settings)) as auth:
            first = await auth.root.sentryDSN("proj")
            assert first["project"] == "proj"
            assert first["dsn"] == {"public": "https://key1@sentry.example/1", "secret": "https://key1:s@sentry.example/1"}
            assert clocks.from_wire(first["expires"]) == pytest.approx(auth.clock.now() + 48 * clocks.HOUR, abs=5000)
            assert await auth.root.sentryDSN("proj") == first
        simulator.projects["proj"]["hand-made"] = {"id": "hand-made", "label": "tc managed by hand", "dsn": {"public": "", "secret": ""}}
        async with configured(Vendors(sentry=settings)) as auth:
            assert await auth.root.sentryDSN("proj") == first
            auth.clock.advance(24 * clocks.HOUR)
            second = await auth.root.sentryDSN("proj")
            assert second["dsn"] != first["dsn"]
            await auth.service._sentry.purge()
            assert set(simulator.projects["proj"]) == {"key1", "key2", "hand-made"}
            auth.clock.advance(25 * clocks.HOUR)
            await auth.service._sentry.purge()
            assert set(simulator.projects["proj"]) == {"key2", "hand-made"}
            await refused(auth.root.sentryDSN("taken"), 500, "InternalServerError")


# -- GitHub


@asynccontextmanager
async def github_of(configured: Configured, pair: tuple[str, Any]) -> AsyncIterator[tuple[Auth, GithubApp]]:
    simulator = GithubApp("12345", pair[1])
    simulator.orgs = {"org": 1, "renamed": 3, "noowner": 4, "gone": 5}
    simulator.users = {"user": 2}
    simulator.repositories = {1: {"bar", "baz"}, 2: {"bar"}, 3: {"bar"}, 4: {"bar"}}
    simulator.logins = {"renamed": "newname", "noowner": None}
    async with served(simulator.app) as url:
        apps = {"app": github.App("12345", pair[0])}
        async with configured(Vendors(github_apps=apps, github_url=url)) as auth:
            yield auth, simulator


async def test_github_tokens(configured: Configured, pair: tuple[str, Any]) -> None:
    """Tokens for an organization and a user, whatever the case of their names; the installation is looked up once."""
    async with github_of(configured, pair) as (auth, simulator):
        assert await auth.root.githubRepoToken("app", "org", REPOS) == {"token": "1/contents:read/bar", "expires": "2031-02-03T04:05:06Z"}
        both = {"repositories": ["Bar", "baz"], "permissions": {"contents": "write", "actions": "read"}}
        assert (await auth.root.githubRepoToken("app", "OrG", both))["token"] == "1/contents:write,actions:read/bar,baz"
        assert simulator.lookups == 1
        assert (await auth.root.githubRepoToken("app", "user", REPOS))["token"] == "2/contents:read/bar"
        assert simulator.lookups == 3
        auth.clock.advance(2 * clocks.HOUR)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", lambda: auth.clock.now() / 1000)
            await auth.root.githubRepoToken("app", "org", REPOS)
        assert simulator.lookups == 4


@pytest.mark.parametrize(
    ("app", "owner", "body", "status", "code"),
    [
        ("other", "org", REPOS, 404, "ResourceNotFound"),
        ("app", "nobody", REPOS, 404, "ResourceNotFound"),
        ("app", "gone", REPOS, 404, "ResourceNotFound"),
        ("app", "renamed", REPOS, 400, "InputError"),
        ("app", "noowner", REPOS, 400, "InputError"),
        ("app", "org", {**REPOS, "repositories": ["secret"]}, 400, "InputError"),
        ("app", "org", {**REPOS, "permissions": {"contents": "admin"}}, 400, "InputValidationError"),
        ("app", "org", {**REPOS, "permissions": {"invalid": "read"}}, 400, "InputValidationError"),
        ("app", "or g", REPOS, 400, "InvalidRequestArguments"),
    ],
)
async def test_what_github_does_not_give(configured: Configured, pair: tuple[str, Any], app: str, owner: str, body: Any, status: int, code: str) -> None:
    """Apps, owners, repositories and permissions that are not there are refused with their published codes."""
    async with github_of(configured, pair) as (auth, _):
        await refused(auth.root.githubRepoToken(app, owner, body), status, code)


@pytest.mark.parametrize(
    ("held", "body", "granted"),
    [
        ("auth:github-repo-token:app/org/bar:contents:read", REPOS, True),
        ("auth:github-repo-token:app/org/bar:contents:write", REPOS, False),
        ("auth:github-repo-token:app/org/bar:contents:read", {**REPOS, "repositories": ["bar", "baz"]}, False),
        ("auth:github-repo-token:app/org/bar:contents:read", {**REPOS, "permissions": {"contents": "read", "actions": "read"}}, False),
        ("auth:github-repo-token:app/*", {**REPOS, "repositories": ["BAR", "baz"]}, True),
    ],
)
async def test_github_scopes(configured: Configured, pair: tuple[str, Any], held: str, body: Any, granted: bool) -> None:
    """Each permission on each repository needs its own scope, with exactly its level."""
    async with github_of(configured, pair) as (auth, _):
        call = auth.having(held).githubRepoToken("app", "Org", body)
        if granted:
            await call
        else:
            await refused(call, 403, "InsufficientScopes")


@pytest.mark.parametrize(
    ("limit", "status", "code"),
    [
        ((429, {}, "slow down"), 429, "TooManyRequests"),
        ((403, {"Retry-After": "60"}, "slow down"), 429, "TooManyRequests"),
        ((403, {"X-RateLimit-Remaining": "0"}, "slow down"), 429, "TooManyRequests"),
        ((403, {}, "You have exceeded a secondary rate limit"), 429, "TooManyRequests"),
        ((403, {}, "Resource not accessible by integration"), 500, "InternalServerError"),
    ],
)
async def test_github_takes_no_more_requests(configured: Configured, pair: tuple[str, Any], limit: Any, status: int, code: str) -> None:
    """Every form in which GitHub asks to slow down becomes 429; another 403 does not."""
    async with github_of(configured, pair) as (auth, simulator):
        simulator.limited["org"] = limit
        await refused(auth.root.githubRepoToken("app", "org", REPOS), status, code)


async def test_a_removed_installation_is_looked_up_again(configured: Configured, pair: tuple[str, Any]) -> None:
    """When a remembered installation is gone, the next request looks for a new one; GitHub's own faults are retried."""
    async with github_of(configured, pair) as (auth, simulator):
        await auth.root.githubRepoToken("app", "org", REPOS)
        kept = simulator.repositories.pop(1)
        await refused(auth.root.githubRepoToken("app", "org", REPOS), 404, "ResourceNotFound")
        simulator.repositories[1] = kept
        await auth.root.githubRepoToken("app", "org", REPOS)
        assert simulator.lookups == 2
        simulator.failures = 1
        await auth.root.githubRepoToken("app", "org", REPOS)


@pytest.mark.parametrize(
    ("name", "app"), [("a b", github.App("1", "x")), ("app", github.App("", "-----BEGIN PRIVATE KEY-----")), ("app", github.App("1", "x"))]
)
def test_a_wrong_github_app_is_named(name: str, app: github.App) -> None:
    """An app whose name cannot stand in a scope, or that lacks its id or key, is refused before anything starts."""
    make = partial(github.RepoTokens, {name: app}, outgoing=None, clock=clocks.SystemClock())
    with pytest.raises(github.GithubAppError, match=name):
        make()
