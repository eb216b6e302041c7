"""Every setting: its type, and below it its unit, default and consequence.

The reference page and the JSON schema are made from these classes and the docstrings under their attributes; a text
or number that is left out has its default here, and an empty text stands for what the docstring calls the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tcbox.config import places
from tcbox.config.export import Export
from tcbox.config.section import section
from tcbox.config.serve import Serve
from tcbox.config.services import Services
from tcbox.config.services.worker_manager import Provider
from tcbox.config.values import (
    AccessToken,
    Address,
    Amount,
    BlobsUrl,
    Count,
    DatabaseUrl,
    EventsUrl,
    HttpUrl,
    Port,
    Processors,
    PublicKey,
    RootUrl,
    Seconds,
    Secret,
    Source,
    TaskQueue,
    TaskQueues,
    Url,
)

_NO_SECRET = Secret()
_NO_URL = Url()
_NO_SOURCE = Source()


def _default_data() -> Path:
    return places.default_data(os.environ)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was said.

    Attributes:
        place: `tcbox.yml:12:5`, `--port`; with `, from env NAME` where it refers to something else; empty for a default.
    """

    place: str = ""

    def __str__(self) -> str:
        return self.place or "default"


@section
class Log:
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are kept. Default: info. `debug` logs every call, and costs speed."""

    format: Literal["lines", "json"] = "lines"
    """How messages look on standard error: `lines` for people, `json` for machines, an object a line. Default: lines.
    The file in the data folder has JSON in any case."""


@section
class Blobs:
    """Where the bytes of artifacts and objects are kept. A plain URL may stand instead of the keys."""

    shorthand = "url"

    url: BlobsUrl = _NO_URL
    """`s3://bucket/prefix`, or `file:///folder`. Default: `blobs/` in the data folder. What was stored elsewhere before
    a change stays there, and is not found until `tcbox blobs copy` brings it."""

    endpoint: HttpUrl = ""
    """URL of an S3 server other than Amazon's. Default: Amazon's. Clients must be able to reach it too."""

    region: str = ""
    """The bucket's region, for S3. Default: what the environment or the machine says."""

    access_key_id: str = ""
    """Whose access it is, for S3. Default: the environment's or the machine's own credentials."""

    secret_access_key: Secret = _NO_SECRET
    """What belongs to `access_key_id`; give it by reference. Default: none."""

    shared: bool = False
    """Whether a `file:` folder is the same one for all processes of `tcbox serve`, as on a network file system. Default: false,
    and they refuse it."""


@section
class Docker:
    """The worker inside that runs tasks in containers."""

    enabled: bool = True
    """Whether it runs, provided that a Docker engine answers. Default: true."""

    queue: TaskQueue = "local/docker"
    """The task queue that it serves. Default: local/docker."""

    capacity: Count = 2
    """How many tasks run at once. Default: 2."""

    serve: tuple[TaskQueues, ...] = ()
    """Further task queues, as names or patterns with `*`, such as `proj-*/b-linux`. Default: none. With any, the worker
    looks twice a second which queues have pending tasks."""

    url: str = "unix:///var/run/docker.sock"
    """Where the Docker engine listens, as a `unix://` or `tcp://` address. Default: unix:///var/run/docker.sock."""

    privileged: bool = False
    """Whether tasks with the scope may have privileged containers. Default: false. Such a task can do anything to the
    machine on which the engine runs."""

    dind_image: str = ""
    """Image of the Docker engine that tasks with the feature `dind` and its scope have beside them, such as
    `docker:28-dind`. Default: none, and such tasks are refused. The engine's container is privileged, whatever
    `privileged` says: such a task can do anything to the machine on which the engine runs."""

    memory_mb: Amount = 0
    """Most memory of one container, in MB. Default: 0, nine tenths of the engine's machine. A task that wants more fails."""

    processes: Amount = 4096
    """Most processes and threads of one container; 0 for no limit. Default: 4096."""

    cpus: Processors = 0.0
    """Most processors of one container, such as 1.5; 0 for all of them. Default: 0."""

    free_disk_mb: Amount = 2000
    """How much must be free where tasks' files and the engine's lie, in MB. Default: 2000. While less is, images and
    caches that no task uses are removed, and no task is claimed."""

    images_mb: Amount = 40000
    """How much the images that the worker brought into the engine may take between tasks, in MB. Default: 40000. Those
    used longest ago are removed; images that were there before never are."""

    trusted_keys: tuple[PublicKey, ...] = ()
    """Public ed25519 keys, in base64. Default: none. With any, tasks with `chainOfTrust` run only in images whose own
    chain of trust is signed by one of them, or by this worker."""


