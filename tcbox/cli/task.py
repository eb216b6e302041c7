"""`tcbox task`: create a task and follow it, for a first try without another client."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tcbox import clock as clocks
from tcbox import errors, ids, log
from tcbox.cli import connect

_NAME = "a task of tcbox"
_DONE = ("completed", "failed", "exception")
_ACTIONS = {
    "status": "its state and runs",
    "log": "its log, as it grows",
    "artifacts": "what it left",
    "cancel": "stop it",
    "rerun": "run it again",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox task`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "create a task from a file, or from a command after --"
    create = actions.add_parser("create", help=text, description=f"{text[0].upper()}{text[1:]}.")
    create.add_argument("words", nargs="*", metavar="COMMAND", help="a command to run, after --")
    create.add_argument("--file", type=Path, help="a task definition in JSON or YAML (- for standard input); times may be left out")
    create.add_argument("--queue", help="the task queue (default: the file's; for a command local/docker with --image, else local/host)")
    create.add_argument("--image", help="the docker image for a command")
    create.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable of the task")
    create.add_argument("--artifact", action="append", default=[], metavar="NAME=PATH", help="a file of the task to keep")
    create.add_argument("--name", help="its name, for people (default: the file's, or: a task of tcbox)")
    create.add_argument("--wait", action="store_true", help="show the log until the task ends; exit 0 only if it completed")
    for name, text in _ACTIONS.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        action.add_argument("taskId", metavar="TASK", help="the task's id")
        if name == "artifacts":
            action.add_argument("name", nargs="?", metavar="NAME", help="write this artifact to standard output")
    for action in actions.choices.values():
        connect.options(action)
        if action is not actions.choices["log"]:
            action.add_argument("--json", action="store_true", help="print what the API answers")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    action: Callable[[argparse.Namespace, connect.Connection], Any] = globals()[f"_{args.action}"]
    if args.action != "create" and not ids.is_slugid(args.taskId):
        raise errors.WrongUsage(f"{args.taskId!r} is no task id: one has 22 characters, such as {ids.slugid()}, as 'tcbox task create' prints it")

    async def go() -> int:
        import aiohttp

        async with connect.open(args) as connection:
            try:
                return int(await action(args, connection) or 0)
            except aiohttp.ClientError as error:
                raise errors.TcboxError(f"the connection to {connection.http.root_url} broke: {error or type(error).__name__}") from error

    return asyncio.run(go())


def _definition(args: argparse.Namespace) -> dict[str, Any]:
    if args.file is not None and args.words:
        raise errors.WrongUsage("give a file or a command, not both")
    if args.file is None and not args.words:
        raise errors.WrongUsage("nothing to run: give a command after --, as in: tcbox task create -- echo hello; or a definition with --file")
    for flag, given in (("--image", args.image), ("--env", args.env), ("--artifact", args.artifact)):
        if args.file is not None and given:
            raise errors.WrongUsage(f"{flag} goes with a command, and --file has a whole definition: write it into the payload there")
    now = clocks.SystemClock().now()
    task = _read(args.file) if args.file is not None else _of_command(args)
    task.setdefault("created", clocks.to_wire(now))
    task.setdefault("deadline", clocks.to_wire(now + clocks.HOUR))
    task.setdefault("expires", clocks.to_wire(now + 7 * clocks.DAY))
    about = {"name": _NAME, "description": "made by tcbox task create", "owner": "nobody@localhost", "source": "http://localhost/"}
    task.setdefault("metadata", about)
    if args.name and isinstance(task["metadata"], dict):
        task["metadata"] = {**task["metadata"], "name": args.name}
    if args.queue or ("taskQueueId" not in task and "provisionerId" not in task):
        task = {key: value for key, value in task.items() if key not in ("provisionerId", "workerType")}
        task["taskQueueId"] = args.queue or "local/host"
    return task


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        task = yaml.safe_load(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise errors.TcboxError(f"{path} is not UTF-8: it has the byte 0x{error.object[error.start]:02x} at offset {error.start}; save it as UTF-8") from error
    except OSError as error:
        raise errors.TcboxError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise errors.TcboxError(f"{path} is neither JSON nor YAML: {error}") from error
    if not isinstance(task, dict):
        raise errors.TcboxError(f"{path} holds no task definition: expected an object with taskQueueId, payload, metadata")
    return {key: _plain(value) for key, value in task.items()}


def _plain(value: Any) -> Any:
    """YAML reads times as dates; the API wants text."""
    return clocks.to_wire(int(value.timestamp() * 1000)) if hasattr(value, "timestamp") else value


def _of_command(args: argparse.Namespace) -> dict[str, Any]:
    env, files = dict(_pairs("--env", args.env)), _pairs("--artifact", args.artifact)
    payload: dict[str, Any] = {"maxRunTime": 3600}
    if env:
        payload["env"] = env
    if args.image:
        payload |= {"image": args.image, "command": args.words}
        if files:
            payload["artifacts"] = {name: {"type": "file", "path": path} for name, path in files}
        return {"taskQueueId": args.queue or "local/docker", "payload": payload}
    payload["command"] = [_words(args.words)]
    if files:
        payload["artifacts"] = [{"name": name, "type": "file", "path": path} for name, path in files]
    return {"taskQueueId": args.queue or "local/host", "payload": payload}


def _pairs(flag: str, given: list[str]) -> list[tuple[str, str]]:
    for pair in given:
        if not pair.partition("=")[0] or "=" not in pair:
            raise errors.WrongUsage(f"{flag} {pair}: expected a name and a value with = between them")
    return [(pair.partition("=")[0], pair.partition("=")[2]) for pair in given]


def _words(given: list[str]) -> list[str]:
    """The words of a command; one alone is taken apart as a shell would."""
    try:
        return given if len(given) > 1 else shlex.split(given[0])
    except ValueError as error:
        raise errors.TcboxError(f"the command {given[0]!r} cannot be taken apart: {error}; give its words one by one after --") from error


async def _create(args: argparse.Namespace, connection: connect.Connection) -> int:
    task_id = ids.slugid()
    reply = await connection.call("queue", "createTask", task_id, payload=_definition(args))
    if not args.wait:
        print(json.dumps(reply, indent=2) if args.json else task_id)
        return 0
    print(task_id, file=sys.stderr)
    args.taskId = task_id
    await _log(args, connection, sys.stderr.buffer if args.json else sys.stdout.buffer)
    reply = await connection.call("queue", "status", task_id)
    if args.json:
        print(json.dumps(reply, indent=2))
    print(f"{task_id} {_state(reply['status'])}", file=sys.stderr)
    return 0 if reply["status"]["state"] == "completed" else 1


def _state(status: dict[str, Any]) -> str:
    run = status["runs"][-1] if status["runs"] else {}
    reason = run.get("reasonResolved")
    return str(status["state"]) + (f" ({reason})" if reason and reason != status["state"] else "")


async def _status(args: argparse.Namespace, connection: connect.Connection) -> None:
    reply = await connection.call("queue", "status", args.taskId)
    if args.json:
        print(json.dumps(reply, indent=2))
        return
    status = reply["status"]
    print(f"{status['taskId']}  {_state(status)}  on {status['taskQueueId']}, deadline {status['deadline']}")
    for run in status["runs"]:
        where = f" on {run['workerGroup']}/{run['workerId']}" if run.get("workerId") else ""
        print(f"  run {run['runId']}  {run['state']}{where}  {run.get('reasonResolved', '')}".rstrip())


async def _log(args: argparse.Namespace, connection: connect.Connection, out: IO[bytes] | None = None) -> int:
    """Follow the newest run's log, on standard output unless another stream is given; waits for the run to start, and ends when it ends."""
    pause = 0.05
    patience = time.monotonic() + 3
    while True:
        status = (await connection.call("queue", "status", args.taskId))["status"]
        runs = [run for run in status["runs"] if run["state"] != "pending"]
        if runs:
            shown = await connection.artifact(args.taskId, str(runs[-1]["runId"]), "public/logs/live.log", out or sys.stdout.buffer)
            if shown or status["state"] in _DONE:
                break
        if status["state"] in _DONE:
            break
        if time.monotonic() > patience:
            patience = float("inf")
            why = "its dependencies" if status["state"] == "unscheduled" else f"a worker that serves {status['taskQueueId']} (see: tcbox status)"
            print(f"the task is {status['state']}: waiting for {why} ...", file=sys.stderr)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)
    if not runs or not shown:
        print(f"the task has no log; it is {_state(status)}", file=sys.stderr)
        return 1
    while (await connection.call("queue", "status", args.taskId))["status"]["state"] not in _DONE:
        await asyncio.sleep(0.1)
    return 0


