"""`tcbox run`: run a repository's Taskcluster CI on this machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tcbox import errors
from tcbox.config import instance as instances

if TYPE_CHECKING:
    from tcbox.run.instance import Target
    from tcbox.run.screen import Screen
    from tcbox.run.wishes import Wishes

_EVENTS = "push, tag, pull-request, release, cron, cron:JOB, or a file with an event as GitHub's webhooks have it"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox run`."""
    parser.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH",
                        help="a project's folder, its .taskcluster.yml, or the file of a task's definition (default: this folder)")  # fmt: skip
    parser.add_argument("--event", default="push", metavar="EVENT", help=f"what the tasks are for: {_EVENTS} (default: push)")
    parser.add_argument("--list", action="store_true", help="list the tasks, and run none")
    parser.add_argument("--dry-run", action="store_true", help="explain the tasks, and which scopes they use and lack, and run none")
    parser.add_argument("--only", action="append", default=[], metavar="LABEL", help="run this task, by name, taskId or pattern with *, and what it depends on")
    parser.add_argument("--secret", action="append", default=[], metavar="NAME=VALUE",
                        help="put a secret into the instance: a text, a JSON object, @FILE; NAME alone is a variable of that name, or asked for")  # fmt: skip
    parser.add_argument("--env-file", type=Path, action="append", default=[], metavar="FILE", help="variables that every task is given, NAME=VALUE a line")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2), metavar="N", help="how many tasks run at once (default: one a processor)")
    parser.add_argument("--watch", action="store_true", help="run again whenever files change")
    parser.add_argument("--keep", action="store_true", help="let the throwaway instance run on afterwards, and say how to connect")
    parser.add_argument("--shell-on-failure", action="store_true", help="open a shell where a task has failed, before it is cleaned up")
    parser.add_argument("--fresh", action="store_true", help="throw away the caches that earlier runs of this project have left")
    parser.add_argument("--allow-skipped", action="store_true", help="exit 0 also when tasks were skipped, since nothing here can run them")
    parser.add_argument("--served-urls", action="store_true",
                        help="put the served work tree's URLs into the event, for tasks that fetch by other means than git")  # fmt: skip
    parser.add_argument("--ephemeral", action="store_true", help="use a throwaway instance, also when another one runs")
    parser.add_argument("--data", type=Path, metavar="DIR", help="use the instance of this data folder (default: the only one running, else a throwaway)")


def run(args: argparse.Namespace) -> int:
    """Run it; exit 0 when all is green, 1 when not, 2 for wrong usage."""
    from tcbox.run import screen as screens

    wishes = _wishes(args)
    from tcbox.run import given

    screen = screens.of(given.hidden(wishes.secrets))
    return _run(wishes, _existing(args), screen)


def _wishes(args: argparse.Namespace) -> Wishes:
    from tcbox.run import event, given, shell
    from tcbox.run.faults import WrongUsage
    from tcbox.run.wishes import Wishes

    kind = args.event.partition(":")[0]
    if args.event not in event.KINDS and kind != event.CRON and not Path(args.event).is_file():
        raise WrongUsage(f"--event {args.event}: expected {_EVENTS}")
    if args.jobs < 1:
        raise WrongUsage(f"--jobs {args.jobs}: expected 1 or more")
    if args.ephemeral and args.data is not None:
        raise WrongUsage("--ephemeral uses an instance of its own: leave out --data, or leave out --ephemeral")
    if args.keep and args.data is not None:
        raise WrongUsage("--keep is for a throwaway instance, and the one that --data names goes on anyway: leave it out")
    if args.watch and (args.list or args.dry_run):
        raise WrongUsage("--watch runs tasks, and --list and --dry-run run none: leave one out")
    if args.shell_on_failure and not shell.possible():
        raise WrongUsage("--shell-on-failure needs a terminal")
    env: dict[str, str] = {}
    for path in args.env_file:
        env |= given.variables(path)
    return Wishes(
        path=args.path, event=args.event, only=tuple(args.only), secrets=given.secrets(args.secret), env=env, jobs=args.jobs, list=args.list,
        dry_run=args.dry_run, watch=args.watch, keep=args.keep, shell=args.shell_on_failure, fresh=args.fresh, served_urls=args.served_urls,
        allow_skipped=args.allow_skipped,
    )  # fmt: skip


def _existing(args: argparse.Namespace) -> Target | None:
    """The instance to use, None for a throwaway.

    Raises TcboxError when several run and none is named.
    """
    from tcbox.cli import connect
    from tcbox.run import instance

    if args.ephemeral or args.keep or (args.data is None and not instances.list_running()):
        return None
    try:
        found = connect.running(args.data)
    except errors.TcboxError as error:
        raise errors.TcboxError(f"{error}\nor use a throwaway one with --ephemeral") from error
    return instance.existing(found, connect.control(found, "status"))


def _run(wishes: Wishes, existing: Target | None, screen: Screen) -> int:
    from tcbox.run.session import Session

    async def go() -> int:
        whole = asyncio.current_task()
        assert whole is not None
        ended = 0

        def end(number: int) -> None:
            nonlocal ended
            if ended:
                os._exit(128 + number)
            ended = number
            if number != signal.SIGPIPE:
                screen.say("stopping ...")
            whole.cancel()

        loop = asyncio.get_running_loop()
        taken = [each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) != signal.SIG_IGN]  # nohup has one ignored
        screen.gone = lambda: end(signal.SIGPIPE)
        for number in taken:
            loop.add_signal_handler(number, end, number)
        try:
            return await Session(wishes, existing, screen).run()
        except asyncio.CancelledError:
            if not ended:
                raise
            return 128 + ended
        finally:
            for number in taken:
                with contextlib.suppress(ValueError):
                    loop.remove_signal_handler(number)

    code = asyncio.run(go())
    if code == 128 + signal.SIGPIPE:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left unwritten has no reader
    return code
