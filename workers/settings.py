"""What a worker is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tcbox.workers.host.resources import Limits

Kind = Literal["builtin", "docker", "host"]


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """One worker: a kind, the task queues that it serves, and its limits."""

    kind: Kind
    """What runs the tasks: "docker" (containers), "host" (processes of this machine) or "builtin"."""

    task_queue_id: str = "local/host"
    """The task queue that is always served; a builtin worker serves built-in/succeed and built-in/fail instead."""

    worker_group: str = "local"
    """As the queue records it with each run; at most 38 letters, digits, dashes and underscores."""

    worker_id: str = "worker"
    """This worker's name within its group; same form. Two workers at once must not share one."""

    folder: Path
    """Where task folders, logs and caches are kept; no other worker may use it at the same time."""

    instance: str = "tcbox"
    """Value of the label `tcbox.instance` on containers, networks and volumes; only those are ever removed."""

    capacity: int = 1
    """How many tasks run at once."""

    serve: tuple[str, ...] = ()
    """Further task queues, as names or patterns with `*`, such as "proj-*/b-linux". With any, the worker asks every
    0.4 to 2 seconds which queues have pending tasks, instead of waiting within a claim."""

    grace_ms: int = 5_000
    """How long running tasks may go on when the worker is asked to stop, in ms; then they end as worker-shutdown."""

    max_run_time_s: int = 7 * 24 * 3600
    """Longest maxRunTime that a payload may ask for, in seconds; more is malformed."""

    watch_ms: int = 3_000
    """How often the queue is asked whether a running task was cancelled or passed its deadline, in ms."""

    live_log_host: str = "127.0.0.1"
    """Address that live logs are served at while tasks run."""

    live_log_port: int = 0
    """Port of live logs; 0 takes any free one."""

    live_log_url: str | None = None
    """Base of the URLs of live logs when they are reached by another address than the one served at."""

    docker_url: str = "unix:///var/run/docker.sock"
    """Where the Docker engine listens: a `unix://` or `tcp://` address."""

    keep_caches: bool = True
    """Whether caches in Docker volumes, and images, outlive the worker; False for instances that leave nothing behind."""

    d2g: bool = True
    """Whether the host worker runs docker-worker payloads too, by `docker run`, where a Docker engine answers."""

    memory: Limits = field(default_factory=Limits)
    """When the host worker ends a task with the resource monitor, so that the machine does not run out of memory."""

    privileged: bool = False
    """Whether tasks may have privileged containers, given the scope: such a task can do anything to the engine's machine."""

    dind_image: str = ""
    """Image with `dockerd`, such as `docker:28-dind`: a task with the feature dind, given the scope, has a Docker engine of
    its own in a privileged container of it, and can do anything to the engine's machine. Without a name there is no such feature."""

    memory_mb: int = 0
    """Most memory of one container, in MB; 0 for nine tenths of the engine's machine."""

    processes: int = 4096
    """Most processes and threads of one container; 0 for no limit."""

    cpus: float = 0
    """Most processors of one container; 0 for all."""

    free_disk_mb: int = 2_000
    """While less is free where tasks' files or the engine's lie, in MB, no task is claimed; images and caches go first."""

    images_mb: int = 40_000
    """How much the images that the worker brought in may take between tasks, in MB; those used longest ago go first."""

    trusted_keys: tuple[str, ...] = ()
    """Public ed25519 keys in base64. With any, a task with chainOfTrust is only run in an image of a task whose own
    certificate is signed by one of them, or by this worker."""

    session_ms: int = 180_000
    """How long a task with the feature interactive lasts at least, in ms, within its maxRunTime."""

    session_after_ms: int = 900_000
    """How long such a task waits for another shell after one was closed, in ms, within its maxRunTime."""

    root_url: str | None = None
    """TASKCLUSTER_ROOT_URL for tasks, when they reach the instance by another address than the worker calls it at."""

    location: str | None = None
    """TASKCLUSTER_WORKER_LOCATION for tasks: a JSON object as text; unset when None."""

    instance_type: str | None = None
    """TASKCLUSTER_INSTANCE_TYPE for tasks; unset when None."""

    @property
    def task_queues(self) -> tuple[str, ...]:
        """The task queues that are always served."""
        return ("built-in/succeed", "built-in/fail") if self.kind == "builtin" else (self.task_queue_id,)
