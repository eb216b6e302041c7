"""Google's OAuth token endpoint and the IAM credentials API, for one project."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.simulators import tokens

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


class GcpIam:
    """Knows one service account that may create tokens, and those that it may create them for."""

    def __init__(self, email: str, key: rsa.RSAPublicKey, accounts: set[str]) -> None:
        self.email = email
        self.key = key
        self.accounts = accounts
        self.url = ""
        self.assertions = 0
        self.app = web.Application()
        self.app.router.add_post("/token", self.token)
        self.app.router.add_post("/v1/projects/-/serviceAccounts/{action}", self.generate)

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        claims = tokens.rs256(str(form.get("assertion")), self.key)
        self.assertions += 1
        if form.get("grant_type") != GRANT or claims is None or claims["iss"] != self.email:
            return _refuse(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if (
            claims["aud"] != f"{self.url}/token"
            or claims["exp"] - claims["iat"] > 3600
            or claims["exp"] < time.time()
            or PLATFORM not in claims["scope"].split()
        ):
            return _refuse(400, {"error": "invalid_grant", "error_description": "Invalid JWT claims."})
        return web.json_response({"access_token": "own-token", "expires_in": 3599, "token_type": "Bearer"})

    async def generate(self, request: web.Request) -> web.Response:
        account, _, verb = request.match_info["action"].partition(":")
        body = await request.json()
        if request.headers.get("Authorization") != "Bearer own-token":
            return _refuse(401, {"error": {"code": 401, "message": "Request had invalid authentication credentials.", "status": "UNAUTHENTICATED"}})
        if verb != "generateAccessToken" or account not in self.accounts:
            return _refuse(404, {"error": {"code": 404, "message": f"Unknown service account {account}", "status": "NOT_FOUND"}})
        if body != {"scope": [PLATFORM], "delegates": [], "lifetime": "3600s"}:
            return _refuse(400, {"error": {"code": 400, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT"}})
        return web.json_response({"accessToken": f"token-for-{account}", "expireTime": "2031-02-03T04:05:06Z"})


def _refuse(status: int, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=status)
