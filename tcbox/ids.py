"""Identifiers: slugids for tasks and groups of them, access tokens for clients."""

from __future__ import annotations

import base64
import os
import re
import secrets

SLUGID = re.compile(r"[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]")


def slugid() -> str:
    """A new 22-character slugid that does not start with a dash: a version 4 UUID in URL-safe base64."""
    raw = bytearray(os.urandom(16))
    raw[0] &= 0x7F
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    return base64.urlsafe_b64encode(raw)[:22].decode()


def is_slugid(text: str) -> bool:
    """Whether the text has the form of a slugid."""
    return SLUGID.fullmatch(text) is not None


def access_token() -> str:
    """A new access token: 44 characters of 264 random bits."""
    return secrets.token_urlsafe(33)
