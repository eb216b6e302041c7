"""Methods declared once: routing, validation, scope checks, references and clients all derive from the declaration."""

from tcbox.api.call import Call, Encoded, Redirect, Reply
from tcbox.api.declare import Api, Method

__all__ = ["Api", "Call", "Encoded", "Method", "Redirect", "Reply"]
