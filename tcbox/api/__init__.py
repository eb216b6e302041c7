"""Methods declared once: routing, validation, scope checks, references and clients all derive from the declaration."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tcbox.api.call import Call, Encoded, Redirect, Reply
    from tcbox.api.declare import Api, Method

__all__ = ["Api", "Call", "Encoded", "Method", "Redirect", "Reply"]
_IN = {"Api": "declare", "Method": "declare", "Call": "call", "Encoded": "call", "Redirect": "call", "Reply": "call"}


def __getattr__(name: str) -> Any:
    """The modules below are imported when they are needed: processes apart need but a small one."""
    if name not in _IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_IN[name]}"), name)
