"""`tcbox up`: start an instance, in the foreground or in the background."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox import clock as clocks
from tcbox import config, errors, ids, log
from tcbox.cli import banner, terminal
from tcbox.cli.config import chosen
from tcbox.cli.ending import Ended, Ending, hold, release
from tcbox.config import variables
from tcbox.config.instance import Instance
from tcbox.runtime import tuning

if TYPE_CHECKING:
    from tcbox.box import Box

_TICKS = os.sysconf("SC_CLK_TCK")
_READY = "TCBOX_READY"
"""Set for a process that `--detach` began anew: the descriptor to tell its parent by, and when the parent began."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox up`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where the state is kept (default: ~/.local/share/tcbox/default)")
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes any free one")
    parser.add_argument("--seed", metavar="SOURCE", help="what a new instance begins with: a file of 'tcbox state export', or the root URL of another instance")
    parser.add_argument("--ephemeral", action="store_true", help="a temporary folder and any free port; everything is removed at the end")
    parser.add_argument("--detach", action="store_true", help="return when it is ready, and let it run in the background")
    parser.add_argument("--virtual-time", action="store_true", help="with --ephemeral: a clock that can be moved")
    parser.add_argument("--while-stdin", action="store_true", help="end when standard input closes, for programs that start an instance of their own")
    parser.add_argument("--json", action="store_true", help="print one JSON object for scripts when it is ready")


def run(args: argparse.Namespace) -> int:
    """Start it; in the foreground return when it has ended, with --detach when it is ready."""
    told = os.environ.pop(_READY, "").split(":")
    began = float(told[1]) if len(told) > 1 else _process_start()
    if args.virtual_time and not args.ephemeral:
        raise errors.WrongUsage("--virtual-time goes with --ephemeral: a clock that was moved would confuse a lasting instance")
    if args.while_stdin and args.detach:
        raise errors.WrongUsage("--while-stdin goes without --detach: an instance in the background has no standard input")
    if args.ephemeral and args.data is not None:
        raise errors.WrongUsage("--ephemeral uses a folder of its own: leave out --data, or leave out --ephemeral to keep the state")
    overrides = {"host": args.host, "port": 0 if args.ephemeral and args.port is None else args.port, "data": args.data, "seed": args.seed}
    settings = config.load(chosen(args.config), overrides, os.environ)
    if len(told) == 1:  # what begins anew has said so
        for sentence in variables.told(os.environ):
            print(f"note: {sentence}", file=sys.stderr)
    anew = args.detach and getattr(sys, "frozen", False) and len(told) == 1
    if args.ephemeral:
        hold()
    folder = Instance(_temporary() if args.ephemeral and not anew else settings.data)
    if not args.ephemeral:
        folder.refuse_if_running()
    run = Run(args, settings, folder, began)
    if len(told) > 1:
        return run.child(int(told[0]))
    return run.detached(anew=anew) if args.detach else run.foreground()


def _temporary() -> Path:
    import tempfile

    try:
        return Path(tempfile.mkdtemp(prefix="tcbox-"))
    except OSError as error:
        raise errors.TcboxError(f"no temporary folder can be made: {error.strerror}; make room, or name another place with TMPDIR") from error


