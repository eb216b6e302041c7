"""The auth service's API as a whole; its methods are declared beside the coroutines that answer them."""

from __future__ import annotations

from tcbox.api import monitoring
from tcbox.api.declare import Api

CLIENT_ID = r"^[A-Za-z0-9!@/:.+|_-]+$"
"""What a client id looks like, and a prefix of client ids too."""

api = Api(
    "auth",
    title="Auth Service",
    description="""
    Keeps the clients that may call this instance and the roles that expand their scopes, and tells other services who
    signed a request and which scopes that caller has.

    It also gives short-lived credentials for services of other makers, as far as the instance is set up for them.
    """,
    params={
        "clientId": CLIENT_ID,
        "roleId": r"^[\x20-\x7e]+$",
        "entityType": r"^(client|role|secret|hook|worker-pool)$",
        "level": r"^(read-write|read-only)$",
        "bucket": r"^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$",
        "project": r"^[a-zA-Z0-9_-]{1,64}$",
        "wstAudience": r"^[a-zA-Z0-9_-]{1,38}$",
        "wstClient": r"^[a-zA-Z0-9_~.%-]+$",
        "appName": r"^[a-zA-Z0-9_-]+$",
        "owner": r"^[A-Za-z0-9._-]+$",
    },
)

Monitoring = monitoring.declare(api)
