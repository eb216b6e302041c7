"""Settings of the auth service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from tcbox.config.section import section
from tcbox.config.values import AccessToken, ClientId, HttpUrl, Secret, Version

_NO_SECRET = Secret()


@section
class StaticClient:
    """A client that comes from the configuration."""

    client_id: ClientId
    """Its id: begins with `static/`, but not with `static/taskcluster/` or `static/tcbox/`, which are the instance's own."""

    access_token: AccessToken
    """With what it signs: 22 to 66 letters, digits, dashes and underscores; give it by reference."""

    scopes: tuple[str, ...] = ()
    """What it may do. Default: nothing."""

    description: str = ""
    """For people. Default: empty."""


@section
class AwsS3:
    """`auth.awsS3Credentials`: temporary credentials for buckets."""

    access_key_id: str = ""
    """Of the IAM user in whose name they are made. Default: none, and the method answers that it is not configured."""

    secret_access_key: Secret = _NO_SECRET
    """Of the same user; give it by reference. Default: none."""

    endpoint: HttpUrl = ""
    """URL of the STS service. Default: Amazon's."""

    region: str = "us-east-1"
    """Region of the STS service. Default: us-east-1."""

    buckets: tuple[str, ...] = ()
    """The buckets for which credentials are made; for others there are none. Default: none."""


@section
class Gcp:
    """`auth.gcpCredentials`: access tokens of Google Cloud service accounts."""

    project_id: str = ""
    """The project whose service accounts these are. Default: none, and the method answers that it is not configured."""

    credentials: Secret = _NO_SECRET
    """The JSON key of a service account of the project that may make tokens for others; give it by reference, as
    `${file:/path/key.json}`. Default: none."""

    service_accounts: tuple[str, ...] = ()
    """E-mail addresses of the service accounts for which tokens are made; for others there are none. Default: none."""

    endpoint: HttpUrl = ""
    """URL of the IAM credentials API. Default: Google's."""


@section
class Sentry:
    """`auth.sentryDSN`: where a project's errors are reported to."""

    url: HttpUrl = ""
    """URL of the Sentry server. Default: none, and the method answers that it is not configured."""

    auth_token: Secret = _NO_SECRET
    """A token that may read the organization and manage its projects; give it by reference. Default: none."""

    organization: str = ""
    """The organization's slug. Default: none."""

    team: str = ""
    """The team that owns projects which are made on demand. Default: none."""

    key_prefix: str = "taskcluster-"
    """With what the names of keys made here begin; only such keys are ever removed. Default: taskcluster-."""


@section
class GithubApp:
    """One GitHub App of `auth.githubRepoToken`."""

    app_id: str
    """Its number, as GitHub shows it."""

    private_key: Secret
    """Its private key in PEM; give it by reference."""


@section
class GithubTokens:
    """`auth.githubRepoToken`: tokens for repositories."""

    apps: Mapping[str, GithubApp] = field(default_factory=dict)
    """By the name that callers use. Default: none, and the method answers that it is not configured."""

    endpoint: HttpUrl = ""
    """URL of GitHub's API. Default: GitHub's."""


@section
class Auth:
    """Clients, roles, and credentials for other places. Always runs: every other service asks it who calls."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    static_clients: tuple[StaticClient, ...] = ()
    """Clients that exist without being created, and cannot be changed over the API. Default: the instance's own alone."""

    websocktunnel_secret: Secret = _NO_SECRET
    """The secret shared with a websocktunnel; give it by reference. Default: none, and its method answers that it is not
    configured."""

    aws_s3: AwsS3 = field(default_factory=AwsS3)
    """Temporary credentials for buckets of S3."""

    gcp: Gcp = field(default_factory=Gcp)
    """Access tokens of Google Cloud service accounts."""

    sentry: Sentry = field(default_factory=Sentry)
    """Where projects' errors are reported to."""

    github: GithubTokens = field(default_factory=GithubTokens)
    """Tokens for GitHub repositories."""
