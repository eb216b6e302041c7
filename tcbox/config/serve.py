"""Settings of services that run as processes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from tcbox.config.section import section
from tcbox.config.values import HttpUrl, Seconds, Secret, Silence

_NO_SECRET = Secret()


@section
class Serve:
    """Services as processes of their own, by `tcbox serve`. It has no effect on `tcbox up`."""

    services_url: HttpUrl = ""
    """The URL below which a service reaches the others, within the network. Default: `root_url`, from outside as everybody."""

    urls: Mapping[str, HttpUrl] = field(default_factory=dict)
    """The URLs at which single services are reached, by their names as in URLs, such as `queue` or `worker-manager`. Default:
    `services_url` for all. `tcbox export` says there where they are in the cluster, unless `services_url` is given."""

    access_token: Secret = _NO_SECRET
    """The access token of the one service that the process serves, in the place of `instance_key`, from which it derives;
    give it by reference. Default: the variable TASKCLUSTER_ACCESS_TOKEN, and without that `instance_key`."""

    notice_seconds: Seconds = 3.0
    """Seconds for which a process that was asked to end still takes requests, while it says that it is not ready any more, so
    that whoever leads requests to it stops doing so. Default: 3."""

    lost_after_seconds: Silence = 10.0
    """Seconds without a sign of life from the host at the other end after which a process, and the front door, take a connection
    to another process for lost. A host that is only slow gives signs of life. From 4 to 3600; default: 10."""

    replicas: Mapping[str, tuple[HttpUrl, ...]] = field(default_factory=dict)
    """The processes to which `tcbox serve front` leads requests, a list of URLs for each service by its name as in URLs.
    Default: none."""