async def _artifacts(args: argparse.Namespace, connection: connect.Connection) -> int:
    if args.name and args.json:
        raise errors.WrongUsage("--json is for the list of artifacts: leave it out to have the content of one, or leave out its name")
    if args.name:
        runs = (await connection.call("queue", "status", args.taskId))["status"]["runs"]
        if not runs or not await connection.artifact(args.taskId, str(runs[-1]["runId"]), args.name, sys.stdout.buffer):
            raise errors.TcboxError(f"the task {args.taskId} has no artifact {args.name}; see: tcbox task artifacts {args.taskId}")
        return 0
    reply = await connection.call("queue", "listLatestArtifacts", args.taskId)
    if args.json:
        print(json.dumps(reply, indent=2))
        return 0
    for artifact in reply["artifacts"]:
        print(log.plain(f"{artifact['name']}\t{artifact['storageType']}\t{artifact['contentType']}"))
    return 0


async def _cancel(args: argparse.Namespace, connection: connect.Connection) -> None:
    await _say(args, await connection.call("queue", "cancelTask", args.taskId))


async def _rerun(args: argparse.Namespace, connection: connect.Connection) -> None:
    await _say(args, await connection.call("queue", "rerunTask", args.taskId))


async def _say(args: argparse.Namespace, reply: dict[str, Any]) -> None:
    print(json.dumps(reply, indent=2) if args.json else f"{args.taskId} {_state(reply['status'])}")
