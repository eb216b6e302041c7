"""Metrics in Prometheus' text format."""

import pytest

from tcbox.runtime import Registry


def test_metrics_are_rendered_as_prometheus_reads_them():
    """Counters, gauges and computed numbers stand with help, type and labels, whose values are escaped."""
    registry = Registry()
    calls = registry.counter("calls_total", "Calls\nanswered.", ("service", "method"))
    calls.inc("queue", 'a"b\\c\n')
    calls.inc("queue", 'a"b\\c\n', by=2)
    registry.gauge("open", "Open connections.").set(1.5)
    registry.computed("up", "Whether it runs.", ("service",), lambda: [(("auth",), 1)])
    assert registry.render() == (
        "# HELP calls_total Calls\\nanswered.\n# TYPE calls_total counter\n"
        'calls_total{service="queue",method="a\\"b\\\\c\\n"} 3\n'
        "# HELP open Open connections.\n# TYPE open gauge\nopen 1.5\n"
        '# HELP up Whether it runs.\n# TYPE up gauge\nup{service="auth"} 1\n'
    )


def test_histograms_count_up_to_each_bound():
    """A value on a bound counts within it; counts grow towards +Inf, which has them all."""
    registry = Registry()
    times = registry.histogram("t_seconds", "Times.", ("m",), buckets=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7):
        times.observe(value, "x")
    assert [line for line in registry.render().splitlines() if not line.startswith("#")] == [
        't_seconds_bucket{m="x",le="0.1"} 2',
        't_seconds_bucket{m="x",le="1"} 3',
        't_seconds_bucket{m="x",le="+Inf"} 4',
        't_seconds_sum{m="x"} 7.65',
        't_seconds_count{m="x"} 4',
    ]
    assert times.count("x") == 4


def test_a_metric_is_one_for_all_who_ask():
    """Asking twice gives the same counter; asking for another kind under its name is refused."""
    registry = Registry()
    assert registry.counter("a_total", "A.") is registry.counter("a_total", "A.")
    with pytest.raises(ValueError, match="another kind"):
        registry.histogram("a_total", "A.")
