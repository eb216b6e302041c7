"""The composition root: the one place that knows every part and puts them together."""

from tcbox.box.instance import Box

__all__ = ["Box"]
