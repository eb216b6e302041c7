"""The forms of what flags and the environment give, as the configuration has them."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from tcbox import errors
from tcbox.config.values import Form, Range

Name = Annotated[str, Form(r"[a-zA-Z0-9_-]{1,38}", "at most 38 letters, digits, dashes and underscores")]
"""A worker's id or group."""


def check(where: str, value: Any, kind: Any, *, secret: bool = False) -> None:
    """Raise WrongUsage unless a value has the form of a kind.

    Args:
        where: the flag or variable that gave it.
        kind: an annotated type such as those of `tcbox.config.values`.
        secret: whether the message must not show the value.
    """
    form = next(each for each in get_args(kind)[1:] if isinstance(each, Form | Range))
    if not form.fits(value):
        words = f"a number {form}" if isinstance(form, Range) else str(form)
        raise errors.WrongUsage(f"{where}: expected {words}, found {'something else' if secret else repr(value)}")
