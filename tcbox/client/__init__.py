"""Call a service's methods: in this process, or over HTTP. One interface for both."""

from tcbox.client.caller import Caller, LimitableCaller

__all__ = ["Caller", "LimitableCaller"]
