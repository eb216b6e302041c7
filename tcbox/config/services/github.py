"""Settings of the github service."""

from __future__ import annotations

from tcbox.config.section import section
from tcbox.config.values import Version


@section
class Github:
    """Tasks for pushes, pull requests and releases on GitHub."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""
