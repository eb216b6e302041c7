"""`tcbox up`: start an instance, in the foreground or in the background."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tcbox import clock as clocks
from tcbox import config, errors, ids, log
from tcbox.cli import banner
from tcbox.cli.config import chosen
from tcbox.config.instance import Instance

_TICKS = os.sysconf("SC_CLK_TCK")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox up`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the state is kept (default: ~/.local/share/tcbox/default)")
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes any free one")
    parser.add_argument("--ephemeral", action="store_true", help="a temporary folder and any free port; everything is removed at the end")
    parser.add_argument("--detach", action="store_true", help="return when it is ready, and let it run in the background")
    parser.add_argument("--virtual-time", action="store_true", help="with --ephemeral: a clock that can be moved")
    parser.add_argument("--json", action="store_true", help="print one JSON object for scripts when it is ready")


def run(args: argparse.Namespace) -> int:
    """Start it; in the foreground return when it has ended, with --detach when it is ready."""
    began = _process_start()
    if args.virtual_time and not args.ephemeral:
        raise errors.TcboxError("--virtual-time goes with --ephemeral: a clock that was moved would confuse a lasting instance")
    if args.ephemeral and args.data is not None:
        raise errors.TcboxError("--ephemeral uses a folder of its own: leave out --data, or leave out --ephemeral to keep the state")
    overrides = {"host": args.host, "port": 0 if args.ephemeral and args.port is None else args.port, "data": args.data}
    settings = config.load(chosen(args.config), overrides, os.environ)
    folder = Instance(_temporary() if args.ephemeral else settings.data)
    folder.refuse_if_running()
    run = Run(args, settings, folder, began)
    return run.detached() if args.detach else run.foreground()


def _temporary() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="tcbox-"))


def _process_start() -> float:
    """When this process began, on the clock that counts since boot, in seconds."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / _TICKS
    except OSError:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class Run:
    """One run of an instance by this command."""

    def __init__(self, args: argparse.Namespace, settings: config.Settings, folder: Instance, began: float) -> None:
        self._args = args
        self._settings = settings
        self._folder = folder
        self._began = began

    def foreground(self) -> int:
        """Serve until a signal ends it."""
        return self._serve(lambda info: print(json.dumps(info, indent=2) if self._args.json else banner.render(info), flush=True), quiet=False)

    def detached(self) -> int:
        """Serve in a child that has left this terminal; return when it is ready, or with what kept it from starting."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            self._leave_terminal()
            os._exit(self._child(writing))
        os.close(writing)
        with open(reading, "rb") as pipe:
            told = pipe.read()
        if not told:
            raise errors.TcboxError(f"the instance ended while it started: the end of its log, {self._folder.log_file}, says why")
        outcome = json.loads(told)
        if "error" in outcome:
            raise errors.TcboxError(outcome["error"])
        print(json.dumps(outcome, indent=2) if self._args.json else banner.render(outcome))
        return 0

    def _leave_terminal(self) -> None:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.close(nothing)

    def _child(self, writing: int) -> int:
        def tell(message: dict[str, Any]) -> None:
            with open(writing, "wb") as pipe:
                pipe.write(json.dumps(message).encode())

        try:
            return self._serve(tell, quiet=True)
        except errors.TcboxError as error:
            tell({"error": str(error)})
        except BaseException as error:
            log.get("box").exception("the instance failed")
            try:
                tell({"error": f"it failed with {type(error).__name__}: {error}; {self._folder.log_file} has the whole story"})
            except OSError:
                return 1
        return 1

    def _serve(self, ready: Any, *, quiet: bool) -> int:
        self._folder.create()
        self._log(quiet=quiet)
        try:
            import uvloop

            factory: Any = uvloop.new_event_loop
        except ImportError:
            factory = None
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                return runner.run(self._instance(ready, quiet=quiet))
        finally:
            if self._args.ephemeral:
                self._remove()

    def _log(self, *, quiet: bool) -> None:
        log.to_file(self._folder.log_file, level=self._settings.log.level, terminal=not quiet)

    def _remove(self) -> None:
        import shutil

        shutil.rmtree(self._folder.data, ignore_errors=True)

    async def _instance(self, ready: Any, *, quiet: bool) -> int:
        from tcbox.box import Box
        from tcbox.box.instance import wait_for_end

        token = ids.access_token()
        clock: clocks.Clock = clocks.VirtualClock() if self._args.virtual_time else clocks.SystemClock()
        box = Box(self._settings, self._folder, clock=clock, token=token)
        await box.start()
        try:
            own = box.root_client
            self._folder.announce(
                root_url=box.root_url, host=self._settings.host, port=box.port, token=token, client_id=own.client_id,
                access_token=own.access_token, started=clocks.SystemClock().now(), ephemeral=self._args.ephemeral,
            )  # fmt: skip
            ready_after = time.clock_gettime(time.CLOCK_BOOTTIME) - self._began
            ready({**box.describe(), "readyAfter": round(ready_after, 3), "ephemeral": self._args.ephemeral})
            box.start_workers()
            await wait_for_end()
            if not quiet and not self._args.json:
                print("stopping ...", flush=True)
        finally:
            await box.stop()
            self._folder.withdraw()
        return 0
