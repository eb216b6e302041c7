"""From the setting `blobs` to the place that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tcbox import clock as clocks
from tcbox import errors
from tcbox.blobs.interface import Blobs
from tcbox.blobs.signing import Signer

if TYPE_CHECKING:
    from tcbox.config.settings import Blobs as Settings

_OPTIONS = ("access_key_id", "endpoint", "region", "secret_access_key")


def configured(chosen: Settings, default: str) -> str:
    """The URL of the place that settings name, options and all; a default when they name none."""
    url = str(chosen.url) or default
    options = {name: str(value) for name in _OPTIONS if (value := getattr(chosen, name))}
    if options and url.startswith("s3:"):
        url += ("&" if "?" in url else "?") + urlencode(options)
    return url


def connect(url: str, *, root_url: str, signer: Signer, clock: clocks.Clock) -> Blobs:
    """The place at a URL, not yet started.

    `file:///absolute/folder`, or `s3://bucket/prefix` with the options `endpoint` (for a server other than Amazon's),
    `region`, `access_key_id` and `secret_access_key` (those of the environment, or of the machine, otherwise).
    Raises TcboxError when it has another form.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        from tcbox.blobs.local import LocalBlobs

        return LocalBlobs(Path(unquote(parts.path)), root_url=root_url, signer=signer, clock=clock)
    if parts.scheme == "s3" and parts.netloc:
        from tcbox.blobs.s3 import S3Blobs

        options = dict(parse_qsl(parts.query))
        unknown = sorted(options.keys() - set(_OPTIONS))
        if unknown:
            raise errors.TcboxError(f"blobs: s3://{parts.netloc} has the unknown option {unknown[0]}: known are {', '.join(_OPTIONS)}")
        return S3Blobs(parts.netloc, prefix=unquote(parts.path.strip("/")), clock=clock, **options)
    raise errors.TcboxError(f"blobs: {parts._replace(query='').geturl()!r} has no form that is known here: write file:///path/to/folder or s3://bucket/prefix")