def _process_start() -> float:
    """When this process began, on the clock that counts since boot, in seconds."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / _TICKS
    except OSError:
        return _uptime()


def _uptime() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Run:
    """One run of an instance by this command."""

    def __init__(self, args: argparse.Namespace, settings: config.Settings, folder: Instance, began: float) -> None:
        self._args = args
        self._settings = settings
        self._folder = folder
        self._began = began

    def foreground(self) -> int:
        """Serve until a signal ends it."""
        return self._serve(self._show, quiet=False)

    def _show(self, info: dict[str, Any]) -> None:
        link = info.pop("signIn", "")
        if link and sys.stdout.isatty() and not self._args.json:
            info["signIn"] = link  # for the eyes of who started it, never for what collects output
        print(json.dumps(info, indent=2) if self._args.json else banner.render(info, foreground=not self._args.detach), flush=True)

    def detached(self, *, anew: bool) -> int:
        """Serve in a child that has left this terminal; return when it is ready, or with what kept it from starting.

        Args:
            anew: begin the program again instead of forking.
        """
        reading, writing = os.pipe()
        child = self._spawned(writing) if anew else self._forked(reading, writing)
        release()  # the folder is the child's now
        os.close(writing)
        try:
            with open(reading, "rb") as pipe:
                told = pipe.readline()  # not to its end: a one-file program's first process keeps it open
        except KeyboardInterrupt:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            raise
        outcome = json.loads(told) if told else {"error": self._fate(child)}
        if "error" in outcome:
            raise errors.TcboxError(outcome["error"])
        self._show(outcome)
        return 0

    def _fate(self, child: int) -> str:
        """What became of a child that said nothing."""
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = "" if self._args.ephemeral else f"; the end of its log may say why: tcbox logs --data {shlex.quote(str(self._folder.data))}"
        return f"the instance {how} while it started{hint}"

    def _forked(self, reading: int, writing: int) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            os.close(reading)
            self._leave_terminal()
            code = self.child(writing)
        finally:
            os._exit(code)

    def _spawned(self, writing: int) -> int:
        """Begin anew: the files that a one-file program has unpacked go with the process that unpacked them."""
        import subprocess

        env = {**os.environ, _READY: f"{writing}:{self._began}", "PYINSTALLER_RESET_ENVIRONMENT": "1"}
        nothing = subprocess.DEVNULL
        command = [sys.executable, *sys.argv[1:]]
        return subprocess.Popen(command, env=env, pass_fds=(writing,), start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing).pid  # noqa: S603

    def _leave_terminal(self) -> None:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.close(nothing)

    def child(self, writing: int) -> int:
        """Serve, and tell the parent once: that it is ready, or what is in the way."""
        pipe = open(writing, "wb")  # noqa: SIM115 - closed by telling

        def tell(message: dict[str, Any]) -> None:
            if not pipe.closed:
                pipe.write(json.dumps(message).encode() + b"\n")
                pipe.close()

        try:
            return self._serve(tell, quiet=True)
        except BaseException as error:
            if not isinstance(error, errors.TcboxError):
                log.get("box").exception("the instance failed")
            with contextlib.suppress(OSError):  # when the parent has gone, nobody wants to know any more
                tell({"error": self._words(error)})
        return 1

    def _words(self, error: BaseException) -> str:
        if isinstance(error, errors.TcboxError):
            return str(error)
        where = "" if self._args.ephemeral else f"; {self._folder.log_file} has the whole story"
        return f"it failed with {type(error).__name__}: {error}{where}"

    def _serve(self, ready: Any, *, quiet: bool) -> int:
        said = not quiet and not self._args.json
        ending = Ending(asked=lambda _: print("stopping ...", file=sys.stderr, flush=True) if said else None, forced=self._leave_nothing)
        with ending.watching():
            try:
                release()
                return self._run(ready, ending, quiet=quiet)
            except (Ended, asyncio.CancelledError):
                return 128 + ending.number
            except OSError as error:
                raise errors.TcboxError(f"{_place(error, self._folder.data)}: {error.strerror or error}") from error
            finally:
                self._leave_nothing()

    def _run(self, ready: Any, ending: Ending, *, quiet: bool) -> int:
        self._folder.create()
        log.to_file(self._folder.log_file, level=self._settings.log.level, terminal=not quiet)
        terminal.show(self._folder.log_file, self._settings.log.format)
        tuning.before_start()
        with asyncio.Runner(loop_factory=tuning.new_loop) as runner:
            return runner.run(self._instance(ready, ending))

    async def _link(self, box: Box) -> str:
        """What signs the owner in, to be shown on a terminal alone."""
        try:
            return "" if self._args.json else await box.sign_in_link()
        except errors.TcboxError:
            return ""

    def _leave_nothing(self) -> None:
        """Remove what an ephemeral instance has made."""
        if self._args.ephemeral:
            from tcbox.cli import leftovers

            leftovers.remove(self._folder, self._settings.workers.docker.url)

    async def _instance(self, ready: Any, ending: Ending) -> int:
        ending.attend()
        from tcbox.box import Box

        token = ids.access_token()
        clock: clocks.Clock = clocks.VirtualClock() if self._args.virtual_time else clocks.SystemClock()
        box = Box(self._settings, self._folder, clock=clock, token=token, ephemeral=self._args.ephemeral)
        await box.start()
        try:
            own = box.root_client
            self._folder.announce(
                root_url=box.root_url, host=self._settings.host, port=box.port, token=token, client_id=own.client_id,
                access_token=own.access_token, started=clocks.SystemClock().now(), ephemeral=self._args.ephemeral,
            )  # fmt: skip
            ready_after = _uptime() - self._began
            ready({**box.describe(), "readyAfter": round(ready_after, 3), "ephemeral": self._args.ephemeral, "signIn": await self._link(box)})
            box.start_workers()
            tuning.after_start()
            if self._args.while_stdin:
                threading.Thread(target=_until_stdin_closes, name="standard input", daemon=True).start()
            await ending.wait()
        finally:
            await box.stop()
            self._folder.withdraw()
        return 0


def _until_stdin_closes() -> None:
    """Ask this process to end as soon as whoever holds the other end of its standard input has let it go."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _place(error: OSError, data: Path) -> str:
    return f"the instance on {data} could not use {error.filename}" if error.filename else f"the instance on {data} failed"
