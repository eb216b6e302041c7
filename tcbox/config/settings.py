"""Every setting: its type, and below it its unit, default and consequence.

The reference page and the JSON schema are made from these classes and the docstrings under their attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


class Secret(str):
    """A text that is not shown: `repr` and the described configuration print `***`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, kw_only=True)
class Log:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are kept. Default: info. `debug` logs every call."""


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """Where artifacts' bytes are kept."""

    url: str = ""
    """`s3://bucket/prefix`, or `file:///folder`. Default: files in the data folder."""

    endpoint: str = ""
    """URL of an S3 server other than Amazon's. Default: Amazon's."""

    region: str = ""
    """The bucket's region. Default: what the environment says."""

    access_key_id: str = ""
    """For S3. Default: the environment's or the machine's own credentials."""

    secret_access_key: Secret = Secret()
    """For S3; give it by reference, as `${env:NAME}` or `${file:/path}`."""


@dataclass(frozen=True, kw_only=True)
class StaticClient:
    """A client from the configuration."""

    client_id: str
    """Begins with `static/`, but not with `static/taskcluster/` or `static/tcbox/`, which are the instance's own."""

    access_token: Secret
    """At least 22 letters, digits, dashes and underscores; give it by reference."""

    scopes: list[str] = field(default_factory=list)
    """What it may do."""

    description: str = ""
    """For people."""


@dataclass(frozen=True, kw_only=True)
class AwsS3:
    """`auth.awsS3Credentials`: temporary credentials for buckets."""

    access_key_id: str = ""
    """Of the IAM user in whose name they are made. Default: none, and the method says that it is not configured."""

    secret_access_key: Secret = Secret()
    """Of the same user; give it by reference."""

    endpoint: str = ""
    """URL of the STS service. Default: Amazon's."""

    region: str = "us-east-1"
    """Region of the STS service. Default: us-east-1."""

    buckets: list[str] = field(default_factory=list)
    """The buckets for which credentials are made."""


@dataclass(frozen=True, kw_only=True)
class Gcp:
    """`auth.gcpCredentials`: access tokens of service accounts."""

    project_id: str = ""
    """The Google Cloud project. Default: none, and the method says that it is not configured."""

    credentials: Secret = Secret()
    """The JSON key file of a service account that may make tokens for the others; give it by reference."""

    service_accounts: list[str] = field(default_factory=list)
    """E-mail addresses of the service accounts for which tokens are made."""

    endpoint: str = ""
    """URL of the IAM credentials API. Default: Google's."""


@dataclass(frozen=True, kw_only=True)
class Sentry:
    """`auth.sentryDSN`: places to report errors to."""

    url: str = ""
    """Of the Sentry server. Default: none, and the method says that it is not configured."""

    auth_token: Secret = Secret()
    """A token that may manage projects; give it by reference."""

    organization: str = ""
    """The organization's slug."""

    team: str = ""
    """The team that gets projects made on demand."""

    key_prefix: str = "taskcluster-"
    """What the names of keys made here begin with. Default: taskcluster-."""


@dataclass(frozen=True, kw_only=True)
class GithubApp:
    """One GitHub App of `auth.githubRepoToken`."""

    app_id: str = ""
    """Its number."""

    private_key: Secret = Secret()
    """Its private key in PEM; give it by reference."""


@dataclass(frozen=True, kw_only=True)
class GithubTokens:
    """`auth.githubRepoToken`: tokens for repositories."""

    apps: dict[str, GithubApp] = field(default_factory=dict)
    """By the name that callers use. Default: none, and the method says that it is not configured."""

    endpoint: str = ""
    """URL of GitHub's API. Default: GitHub's."""


