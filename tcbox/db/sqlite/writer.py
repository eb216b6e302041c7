"""The one writer of a SQLite database, with group commit.

Transactions that are asked for while a commit is under way wait for its end, and then run together between one BEGIN
IMMEDIATE and one COMMIT, and one that fails is undone alone. Their functions run on the event loop's thread, at the end of
the loop's turn: a statement is some 5 µs, less than a hop to another thread and back. Only the COMMIT, which waits for
the disk, runs in the writer's thread, where it holds up nobody. Callers are answered when it has returned. The thread
begins with the first step that it is needed for.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from tcbox import log
from tcbox.clock import Clock
from tcbox.db.interface import Tx
from tcbox.db.sqlite import failures
from tcbox.db.sqlite.statements import Runner
from tcbox.db.sqlite.transaction import SqliteTx, drive
from tcbox.db.sqlite.wal import WriteAheadLog

# A batch stops taking further transactions after so many seconds, so that the event loop serves others in between.
BATCH_SECONDS = 0.01
# How long a batch waits for the company that it expects.
PATIENCE_SECONDS = 0.001
MOST_COMPANY = 64
# How long a BEGIN waits, in the writer's thread, for another program that has the database locked.
BUSY_MILLISECONDS = 5000

Step = Callable[[], None]
TxFunction = Callable[[Tx], Awaitable[Any]]


class Job:
    """One transaction that somebody waits for."""

    __slots__ = ("alone", "context", "error", "fn", "future", "result", "tx")

    def __init__(self, fn: TxFunction, future: asyncio.Future[Any], alone: Callable[[Job], None] | None) -> None:
        self.fn = fn
        self.future = future
        self.alone = alone  # what runs this job by itself, in the writer's thread; None: a batch does
        self.context = contextvars.copy_context()
        self.tx: SqliteTx | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        """Give the caller what came out, unless it has gone."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Writer:
    """Runs transactions on one connection, in batches.

    Without a log to be tended (`wal` None), that is in memory or where nothing is waited for until it is on the disk, all of it
    runs on the event loop's thread.
    """

    def __init__(self, runner: Runner, clock: Clock, wal: WriteAheadLog | None) -> None:
        self._runner = runner
        self._execute = runner.connection.execute
        self._clock = clock
        self._wal = wal
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        self._busy = False
        self._company = 1
        self._patience: asyncio.TimerHandle | None = None
        self._careful = False
        self._idle: asyncio.Future[None] | None = None
        self._committing: list[Job] = []
        self._steps: queue.SimpleQueue[Step | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, fn: TxFunction, *, bulk: bool = False) -> asyncio.Future[Any]:
        """The future outcome of a transaction."""
        return self._enqueue(fn, self._bulk if bulk else None)

    def exclusively(self, work: Callable[[sqlite3.Connection], None]) -> asyncio.Future[None]:
        """The future end of work on the bare connection, outside any transaction, while nobody else writes."""

        async def nothing(_: Tx) -> None:
            return None

        return self._enqueue(nothing, lambda job: self._work_alone(job, work))

    def _enqueue(self, fn: TxFunction, alone: Callable[[Job], None] | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(Job(fn, future, alone))
        if not self._busy:
            self._busy = True
            self._gather()
        elif self._patience is not None and len(self._waiting) >= self._company:
            self._patience.cancel()
            self._begin_late()
        return future

    def _gather(self) -> None:
        """Begin when as many wait as were last under way together, or in a moment; one that was alone last time never waits.

        Callers who were answered together mostly ask again together. A commit costs as much as several transactions,
        so that it pays to let them come: their requests are read and checked meanwhile.
        """
        if len(self._waiting) >= self._company or self._wal is None:
            self._loop.call_soon(self._begin)
        else:
            self._patience = self._loop.call_later(PATIENCE_SECONDS, self._begin_late)

    def _begin_late(self) -> None:
        self._patience = None
        self._loop.call_soon(self._begin)

    async def close(self) -> None:
        """Finish what was asked for, then end the thread."""
        while self._busy:
            self._idle = self._loop.create_future()
            await self._idle
        if self._thread is not None:
            self._steps.put(None)
            await self._loop.run_in_executor(None, self._thread.join)

    # One turn: begin, run what waits, commit, answer.

    def _begin(self) -> None:
        if (alone := self._waiting[0].alone) is not None:
            job = self._waiting.popleft()
            self._off_loop(lambda: alone(job))
            return
        try:
            self._execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            self._off_loop(self._begin_in_thread)
        else:
            self._batch()

    def _batch(self) -> None:
        connection, waiting = self._runner.connection, self._waiting
        jobs: list[Job] = []
        careful, self._careful = self._careful, False
        until = perf_counter() + BATCH_SECONDS
        start = connection.total_changes
        while waiting and waiting[0].alone is None and perf_counter() < until:
            job = waiting.popleft()
            if job.future.cancelled():
                continue
            jobs.append(job)
            before = connection.total_changes
            lost = self._perform(job, savepoint=careful)
            if lost is not None:
                self._roll_back()
                self._end(jobs, lost)
                return
            if job.error is not None and not careful and connection.total_changes != before:
                self._undo(jobs)
                return
        if self._wal is None or connection.total_changes == start:  # there is no disk to wait for
            self._end(jobs, self._commit())
        else:
            self._off_loop(lambda: self._commit_in_thread(jobs))
            self._loop.call_soon(self._let_go, jobs)

    def _let_go(self, jobs: list[Job]) -> None:
        """Free what the batch before this one left while this one waits for the disk; else the thread would, before it commits."""
        self._committing = jobs

    def _undo(self, jobs: list[Job]) -> None:
        """Take back a batch whose last job failed after it had changed something.

        A savepoint costs a tenth of a transaction and failures after a change are rare, so it is done without at
        first; the batch is then run again with one for each job.
        """
        self._roll_back()
        if len(jobs) == 1:
            self._end(jobs, None)
            return
        for job in jobs:
            job.error = job.result = None
        self._waiting.extendleft(reversed(jobs))
        self._careful = True
        self._begin()

    def _perform(self, job: Job, *, savepoint: bool) -> Exception | None:
        """Run one transaction's function; returns the error when the whole batch is lost with it."""
        job.tx = tx = SqliteTx(self._runner, self._clock.now())
        try:
            if savepoint:
                self._execute("SAVEPOINT one")
            try:
                job.result = job.context.run(drive, job.fn, tx)
            except BaseException as error:
                job.error = error
                if isinstance(error, Exception) and self._lost(tx.failure or error):
                    return tx.failure or error
                if savepoint:
                    self._execute("ROLLBACK TO one")
            if savepoint:
                self._execute("RELEASE one")
        except sqlite3.Error as error:
            return failures.translated(error, "savepoint", self._runner.place)
        return None

    def _lost(self, error: Exception) -> bool:
        """Whether SQLite has given up the whole batch: it does so when the disk is full or fails."""
        return failures.fatal(error.__cause__) or not self._runner.connection.in_transaction

    def _end(self, jobs: list[Job], failure: Exception | None) -> None:
        self._answer(jobs, failure)
        self._next()

    def _answer(self, jobs: list[Job], failure: Exception | None) -> None:
        self._company = min(len(jobs) + len(self._waiting), MOST_COMPANY)
        for job in jobs:
            if failure is not None and job.error is None:
                job.error = copy.copy(failure)
            if job.error is None and job.tx is not None and job.tx.callbacks:
                _call(job.tx.callbacks)
            job.answer()

    def _next(self) -> None:
        """Begin the next batch, after those just answered have had their turn to ask for more."""
        if self._waiting:
            self._gather()
            return
        self._busy = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _commit(self) -> Exception | None:
        try:
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            return failures.translated(error, "commit", self._runner.place)
        return None

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._runner.connection.in_transaction:
                self._execute("ROLLBACK")

    # What waits for the disk or takes long, in the writer's thread. The event loop leaves the connection alone
    # meanwhile, for `_busy` holds until `_next`.

    def _commit_in_thread(self, jobs: list[Job]) -> None:
        self._leave(jobs, self._commit())

    def _begin_in_thread(self) -> None:
        failure = self._begin_patiently()
        if failure is None:
            self._loop.call_soon_threadsafe(self._batch)
        else:
            self._loop.call_soon_threadsafe(self._fail_waiting, failure)

    def _begin_patiently(self) -> Exception | None:
        try:
            self._execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            try:
                self._execute("BEGIN IMMEDIATE")
            finally:
                self._execute("PRAGMA busy_timeout = 0")
        except sqlite3.Error as error:
            return failures.translated(error, "begin", self._runner.place)
        return None

    def _fail_waiting(self, failure: Exception) -> None:
        jobs = list(self._waiting)
        self._waiting.clear()
        self._end(jobs, failure)

    def _bulk(self, job: Job) -> None:
        failure = self._begin_patiently()
        if failure is None:
            failure = self._perform(job, savepoint=False)
            if failure is None and job.error is None:
                failure = self._commit()
            self._roll_back()
        self._leave([job], failure)

    def _work_alone(self, job: Job, work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            work(self._runner.connection)
        except BaseException as error:
            job.error = error
        self._leave([job], None)

    def _leave(self, jobs: list[Job], failure: Exception | None) -> None:
        """Back to the event loop; the log is tended after the callers have been answered."""
        if self._wal is None or not self._wal.due():
            self._loop.call_soon_threadsafe(self._end, jobs, failure)
            return
        self._loop.call_soon_threadsafe(self._answer, jobs, failure)
        try:
            self._wal.tend(self._runner.connection)
        except sqlite3.Error as error:
            log.get("db").warning("a checkpoint of %s failed: %s", self._runner.place, error)
        self._loop.call_soon_threadsafe(self._next)

    def _off_loop(self, step: Step) -> None:
        if self._wal is None:
            step()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tcbox-sqlite-writer", daemon=True)
            self._thread.start()
        self._steps.put(step)

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            step()
            del step


def _call(callbacks: list[Step]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.get("db").exception("a callback after a commit failed")
