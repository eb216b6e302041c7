"""`tcbox serve`: run some of the services as one process of several."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tcbox import config, errors, log
from tcbox.cli.config import chosen
from tcbox.cli.ending import Ended, Ending
from tcbox.config import variables
from tcbox.runtime import tuning

FRONT = "front"
"""What is no service, but leads to all of them."""


class Served(Protocol):
    """What runs until it is asked to end."""

    port: int

    async def start(self) -> None:
        """Begin; return when it serves."""
        ...

    async def stop(self) -> None:
        """Finish, and close."""
        ...


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox serve`."""
    parser.add_argument(
        "services", nargs="+", metavar="SERVICE", help="services, each alone, or with /api or /loops for that half of it; or front, which leads to all"
    )
    options(parser)
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes any free one")
    parser.add_argument("--no-migrate", action="store_true", help="wait until the schema is up to date, instead of bringing it there")


def options(parser: argparse.ArgumentParser) -> None:
    """The options of commands that run as processes of several."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
    parser.add_argument("--log-format", choices=("lines", "json"), help="how messages on standard error look (default: json)")


def settings(args: argparse.Namespace, overrides: Mapping[str, Any] | None = None) -> config.Settings:
    """The settings, with the log going to standard error as they say."""
    made = config.load(chosen(args.config), {**(overrides or {}), "log.format": args.log_format}, os.environ)
    form = made.log.format if "log.format" in made.origins else "json"
    log.setup(json=form == "json", level=made.log.level)
    for sentence in variables.told(os.environ):
        log.get("serve").warning("%s", sentence)
    return dataclasses.replace(made, log=dataclasses.replace(made.log, format=form))


def run(args: argparse.Namespace) -> int:
    """Serve until a signal asks for the end."""
    made = settings(args, {"host": args.host, "port": args.port})
    served = _served(args, made)
    ending = Ending(asked=lambda number: log.get("serve").info("asked to end", extra={"signal": signal.Signals(number).name}))
    with ending.watching():
        try:
            return _run(served, ending, ", ".join(args.services))
        except (Ended, asyncio.CancelledError):
            return 0
        except errors.TcboxError:
            raise
        except OSError as error:
            raise errors.TcboxError(f"{error.filename or 'the process'}: {error.strerror or error}") from error


def _served(args: argparse.Namespace, made: config.Settings) -> Served:
    if args.services == [FRONT]:
        from tcbox.box.leading import Leading

        return Leading(made)
    if FRONT in args.services:
        raise errors.TcboxError("front runs as a process of its own: leave out the services beside it")
    from tcbox.box import parts, services
    from tcbox.box.process import Process

    asked = parts.parse(args.services, services.enabled(made))
    parts.check(made, asked, os.environ)
    return Process(made, asked, os.environ, migrate=not args.no_migrate)


def _run(served: Served, ending: Ending, what: str) -> int:
    tuning.before_start()
    with asyncio.Runner(loop_factory=tuning.new_loop) as runner:
        return runner.run(_until_ended(served, ending, what))


async def _until_ended(served: Served, ending: Ending, what: str) -> int:
    ending.attend()
    await served.start()
    log.get("serve").info("serving", extra={"services": what, "port": served.port})
    tuning.after_start()
    try:
        await ending.wait()
    finally:
        await served.stop()
        log.get("serve").info("ended")
    return 0
