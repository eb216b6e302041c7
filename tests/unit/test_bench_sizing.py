"""What many tasks a day need, as the page on performance works it out."""

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "build" / "bench" / "sizing.py"


@pytest.fixture
def sizing(monkeypatch):
    """The bench's module, which is of no package."""
    spec = importlib.util.spec_from_file_location("bench_sizing", HERE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_what_tasks_need_at_the_busiest_time(sizing):
    """8,640,000 tasks are 100 a second and 400 at the busiest time; 7 ms of a core each are four pods at 70 %, and the least is two."""
    cpu = {"queue": 7000, "auth": 100, "web-server": 500, "postgres": 5000, "rabbitmq": 1000}
    task = sizing.Task(cpu=cpu, wal=1000, tables=200, events=100, syncs=0.5, commits=8, statements=30, messages=4)
    found = sizing.need(8_640_000, task, services=("queue", "auth"), publisher="web-server")
    assert (found.mean, found.peak) == (100, 400)
    assert found.pods == {"queue": 4, "auth": 2}
    assert (found.publisher, found.database_cores, found.broker_cores) == (0.2, 4.0, 0.4)
    assert (found.commits, found.flushes, found.statements, found.messages, found.puts) == (3200, 200, 12_000, 1600, 1200)
    assert (found.wal, found.tables, found.outbox) == (8.64e9, 1.728e9, 1.44e8)