@dataclass(frozen=True, kw_only=True)
class Auth:
    """Clients, roles, and credentials for other places."""

    version: str = ""
    """The release that an export runs of this service. Default: the one that exports."""

    static_clients: list[StaticClient] = field(default_factory=list)
    """Clients that exist without being created, and cannot be changed over the API."""

    websocktunnel_secret: Secret = Secret()
    """The secret shared with a websocktunnel. Default: none, and its method says that it is not configured."""

    aws_s3: AwsS3 = field(default_factory=AwsS3)
    """See its keys."""

    gcp: Gcp = field(default_factory=Gcp)
    """See its keys."""

    sentry: Sentry = field(default_factory=Sentry)
    """See its keys."""

    github: GithubTokens = field(default_factory=GithubTokens)
    """See its keys."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Tasks, their states, and who works on them."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: str = ""
    """The release that an export runs of this service. Default: the one that exports."""

    claim_timeout: int = 1200
    """Seconds that a claim holds without being renewed. Default: 1200. A shorter time finds dead workers sooner."""

    max_task_deadline_days: int = 5
    """Days that a task's deadline may lie ahead. Default: 5."""

    task_max_dependencies: int = 10_000
    """How many tasks one may depend on. Default: 10000."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Small documents for those who may read them."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: str = ""
    """The release that an export runs of this service. Default: the one that exports."""


@dataclass(frozen=True, kw_only=True)
class Object:
    """Stored objects, uploaded and downloaded by published methods."""

    enabled: bool = True
    """Whether the service runs. Default: true. Without it, artifacts of the storage type `object` are refused."""

    version: str = ""
    """The release that an export runs of this service. Default: the one that exports."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services."""

    auth: Auth = field(default_factory=Auth)
    """Always runs: every other service asks it who calls."""

    queue: Queue = field(default_factory=Queue)
    """See its keys."""

    secrets: Secrets = field(default_factory=Secrets)
    """See its keys."""

    object: Object = field(default_factory=Object)
    """See its keys."""


@dataclass(frozen=True, kw_only=True)
class Docker:
    """The worker inside that runs tasks in containers."""

    enabled: bool = True
    """Whether it runs, provided that a Docker engine answers. Default: true."""

    queue: str = "local/docker"
    """The task queue that it serves. Default: local/docker."""

    capacity: int = 2
    """How many tasks run at once. Default: 2."""

    serve: list[str] = field(default_factory=list)
    """Further task queues, as names or patterns with `*`, such as `proj-*/b-linux`. Default: none."""

    url: str = "unix:///var/run/docker.sock"
    """Where the Docker engine listens. Default: unix:///var/run/docker.sock."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """The worker inside that runs tasks as processes of this machine. It gives no isolation."""

    enabled: bool = True
    """Whether it runs. Default: true."""

    queue: str = "local/host"
    """The task queue that it serves. Default: local/host."""

    capacity: int = 2
    """How many tasks run at once. Default: 2."""

    serve: list[str] = field(default_factory=list)
    """Further task queues, as names or patterns with `*`. Default: none."""


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """The worker inside for built-in/succeed and built-in/fail."""

    enabled: bool = True
    """Whether it runs. Default: true."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The workers inside."""

    docker: Docker = field(default_factory=Docker)
    """See its keys."""

    host: Host = field(default_factory=Host)
    """See its keys."""

    builtin: Builtin = field(default_factory=Builtin)
    """See its keys."""

    grace_seconds: float = 5.0
    """Seconds that running tasks have to end when the instance stops; then they are resolved as worker-shutdown, and
    run again later. Default: 5."""


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """How the instance ends."""

    drain_seconds: float = 10.0
    """Seconds that requests under way have to finish. Default: 10."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set. Every key is optional."""

    root_url: str = ""
    """The URL by which clients reach the instance. Default: `http://localhost:<port>`."""

    host: str = "127.0.0.1"
    """The address to listen on. Default: 127.0.0.1, this machine alone; 0.0.0.0 is all addresses."""

    port: int = 8090
    """The port to listen on; 0 takes any free one. Default: 8090."""

    data: Path | None = None
    """The folder that holds the instance's state. Default: `$XDG_DATA_HOME/tcbox`, or `~/.local/share/tcbox`."""

    database: Secret = Secret()
    """`postgresql://user:password@host/name`. Default: SQLite in the data folder."""

    events: Literal["local"] = "local"
    """How events travel. This version delivers them within the process only, and takes no AMQP server."""

    blobs: Blobs = field(default_factory=Blobs)
    """A URL such as `s3://bucket/prefix`, or the keys below."""

    log: Log = field(default_factory=Log)
    """See its keys."""

    services: Services = field(default_factory=Services)
    """See its keys."""

    workers: Workers = field(default_factory=Workers)
    """See its keys."""

    shutdown: Shutdown = field(default_factory=Shutdown)
    """See its keys."""
