"""What every profile is made of: one thread whose markers lie on the time line.

Source: the processed profile format of the Firefox Profiler, version 47, and the published profiles of Taskcluster.
"""

from __future__ import annotations

from typing import Any

_SHOWN = ["marker-chart", "marker-table", "timeline-overview"]


class Strings:
    """The texts of a thread, each once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """By which number a text goes."""
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self._numbers)


def marker_schema(name: str, label: str, *fields: tuple[str, str, str]) -> dict[str, Any]:
    """How markers of a type are shown: what stands on them, and their fields as key, label and format."""
    text = f"{{marker.data.{label}}}"
    data = [{"key": key, "label": shown, "format": form, **({"searchable": True} if key == label else {})} for key, shown, form in fields]
    return {"name": name, "tooltipLabel": text, "tableLabel": text, "chartLabel": text, "display": _SHOWN, "data": data}


def categories(**colours: str) -> list[dict[str, Any]]:
    """Categories by name, each with its colour; `_` in a name stands for a space."""
    return [{"name": name.replace("_", " "), "color": colour, "subcategories": ["Other"]} for name, colour in colours.items()]


def thread(name: str, markers: dict[str, Any], strings: Strings, *, begins: float = 0, ends: float | None = None) -> dict[str, Any]:
    """A thread with nothing but markers, given as columns."""
    return {
        "processType": "default", "processName": "Taskcluster", "processStartupTime": 0, "processShutdownTime": None,
        "registerTime": begins, "unregisterTime": ends, "pausedRanges": [], "name": name, "isMainThread": True,
        "showMarkersInTimeline": True, "pid": 0, "tid": 0,
        "samples": {"weightType": "samples", "weight": None, "stack": [], "time": [], "length": 0},
        "markers": markers,
        "stackTable": {"frame": [0], "prefix": [None], "category": [0], "subcategory": [0], "length": 1},
        "frameTable": {
            "address": [-1], "inlineDepth": [0], "category": [None], "subcategory": [0], "func": [0], "nativeSymbol": [None],
            "innerWindowID": [0], "implementation": [None], "line": [None], "column": [None], "length": 1,
        },
        "funcTable": {
            "isJS": [False], "relevantForJS": [False], "name": [0], "resource": [-1], "fileName": [None], "lineNumber": [None],
            "columnNumber": [None], "length": 1,
        },
        "resourceTable": {"lib": [], "name": [], "host": [], "type": [], "length": 0},
        "nativeSymbols": {"libIndex": [], "address": [], "name": [], "functionSize": [], "length": 0},
        "stringArray": strings.all() or [""],
    }  # fmt: skip


def profile(product: str, start: float, thread: dict[str, Any], schemas: list[dict[str, Any]], kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """A profile of one thread.

    Args:
        product: its title.
        start: when it begins, in ms since the epoch; all other times count from there.
    """
    meta = {
        "interval": 1, "startTime": start, "processType": 0, "product": product, "stackwalk": 0, "version": 27,
        "preprocessedProfileVersion": 47, "physicalCPUs": 0, "logicalCPUs": 0, "symbolicationNotSupported": True,
        "usesOnlyOneStackType": True, "markerSchema": schemas, "categories": kinds,
    }  # fmt: skip
    return {"meta": meta, "libs": [], "threads": [thread], "counters": []}
