"""Methods that give credentials for services of other makers."""

from __future__ import annotations

from typing import Any

from tcbox import clock as clocks
from tcbox.api import wire
from tcbox.api.call import Call, Encoded
from tcbox.services.auth.declarations import api
from tcbox.services.auth.vendors.aws import Given, S3Credentials
from tcbox.services.auth.vendors.gcp import AccessTokens
from tcbox.services.auth.vendors.github import RepoTokens
from tcbox.services.auth.vendors.sentry import Dsns
from tcbox.services.auth.vendors.websocktunnel import Tokens

_S3_WRITE = "auth:aws-s3:read-write:<bucket>/<prefix>"


class VendorMethods:
    """Gives credentials, each kind by the part that knows its vendor."""

    def __init__(self, *, s3: S3Credentials, gcp: AccessTokens, sentry: Dsns, github: RepoTokens, websocktunnel: Tokens, clock: clocks.Clock) -> None:
        self._s3 = s3
        self._gcp = gcp
        self._sentry = sentry
        self._github = github
        self._websocktunnel = websocktunnel
        self._clock = clock

    @api.get(
        "/aws/s3/<level>/<bucket>/<prefix>", name="awsS3Credentials", category="AWS Credentials", output="aws-s3-credentials-response", empty=True,
        scopes={"if": "levelIsReadOnly", "then": {"AnyOf": ["auth:aws-s3:read-only:<bucket>/<prefix>", _S3_WRITE]}, "else": _S3_WRITE},
        query={"format": "iam-role-compat"},
    )  # fmt: skip
    async def aws_s3_credentials(self, call: Call, level: str, bucket: str, prefix: str) -> dict[str, Any] | Encoded:
        """Get Temporary Read/Write Credentials S3

        AWS credentials for reading (`read-only`), or reading, writing and deleting (`read-write`), the objects of a
        bucket whose keys begin with the prefix. They end after an hour or so: see `expires`.

        S3 knows no folders: the prefix `logs` is also that of `logs-private.txt`, and `logs/` is not. Setting an
        object's ACL is not allowed. With `?format=iam-role-compat` the reply is of the form in which EC2's metadata
        service gives credentials.
        """
        read_only = level == "read-only"
        await call.authorize(level=level, bucket=bucket, prefix=prefix, levelIsReadOnly=read_only)
        given = await self._s3.give(bucket, prefix, write=not read_only)
        if call.query.get("format"):
            return _as_ec2(given, self._clock.now())
        keys = {"accessKeyId": given.access_key_id, "secretAccessKey": given.secret_access_key, "sessionToken": given.session_token}
        return {"credentials": keys, "expires": clocks.to_wire(given.expires)}

    @api.get("/sentry/<project>/dsn", name="sentryDSN", category="Sentry Credentials", output="sentry-dsn-response", scopes="auth:sentry:<project>")
    async def sentry_dsn(self, call: Call, project: str) -> dict[str, Any]:
        """Get DSN for Sentry Project

        Addresses to which the errors of a Sentry project can be sent, good for a day at least. A project that is not
        there is made, and given to the configured team.
        """
        key = await self._sentry.give(project)
        return {"project": project, "dsn": {"secret": key.secret, "public": key.public}, "expires": clocks.to_wire(key.expires)}

    @api.get(
        "/websocktunnel/<wstAudience>/<wstClient>", name="websocktunnelToken", category="Websocktunnel Credentials",
        output="websocktunnel-token-response", scopes="auth:websocktunnel-token:<wstAudience>/<wstClient>",
    )  # fmt: skip
    async def websocktunnel_token(self, call: Call, wstAudience: str, wstClient: str) -> dict[str, Any]:
        """Get a Client Token for Websocktunnel

        A token for connecting to a websocktunnel server of this audience. It ends after some days: ask for another
        before `expires`.
        """
        token, ends = self._websocktunnel.give(wstAudience, wstClient, await call.client_id())
        return {"wstClient": wstClient, "wstAudience": wstAudience, "token": token, "expires": clocks.to_wire(ends)}

    @api.get(
        "/gcp/credentials/<projectId>/<serviceAccount>", name="gcpCredentials", category="GCP Credentials",
        output="gcp-credentials-response", scopes="auth:gcp:access-token:<projectId>/<serviceAccount>",
    )  # fmt: skip
    async def gcp_credentials(self, call: Call, projectId: str, serviceAccount: str) -> dict[str, Any]:
        """Get Temporary GCP Credentials

        An access token of a service account in a project of Google Cloud, as far as both are configured. It ends after
        an hour or so: see `expireTime`.
        """
        return await self._gcp.give(projectId, serviceAccount)

    @api.post(
        "/github/<appName>/<owner>/repo-token", name="githubRepoToken", category="Github Credentials", stability="experimental",
        input="github-repo-token-request", output="github-token-response",
        scopes={"AllOf": [{"for": "repoPerm", "in": "repoPerms", "each": "auth:github-repo-token:<appName>/<owner>/<repoPerm>"}]},
    )  # fmt: skip
    async def github_repo_token(self, call: Call, appName: str, owner: str) -> dict[str, Any]:
        """Get a GitHub Token for Repositories

        A token of a configured GitHub App, for the given repositories of one owner and with the given permissions.

        For each permission on each repository the caller needs the scope
        `auth:github-repo-token:<appName>/<owner>/<repo>:<permission>:<level>`, with owner and repo in small letters and
        exactly this level: `write` does not imply `read`. GitHub decides when the token ends: see `expires`.
        """
        owner = owner.lower()
        repositories = [name.lower() for name in call.payload["repositories"]]
        permissions = call.payload["permissions"]
        wanted = [f"{name}:{permission}:{level}" for permission, level in permissions.items() for name in repositories]
        await call.authorize(appName=appName, owner=owner, repoPerms=wanted)
        return await self._github.give(appName, owner, repositories, permissions)


def _as_ec2(given: Given, now: int) -> Encoded:
    """The credentials as EC2's metadata service gives those of a role, which is not the form of the published schema."""
    return Encoded(
        wire.encode(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": clocks.to_wire(now),
                "AccessKeyId": given.access_key_id,
                "SecretAccessKey": given.secret_access_key,
                "Token": given.session_token,
                "Expiration": clocks.to_wire(given.expires),
            }
        )
    )
