"""The write-ahead log is kept short, also under load and beside long reads, without making writers wait for it.

A log of many pages is copied into the database by a checkpoint on a connection and a thread of its own, while
transactions go on; what they added meanwhile is copied in the same way, until little is left. That is copied by the
writer between two batches, which takes a few milliseconds and lets the log start anew. SQLite brings the database to
the disk only when all of the log has been copied, that is in the writer's thread; so the checkpoint's thread does it
before, for by far the most of the pages. Commits wait for the same disk. The pages of a large database lie far apart,
so they are brought there a part of the file after another, and commits find their way in between; and they are brought
there seldom, so that few commits meet that at all. A log that has grown all the same, because a reader held an old
snapshot, is cut; close to the limit, writers wait once for that reader. They wait too when the checkpoint's thread has not
come to its end by then, for a disk that is slow, or that others use: else the log would grow as fast as they write.

How far the log reaches is read from its file: a frame belongs to it when it bears the salts of the log's header
(https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from tcbox import log
from tcbox.db.errors import DatabaseError
from tcbox.db.sqlite import flushing

PAGE = 4096
_HEADER, _FRAME = 32, 24 + PAGE
MIB = 1 << 20
# The log is checkpointed when it reaches this size, cut when its file has this size, and passes this one only when a
# reader holds the same snapshot for longer than `PATIENCE` milliseconds, or by what one batch writes.
CHECKPOINT, CUT, LIMIT = 24 * MIB, 44 * MIB, 52 * MIB
PATIENCE = 10_000
# So many frames may be left to the writer, and so often is tried to come to as few.
_FEW, _PASSES = 500, 5
_NICE = 5  # of the checkpoint's thread: requests are served first


class WriteAheadLog:
    """The log of one database; `connect` opens a further connection to it."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._database_path = path
        self._path = Path(f"{path}-wal")
        self._connect = connect
        self._file = self._database = -1
        self._wanted = threading.Event()
        self._closing = False
        self._running = False
        self._rests = threading.Event()
        self._catch_up = False
        self._cut_at = CUT
        self._waited = False
        self._salts = b""
        self._at = CHECKPOINT
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch over the log; the database has been written to, so that its file is there."""
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._database = os.open(self._database_path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """End the thread; may be called twice."""
        if self._file < 0:
            return
        self._closing = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        os.close(self._file)
        self._file = -1

    def release(self) -> None:
        """Let go of the database's file, after every connection to it: this takes its locks from all of the process."""
        if self._database >= 0:
            os.close(self._database)
            self._database = -1

    def due(self) -> bool:
        """Whether the writer must call `tend` before its next batch; wakes the checkpoint's thread when needed."""
        if self._catch_up:
            return True
        if self._running:
            return os.fstat(self._file).st_size >= max(LIMIT, self._cut_at)
        if not self._long():
            return False
        if os.fstat(self._file).st_size >= self._cut_at:
            return True
        self._running = True
        self._rests.clear()
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tcbox-sqlite-checkpoint", daemon=True)
            self._thread.start()
        return False

    def tend(self, writer: sqlite3.Connection) -> None:
        """Copy the rest of the log, and cut its file when it has grown; in the writer's thread, between batches."""
        while self._running and self._thread is not None and self._thread.is_alive():
            self._rests.wait(1)
        self._catch_up = False
        size = os.fstat(self._file).st_size
        if size < self._cut_at:
            frames = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
            self._at = frames * _FRAME + CHECKPOINT // 2  # holds if the log cannot start anew, for a reader is in it
            return
        wait = size >= LIMIT and not self._waited
        writer.execute(f"PRAGMA busy_timeout = {PATIENCE if wait else 0}")
        try:
            (held,) = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[:1]
        except sqlite3.OperationalError:
            held = 1
        finally:
            writer.execute("PRAGMA busy_timeout = 0")
        self._cut_at = size + CHECKPOINT // 4 if held else CUT  # less than until it is due again
        self._waited = bool(held) and (wait or self._waited)
        if held and wait:
            log.get("db").warning(
                "the write-ahead log cannot be cut: a program keeps reading an old state of the database; close it",
                extra={"file": str(self._path), "bytes": size},
            )

    def _long(self) -> bool:
        """Whether the log, not just its file, is longer than it should be."""
        salts = os.pread(self._file, 8, 16)
        if salts != self._salts:  # it has started anew
            self._salts, self._at = salts, CHECKPOINT
        frame = _HEADER + (self._at // _FRAME) * _FRAME
        return len(salts) == 8 and os.pread(self._file, 8, frame + 8) == salts

    def _copy(self, connection: sqlite3.Connection) -> None:
        """Copy what the log has into the database, on the disk, and again what has come meanwhile, until that is little."""
        before = 0
        for _ in range(_PASSES):
            copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[2]
            flushing.flush(self._database)
            if copied - before < _FEW:
                return
            before = copied

    def _work(self) -> None:
        flushing.give_way(_NICE)
        connection: sqlite3.Connection | None = None
        try:
            while self._wanted.wait() and not self._closing:
                self._wanted.clear()
                try:
                    connection = connection or self._connect()
                    self._copy(connection)
                except (sqlite3.Error, OSError, DatabaseError) as error:
                    log.get("db").warning("a checkpoint failed: %s", error, extra={"file": str(self._path)})
                self._catch_up = True
                self._running = False
                self._rests.set()
        finally:
            if connection is not None:
                connection.close()
