"""Access tokens for service accounts of Google Cloud, given by a service account that may create them.

Source: IAM Service Account Credentials API, generateAccessToken; OAuth 2.0 for server to server applications.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tcbox import clock as clocks
from tcbox import errors
from tcbox.vendors import jwt
from tcbox.vendors.http import Answer, Outgoing

IAM = "https://iamcredentials.googleapis.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
_SCOPES = f"{PLATFORM} https://www.googleapis.com/auth/iam"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and the service accounts in it that tokens may be given for.

    Attributes:
        credentials: the key file of a service account that has the role Service Account Token Creator.
        endpoint: the URL of the IAM credentials service; for tests, and for private endpoints.
    """

    project_id: str
    credentials: Mapping[str, str]
    allowed_service_accounts: tuple[str, ...]
    endpoint: str = IAM


class AccessTokens:
    """Gives access tokens for the configured service accounts."""

    def __init__(self, project: Project | None, outgoing: Outgoing, clock: clocks.Clock) -> None:
        self._project = project
        self._outgoing = outgoing
        self._clock = clock
        self._own = ("", 0)  # our own access token, and when it ends

    async def give(self, project_id: str, service_account: str) -> dict[str, Any]:
        """`accessToken` and `expireTime`, as the API shows them.

        Raises InvalidRequestArguments for an account that is not allowed, ResourceNotFound for a project that is not
        configured and when Google refuses.
        """
        project = self._project
        if project is None or service_account not in project.allowed_service_accounts:
            raise errors.InvalidRequestArguments(
                "The service account {serviceAccount} is not allowed here: its administrator can add it to services.auth.gcp in tcbox.yml.",
                serviceAccount=service_account,
            )
        if project_id != project.project_id:
            raise errors.ResourceNotFound("The project {projectId} is not configured (services.auth.gcp in tcbox.yml).", projectId=project_id)
        reply = await self._outgoing.send(
            "POST",
            f"{project.endpoint}/v1/projects/-/serviceAccounts/{quote(service_account, safe='@')}:generateAccessToken",
            headers={"Authorization": f"Bearer {await self._own_token(project)}"},
            json={"scope": [PLATFORM], "delegates": [], "lifetime": "3600s"},
        )
        made = _granted(reply, f"an access token for {service_account}")
        return {"accessToken": made["accessToken"], "expireTime": made["expireTime"]}

    async def _own_token(self, project: Project) -> str:
        now = self._clock.now()
        token, ends = self._own
        if ends > now + clocks.MINUTE:
            return token
        uri = project.credentials.get("token_uri") or TOKEN_URI
        seconds = now // 1000
        claims = {"iss": project.credentials["client_email"], "scope": _SCOPES, "aud": uri, "iat": seconds, "exp": seconds + 3600}
        assertion = jwt.rs256(claims, project.credentials["private_key"])
        made = _granted(await self._outgoing.send("POST", uri, form={"grant_type": _GRANT, "assertion": assertion}), "access to its API")
        self._own = (str(made["access_token"]), now + int(made.get("expires_in", 3600)) * clocks.SECOND)
        return self._own[0]


def _granted(reply: Answer, what: str) -> dict[str, Any]:
    body = reply.json()
    if reply.ok and isinstance(body, dict):
        return body
    raise errors.ResourceNotFound("Google Cloud did not give {what}: {reason}", what=what, reason=_reason(reply, body))


def _reason(reply: Answer, body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        return str(error.get("message"))
    if error:
        return f"{error}: {body.get('error_description', '')}"
    return f"HTTP status {reply.status}"
