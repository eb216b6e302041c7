"""The service's statements and migrations, and how what is secret stands in the database: as its SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from tcbox import db

sql = db.load(Path(__file__).parent / "sql", "web_server")
migrations = db.migrations(Path(__file__).parent / "sql" / "migrations", "web-server")


def token() -> str:
    """A new secret: 256 random bits, as text."""
    return secrets.token_urlsafe(32)


def digest(text: str) -> str:
    """What is stored of a secret that need not be known again, only recognised."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
