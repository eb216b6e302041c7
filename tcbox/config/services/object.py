"""Settings of the object service."""

from __future__ import annotations

from tcbox.config.section import section
from tcbox.config.values import Version


@section
class Object:
    """Stored objects, uploaded and downloaded by published methods."""

    enabled: bool = True
    """Whether the service runs. Default: true."""

    version: Version = ""
    """The release of this service in an export. Default: the one that exports. Has no effect within one process."""
