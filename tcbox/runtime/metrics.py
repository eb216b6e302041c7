"""Counts and times for Prometheus, in its text exposition format 0.0.4; changed only on the event loop's thread.

Own and small, for the usual client library takes longer to import than an instance may take to start.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Protocol, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets that suit answers to requests."""

Sample = tuple[Sequence[str], float]
"""Values of the labels, and the number."""


class Metric(Protocol):
    """What a registry shows: a name, and its lines."""

    name: str

    def lines(self) -> Iterator[str]:
        """Its help, its type and its samples."""
        ...


M = TypeVar("M", bound=Metric)


class Counter:
    """A number for each combination of labels' values that only grows.

    Args:
        name: ends with `_total` by custom.
        labels: names of its labels, in the order in which values are given.
    """

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self._text = text
        self._labels = tuple(labels)
        self._values: dict[tuple[str, ...], float] = {}

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add to it."""
        self._values[labels] = self._values.get(labels, 0) + by

    def value(self, *labels: str) -> float:
        """What it is now; 0 when it was never touched."""
        return self._values.get(labels, 0)

    def lines(self) -> Iterator[str]:
        """Its help, its type and its samples."""
        yield from _head(self.name, self._text, self.kind)
        for labels, value in list(self._values.items()):
            yield f"{self.name}{_braces(self._labels, labels)} {_number(value)}"


class Gauge(Counter):
    """A number for each combination of labels' values that goes up and down."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        """Make it a number."""
        self._values[labels] = value

    def dec(self, *labels: str, by: float = 1) -> None:
        """Take from it."""
        self.inc(*labels, by=-by)


class Histogram:
    """How often a measured value was within each of some bounds.

    Args:
        buckets: upper bounds, growing; values above the last share one more.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS) -> None:
        self.name = name
        self._text = text
        self._labels = tuple(labels)
        self._buckets = tuple(buckets)
        self._series: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one measured value."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = ([0] * (len(self._buckets) + 1), [0.0])
        series[0][bisect.bisect_left(self._buckets, value)] += 1
        series[1][0] += value

    def count(self, *labels: str) -> int:
        """How many values it has seen."""
        return sum(self._series[labels][0]) if labels in self._series else 0

    def lines(self) -> Iterator[str]:
        """Its help, its type and its samples, the counts being those up to each bound."""
        yield from _head(self.name, self._text, "histogram")
        names = (*self._labels, "le")
        for labels, (counts, total) in list(self._series.items()):
            running = 0
            for bound, count in zip((*self._buckets, inf), counts, strict=True):
                running += count
                yield f"{self.name}_bucket{_braces(names, (*labels, _number(bound)))} {running}"
            yield f"{self.name}_sum{_braces(self._labels, labels)} {_number(total[0])}"
            yield f"{self.name}_count{_braces(self._labels, labels)} {running}"


class Computed:
    """Numbers that are found out only when somebody asks, so that they cost nothing meanwhile.

    Args:
        kind: "gauge" or "counter".
        samples: gives pairs of labels' values and a number.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str], samples: Callable[[], Iterable[Sample]], kind: str = "gauge") -> None:
        self.name = name
        self._text = text
        self._labels = tuple(labels)
        self._samples = samples
        self._kind = kind

    def lines(self) -> Iterator[str]:
        """Its help, its type and its samples."""
        yield from _head(self.name, self._text, self._kind)
        for labels, value in self._samples():
            yield f"{self.name}{_braces(self._labels, labels)} {_number(value)}"


class Registry:
    """All metrics of an instance; asking for one of a name that is there gives that one."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A counter."""
        return self._add(Counter(name, text, labels))

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge."""
        return self._add(Gauge(name, text, labels))

    def histogram(self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS) -> Histogram:
        """A histogram."""
        return self._add(Histogram(name, text, labels, buckets))

    def computed(self, name: str, text: str, labels: Sequence[str], samples: Callable[[], Iterable[Sample]], kind: str = "gauge") -> None:
        """Numbers found out when asked for; replaces those of the same name, as a restarted part gives new ones."""
        self._metrics[name] = Computed(name, text, labels, samples, kind)

    def render(self) -> str:
        """All metrics as text, to be sent as CONTENT_TYPE."""
        return "\n".join(line for metric in list(self._metrics.values()) for line in metric.lines()) + "\n"

    def _add(self, metric: M) -> M:
        there = self._metrics.setdefault(metric.name, metric)
        if type(there) is not type(metric):
            raise ValueError(f"the metric {metric.name} is there as another kind: give one of them another name")
        return there


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _braces(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
