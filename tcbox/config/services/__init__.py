"""The services that an instance has, each with its settings."""

from __future__ import annotations

from dataclasses import field

from tcbox.config.section import section
from tcbox.config.services.auth import Auth
from tcbox.config.services.github import Github
from tcbox.config.services.hooks import Hooks
from tcbox.config.services.index import Index
from tcbox.config.services.notify import Notify
from tcbox.config.services.object import Object
from tcbox.config.services.purge_cache import PurgeCache
from tcbox.config.services.queue import Queue
from tcbox.config.services.secrets import Secrets
from tcbox.config.services.web_server import WebServer
from tcbox.config.services.worker_manager import WorkerManager


@section
class Services:
    """The services."""

    auth: Auth = field(default_factory=Auth)
    """Clients, roles, and credentials for other places."""

    queue: Queue = field(default_factory=Queue)
    """Tasks, their states, and who works on them."""

    secrets: Secrets = field(default_factory=Secrets)
    """Small documents for those who may read them."""

    object: Object = field(default_factory=Object)
    """Stored objects."""

    index: Index = field(default_factory=Index)
    """The index of tasks by name."""

    hooks: Hooks = field(default_factory=Hooks)
    """Tasks that are created by schedule, by trigger and by event."""

    notify: Notify = field(default_factory=Notify)
    """Mail and messages about tasks."""

    purge_cache: PurgeCache = field(default_factory=PurgeCache)
    """Requests to workers to purge a cache."""

    worker_manager: WorkerManager = field(default_factory=WorkerManager)
    """Worker pools, and the workers in them."""

    github: Github = field(default_factory=Github)
    """Tasks for pushes, pull requests and releases on GitHub."""

    web_server: WebServer = field(default_factory=WebServer)
    """Sign-in with a browser, and profiles of tasks."""