@section
class Host:
    """The worker inside that runs tasks as processes of this machine. It gives no isolation."""

    enabled: bool = True
    """Whether it runs. Default: true. Whoever may create tasks for it may do what the user may under whom tcbox runs."""

    queue: TaskQueue = "local/host"
    """The task queue that it serves. Default: local/host."""

    capacity: Count = 2
    """How many tasks run at once. Default: 2."""

    serve: tuple[TaskQueues, ...] = ()
    """Further task queues, as names or patterns with `*`. Default: none."""

    d2g: bool = True
    """Whether it runs docker-worker payloads too, each by `docker run` on the engine of `workers.docker.url`, where one
    answers and the `docker` command is there. Default: true. Without, such a task is malformed on its queues."""

    free_disk_mb: Count = 2_000
    """While less is free where its tasks' files lie, in MB, it claims no task; downloads and caches go first. Default: 2000."""

    most_memory_percent: Count = 90
    """A task whose payload has the resource monitor, as it has by default, fails when more than this part of the machine's
    memory has been in use for 5 seconds and less than 500 MiB were left. Default: 90. With 100 none fails for that."""


@section
class Builtin:
    """The worker inside for built-in/succeed and built-in/fail."""

    enabled: bool = True
    """Whether it runs. Default: true. Without it, tasks for these queues wait until their deadline."""


@section
class Workers:
    """The workers inside."""

    docker: Docker = field(default_factory=Docker)
    """Runs tasks in containers."""

    host: Host = field(default_factory=Host)
    """Runs tasks as processes of this machine."""

    builtin: Builtin = field(default_factory=Builtin)
    """For built-in/succeed and built-in/fail."""

    grace_seconds: Seconds = 5.0
    """Seconds that running tasks have to end when the instance stops. Default: 5. Those that have not ended then are
    resolved as worker-shutdown, and run again later."""


@section
class Shutdown:
    """How the instance ends."""

    drain_seconds: Seconds = 10.0
    """Seconds that requests under way, and each part that closes, have to finish. Default: 10. What takes longer is cut
    off."""


@section
class Settings:
    """Everything that can be set. Every key is optional."""

    root_url: RootUrl = ""
    """The URL by which clients reach the instance, without a path. Default: `http://localhost:<port>`. It stands in
    links, and workers and tasks call it."""

    host: Address = "127.0.0.1"
    """The address to listen on. Default: 127.0.0.1, this machine alone; with 0.0.0.0 others can reach the instance, whose
    host worker then runs what anybody with the right scopes sends."""

    port: Port = 8090
    """The port to listen on, 0 to 65535; 0 takes any free one. Default: 8090."""

    data: Path = field(default_factory=_default_data)
    """The folder that keeps the instance's state, relative to this file. Default: `$XDG_DATA_HOME/tcbox/default`, or
    `~/.local/share/tcbox/default`. With another folder it is another instance."""

    seed: Source = _NO_SOURCE
    """What a new instance begins with: a file that `tcbox state export` wrote, relative to this file, or the root URL of another
    instance, which is read when this one first starts. Default: nothing of another. It is put in once; hooks' schedules and
    worker pools' minimum capacities stay off. Has no effect in processes of `tcbox serve`."""

    database: DatabaseUrl = _NO_URL
    """`postgresql://user:password@host/name`, or `sqlite:///path/to/tcbox.db`; give the password by reference. Default:
    SQLite in the data folder."""

    events: EventsUrl = Url("local")
    """`amqp://user:password@host:port/vhost`, or `amqps://`: a RabbitMQ server to which events are published too, as Pulse
    messages, and where hooks can be bound to exchanges of other systems; give the password by reference. Default: local,
    within the process and at `/events` alone."""

    blobs: Blobs = field(default_factory=Blobs)
    """Where the bytes of artifacts and objects are kept."""

    log: Log = field(default_factory=Log)
    """What is logged, and how."""

    instance_key: Secret = _NO_SECRET
    """The key from which the services' own tokens derive: 32 bytes in base64; give it by reference. Default: `keys/instance.key`
    in the data folder, made on the first start. Processes of `tcbox serve` need it."""

    root_access_token: AccessToken = _NO_SECRET
    """The access token of the owner's client, `static/taskcluster/root`; give it by reference. Default: that in
    `root-client.json` in the data folder, made on the first start. Processes of `tcbox serve` need it."""

    services: Services = field(default_factory=Services)
    """The services."""

    workers: Workers = field(default_factory=Workers)
    """The workers inside."""

    providers: Mapping[str, Provider] = field(default_factory=dict)
    """Providers of machines for worker pools, by the `providerId` that pools name. Default: `static` and `null-provider`,
    which exist in any case."""

    shutdown: Shutdown = field(default_factory=Shutdown)
    """How the instance ends."""

    serve: Serve = field(default_factory=Serve)
    """Services as processes of their own."""

    export: Export = field(default_factory=Export)
    """What an export adds."""

    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False, compare=False, metadata={"key": False})
    """Where each value that is no default was said, by the path of its key."""
