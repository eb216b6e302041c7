"""The fenced parts of documentation pages, so that tests run what readers copy."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def fences(page: str, language: str) -> list[str]:
    """All parts of a page in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def fence(page: str, language: str, containing: str) -> str:
    """The one part of a page in a language that has these words."""
    found = [part for part in fences(page, language) if containing in part]
    assert len(found) == 1, f"{page} has {len(found)} parts in {language} with {containing!r}"
    return found[0]
