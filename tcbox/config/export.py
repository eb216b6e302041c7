"""Settings of an export: where the processes are to run, from which image, how many, and how requests reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from tcbox.config.section import section
from tcbox.config.values import Count, Form, Port, Version

Label = Annotated[str, Form(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "a name of small letters, digits and dashes")]
Prefix = Annotated[str, Form(r"[a-z]([-a-z0-9]{0,11}[a-z0-9])?", "a name of at most 13 small letters, digits and dashes")]
Name = Annotated[str, Form(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", "a name of small letters, digits, dashes and dots")]
Image = Annotated[str, Form(r"[a-z0-9][a-z0-9._:/-]*", "an image without its tag, such as registry.example.com/tcbox")]
Cpu = Annotated[str, Form(r"[0-9]+m|[0-9]+(\.[0-9]+)?", "processors such as 250m or 1.5")]
Memory = Annotated[str, Form(r"[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?", "bytes such as 256Mi")]


@section
class Sizes:
    """How many processes of a service there are, and what each one gets."""

    replicas: Count = 2
    """How many answer requests at least. Default: 2, so that one may fail, or make room for a new one."""

    most_replicas: Count = 10
    """How many answer requests at most, as the load grows. Default: 10. Each holds up to `pool` connections to the
    database, 10 unless its URL says otherwise."""

    loops_replicas: Count = 2
    """How many run the loops, where these run apart from the API. Default: 2, so that one may fail."""

    cpu: Cpu = "100m"
    """Processors that each is sure to get. Default: 100m, a tenth of one. It may use more where there is more."""

    memory: Memory = "192Mi"
    """Memory that each is sure to get. Default: 192Mi."""

    memory_limit: Memory = "512Mi"
    """Memory above which it is ended and started anew. Default: 512Mi."""

    account: Mapping[str, str] = field(default_factory=dict)
    """Annotations of its service account, such as that of the cloud's role that may use the bucket. Default: none."""


@section
class Ingress:
    """An Ingress through which requests come."""

    class_name: Name = ""
    """The ingress class, such as nginx. Default: none, and no Ingress is made."""

    tls_secret: Name = ""
    """The Secret with the certificate. Default: none, and the controller's own certificate counts."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations for the controller. Default: none. It must let an answer take 60 seconds, since workers wait for tasks."""


@section
class Gateway:
    """A Gateway through which requests come, to which an HTTPRoute is attached."""

    name: Name = ""
    """The Gateway. Default: none, and no HTTPRoute is made."""

    namespace: Label = ""
    """Its namespace. Default: that of the export."""

    listener: Name = ""
    """The listener of it that is meant. Default: each whose host fits."""


@section
class SecretStore:
    """A store of the External Secrets operator, from which the Secrets are made in the cluster."""

    name: Name = ""
    """The store. Default: none, and the Secrets are to be there: `tcbox export --secrets` makes them."""

    kind: Literal["ClusterSecretStore", "SecretStore"] = "ClusterSecretStore"
    """Of which kind it is. Default: ClusterSecretStore."""

    path: str = "tcbox/"
    """With what the names of the store's entries begin, before the name of the variable or file. Default: `tcbox/`."""

    refresh_minutes: Count = 60
    """Minutes after which a secret is read again. Default: 60. A running process goes on with what it started with."""


@section
class Network:
    """Who may call the processes, and whom they may call."""

    sources: tuple[Label, ...] = ()
    """Namespaces from which requests may come, such as the ingress controller's and Prometheus's. Default: all."""

    ports: tuple[Port, ...] = ()
    """Further ports to which connections may be made, beside those that the settings name. Default: none."""


@section
class Compose:
    """What beside the services runs on the one host of a Compose file."""

    postgres: bool = False
    """Whether PostgreSQL runs there; `database` then names the host postgres. Default: false, it is elsewhere."""

    rabbitmq: bool = False
    """Whether RabbitMQ runs there; `events` then names the host rabbitmq. Default: false, it is elsewhere."""

    s3: bool = False
    """Whether an S3 server runs there, at the port of `blobs.endpoint`. Default: false, the bucket is elsewhere."""

    port: Port = 80
    """The port at which the host takes requests for `root_url`. Default: 80. A proxy before it may add TLS."""


@section
class Export:
    """What `tcbox export` adds to the settings. It has no effect on `tcbox up`."""

    name: Prefix = "tcbox"
    """With what the names of all that is made begin. Default: tcbox."""

    image: Image = ""
    """The image that all processes run from, without its tag, which is the release. Needed, but for Helm values."""

    version: Version = ""
    """The release of the services that say none of their own. Default: that of the tcbox that exports."""

    namespace: Label = "taskcluster"
    """The namespace on Kubernetes. Default: taskcluster."""

    create_namespace: bool = True
    """Whether the tree makes the namespace. Default: true; false where somebody else makes it."""

    pull_secrets: tuple[Name, ...] = ()
    """Secrets with which the image is fetched. Default: none."""

    service_monitors: bool = False
    """Whether Prometheus's operator is told to scrape the processes. Default: false. It must be there, or the tree is refused."""

    ingress: Ingress = field(default_factory=Ingress)
    """An Ingress through which requests come."""

    gateway: Gateway = field(default_factory=Gateway)
    """A Gateway through which requests come."""

    secret_store: SecretStore = field(default_factory=SecretStore)
    """Where the Secrets come from."""

    network: Network = field(default_factory=Network)
    """Who may call whom."""

    services: Mapping[str, Sizes] = field(default_factory=dict)
    """How many processes there are, and what each gets, by the service, such as `queue` or `worker_manager`. Default: as
    below for all."""

    compose: Compose = field(default_factory=Compose)
    """What beside the services runs on one host."""
