"""From the settings on services of other makers (AWS, Google Cloud, Sentry, GitHub) to what auth is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tcbox import errors

if TYPE_CHECKING:
    from tcbox.config.services.auth import Auth, Gcp, Sentry
    from tcbox.services.auth.service import Vendors
    from tcbox.services.auth.vendors import gcp, sentry


def text(value: Any) -> str:
    """A setting's text, a secret's included."""
    return value.reveal() if hasattr(value, "reveal") else str(value or "")


def vendors(chosen: Auth) -> Vendors:
    """What is configured.

    Raises TcboxError, naming the key, for what cannot be used.
    """
    from tcbox.services.auth.service import Vendors
    from tcbox.services.auth.vendors import aws, github

    s3 = chosen.aws_s3
    buckets = (aws.Bucket(s3.access_key_id, text(s3.secret_access_key), tuple(s3.buckets), s3.endpoint or None, s3.region),) if s3.access_key_id else ()
    return Vendors(
        aws=buckets,
        gcp=_gcp(chosen.gcp),
        sentry=_sentry(chosen.sentry),
        github_apps={name: github.App(app.app_id, text(app.private_key)) for name, app in chosen.github.apps.items()},
        github_url=chosen.github.endpoint or github.API,
        websocktunnel_secret=text(chosen.websocktunnel_secret) or None,
    )


def _gcp(chosen: Gcp) -> gcp.Project | None:
    from tcbox.services.auth.vendors import gcp

    if not chosen.project_id:
        return None
    try:
        key = msgspec.json.decode(text(chosen.credentials))
    except msgspec.DecodeError as error:
        raise errors.TcboxError("services.auth.gcp.credentials is no JSON: give the key file of a service account, as ${file:/path/key.json}") from error
    return gcp.Project(chosen.project_id, key, tuple(chosen.service_accounts), chosen.endpoint or gcp.IAM)


def _sentry(chosen: Sentry) -> sentry.Settings | None:
    from tcbox.services.auth.vendors import sentry

    if not chosen.url:
        return None
    return sentry.Settings(chosen.url, text(chosen.auth_token), chosen.organization, chosen.team, chosen.key_prefix)
