"""The least that a task server on SQLite can be, as a yardstick: how fast a machine of this kind lets Python be at all.

usage: minimal.py FOLDER; prints how it is reached when it listens, in the form of `tcbox up --json`.

aiohttp, Hawk's signature with the payload's hash, group commit with `synchronous=FULL`; tasks are created, claimed in their
order, and completed. It knows one client, and no scopes, schemas, events, groups, deadlines, dependencies or runs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import uvloop
from aiohttp import web

ID, TOKEN = "bench", "x" * 44
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
SCHEMA = """
CREATE TABLE tasks (id INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, queue TEXT NOT NULL, state TEXT NOT NULL, definition TEXT NOT NULL);
CREATE INDEX pending ON tasks (queue, id) WHERE state = 'pending';
"""
encode, decode = msgspec.json.encode, msgspec.json.decode

Work = Callable[[sqlite3.Connection], Any]


class Store:
    """Transactions that come while one commits run together in the next."""

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {SCHEMA}")
        self.waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self.busy = False
        self.thread = ThreadPoolExecutor(1)

    def run(self, work: Work) -> asyncio.Future[Any]:
        """The future result of a piece of work, after the commit."""
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((work, future))
        if not self.busy:
            self.busy = True
            asyncio.get_running_loop().call_soon(self._turn)
        return future

    def _turn(self) -> None:
        jobs, self.waiting = self.waiting, []
        self.connection.execute("BEGIN IMMEDIATE")
        results = [work(self.connection) for work, _ in jobs]
        loop = asyncio.get_running_loop()
        commit = loop.run_in_executor(self.thread, self.connection.execute, "COMMIT")
        commit.add_done_callback(lambda _: self._answer(jobs, results))

    def _answer(self, jobs: list[tuple[Work, asyncio.Future[Any]]], results: list[Any]) -> None:
        for (_, future), result in zip(jobs, results, strict=True):
            if not future.done():
                future.set_result(result)
        if self.waiting:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self.busy = False


def status(task_id: str, state: str) -> dict[str, Any]:
    """A task's status."""
    return {"taskId": task_id, "state": state}


async def signed(request: web.Request) -> bytes:
    """The body of a request, whose signature fits it."""
    body = await request.read()
    given = dict(ATTRIBUTE.findall(request.headers["Authorization"]))
    digest = base64.b64encode(hashlib.sha256(b"hawk.1.payload\napplication/json\n" + body + b"\n").digest()).decode() if body else ""
    host, _, port = request.headers["Host"].partition(":")
    text = f"hawk.1.header\n{given['ts']}\n{given['nonce']}\n{request.method}\n{request.raw_path}\n{host}\n{port}\n{given.get('hash', '')}\n\n"
    made = base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), "sha256")).decode()
    if given["id"] != ID or not hmac.compare_digest(made, given["mac"]) or given.get("hash", "") != digest:
        raise web.HTTPUnauthorized
    return body


class Server:
    """The methods, at the paths of the queue's."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def app(self) -> web.Application:
        made, base = web.Application(), "/api/queue/v1"
        made.router.add_get(f"{base}/ping", self.ping)
        made.router.add_put(f"{base}/task/{{task_id}}", self.create)
        made.router.add_post(f"{base}/claim-work/{{queue}}", self.claim)
        made.router.add_post(f"{base}/task/{{task_id}}/runs/0/completed", self.complete)
        return made

    async def ping(self, _: web.Request) -> web.Response:
        return web.Response(body=b'{"alive":true}', content_type="application/json")

    async def create(self, request: web.Request) -> web.Response:
        body = await signed(request)
        definition, task_id = decode(body), request.match_info["task_id"]
        queue = f"{definition['provisionerId']}/{definition['workerType']}"

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO tasks (task_id, queue, state, definition) VALUES (?, ?, 'pending', ?)", (task_id, queue, body.decode()))

        await self.store.run(insert)
        return self.reply({"status": status(task_id, "pending")})

    async def claim(self, request: web.Request) -> web.Response:
        await signed(request)
        queue = request.match_info["queue"]

        def take(connection: sqlite3.Connection) -> Any:
            found = connection.execute(
                "SELECT id, task_id, definition FROM tasks WHERE queue = ? AND state = 'pending' ORDER BY id LIMIT 1", (queue,)
            ).fetchone()
            if found is not None:
                connection.execute("UPDATE tasks SET state = 'running' WHERE id = ?", (found[0],))
            return found

        _, task_id, definition = await self.store.run(take)
        task = {"status": status(task_id, "running"), "runId": 0, "task": decode(definition)}
        return self.reply({"tasks": [{**task, "credentials": {"clientId": ID, "accessToken": TOKEN, "certificate": ""}}]})

    async def complete(self, request: web.Request) -> web.Response:
        await signed(request)
        task_id = request.match_info["task_id"]

        def resolve(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE tasks SET state = 'completed' WHERE task_id = ?", (task_id,))

        await self.store.run(resolve)
        return self.reply({"status": status(task_id, "completed")})

    def reply(self, value: Any) -> web.Response:
        return web.Response(body=encode(value), content_type="application/json")


async def main(folder: str) -> None:
    runner = web.AppRunner(Server(Store(f"{folder}/tasks.db")).app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    credentials = {"clientId": ID, "accessToken": TOKEN}
    print(encode({"pid": os.getpid(), "rootUrl": f"http://localhost:{runner.addresses[0][1]}", "credentials": credentials}).decode(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
