"""Settings of the secrets service."""

from __future__ import annotations

from tcbox.config.section import section
from tcbox.config.values import Secret, Version

_NO_SECRET = Secret()


@section
class Secrets:
    """Small documents for those who may read them, sealed in the database."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    key: Secret = _NO_SECRET
    """With what tokens and secrets are sealed in the database: 32 random bytes in base64, as `openssl rand -base64 32`
    makes them; give it by reference. Default: made on the first start, and kept in the data folder. With another key,
    what was sealed before cannot be opened."""
