"""Settings of the worker manager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from tcbox.config.section import section
from tcbox.config.values import Count, Secret, Version


@section
class WorkerManager:
    """Worker pools, and the workers in them."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""

    error_retention_days: Count = 7
    """Days for which errors of worker pools are kept. Default: 7. Their statistics show seven days at most."""


@section
class Provider:
    """One provider of machines for worker pools, under the `providerId` that pools name."""

    type: Literal["static", "null", "aws", "azure", "google"]
    """What it is: `static` for machines that somebody else looks after, or a cloud: `aws`, `azure`, `google`. The pools of
    a cloud are kept and checked, but this version launches no machines for them. `"null"`, in quotes, is for
    `null-provider` alone, which exists by default, as `static` does."""

    credentials: Mapping[str, Secret] = field(default_factory=dict)
    """With what a cloud is called, by the names that it has for them, such as `accessKeyId` and `secretAccessKey`; give
    them by reference. Default: none, and nothing is provisioned."""
