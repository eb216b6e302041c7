"""What tasks leave behind and what they ask of the servers: counters before and after, a task's share of the difference."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cluster import Cluster

_SQL = """
SELECT (SELECT count(*) FROM queue_tasks), pg_current_wal_lsn() - '0/0'::pg_lsn,
  (SELECT wal_sync FROM pg_stat_wal), (SELECT wal_fpi FROM pg_stat_wal),
  (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
  (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relname LIKE 'queue\\_%' AND c.relkind = 'r'),
  (SELECT pg_total_relation_size('events')), (SELECT count(*) FROM events), (SELECT coalesce(sum(length(payload)), 0) FROM events)
"""
_NAMES = ("tasks", "wal", "syncs", "images", "commits", "tables", "events_table", "messages", "payload")


@dataclass(frozen=True)
class PerTask:
    """Means over many tasks.

    Attributes:
        wal, tables, events, payload: bytes of write-ahead log, of the queue's tables with their indices, of the outbox, of the
            messages themselves.
        syncs: flushes of the write-ahead log.
        commits, statements, messages: how many.
        by_statement: the statements of the queue's side that run at least once in ten tasks, by name.
    """

    wal: float
    tables: float
    events: float
    payload: float
    syncs: float
    commits: float
    statements: float
    messages: float
    by_statement: tuple[tuple[str, float], ...]


class Counters:
    """The counters of a cluster at one time."""

    def __init__(self, cluster: Cluster) -> None:
        time.sleep(2.0)  # PostgreSQL's own are told of once a second
        row = cluster.postgres.run(_SQL, "tc").split("|")
        self.counts = dict(zip(_NAMES, map(float, row), strict=True))
        self.queries = cluster.queries()

    def since(self, before: Counters) -> PerTask:
        """What each task took between two times."""
        gone = {name: self.counts[name] - before.counts[name] for name in _NAMES}
        tasks = gone["tasks"]
        queries = {name: (count - before.queries.get(name, 0.0)) / tasks for name, count in self.queries.items()}
        often = sorted(((name, share) for name, share in queries.items() if share >= 0.1), key=lambda each: -each[1])
        return PerTask(
            wal=gone["wal"] / tasks, tables=gone["tables"] / tasks, events=gone["events_table"] / tasks, payload=gone["payload"] / tasks,
            syncs=gone["syncs"] / tasks, commits=gone["commits"] / tasks, statements=sum(queries.values()), messages=gone["messages"] / tasks,
            by_statement=tuple(often),
        )  # fmt: skip
