"""Keeps the processes of tasks: starts them, waits for them, and ends whole trees, also when the worker is killed.

Runs as a program of its own (`python -I -S keeper.py`), with a socket to the worker as standard input. For each task
the worker sends one descriptor over it; the keeper forks, and the fork serves that task on that descriptor. The fork is
a subreaper, so whatever a task's processes start stays below it, however it detaches itself. When the descriptor
closes, because the task is over or because the worker is gone, the fork ends every process below it.

Imports nothing but the standard library, and little of that, so that it is small and starts fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import json
import os
import select
import signal
import socket
import sys
import time

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_END_S = 20.0
_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None) if _LINUX else None


def main() -> None:
    """Fork once for each descriptor that comes over standard input; return when it closes."""
    gc.disable()  # nothing here makes cycles, and untouched memory stays shared with the forks
    channel = socket.socket(fileno=os.dup(0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            channel.close()
            _serve_and_exit(descriptors[0])
        os.close(descriptors[0])


def _serve_and_exit(descriptor: int) -> None:
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        _Task(socket.socket(fileno=descriptor)).serve()
    finally:
        os._exit(0)


class _Task:
    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.main = 0
        self.sessions: list[int] = []
        self.signals, end = os.pipe()
        for each in (self.signals, end):
            os.set_blocking(each, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        _prctl(_SET_CHILD_SUBREAPER, 1)

    def serve(self) -> None:
        """Obey until told to end, or until the worker is gone."""
        received = b""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.signals, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self.signals:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.signals, 4096)
                    self._reap()
                    continue
                data = self.channel.recv(1 << 20)
                if not data:
                    self._end()
                    return
                received += data
                *lines, received = received.split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))

    def _obey(self, order: dict) -> None:  # type: ignore[type-arg]
        if "argv" in order:
            self._start(order)
        elif "who" in order:
            self._tell({"pid": os.getpid()})
        else:
            self._tell({"left": self._end()})

    def _start(self, order: dict) -> None:  # type: ignore[type-arg]
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(order, tell)
        os.close(tell)
        self.main = pid
        self.sessions.append(pid)
        fault = b""
        while chunk := os.read(told, 4096):
            fault += chunk
        os.close(told)
        if fault:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            self.main = 0
            self._tell({"fault": fault.decode(errors="replace")})

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.main:
                self.main = 0
                self._tell({"code": os.waitstatus_to_exitcode(status), "user": usage.ru_utime, "system": usage.ru_stime})

    def _end(self) -> int:
        """End every process below; gives how many could not be ended."""
        self.main, pause, until = 0, 0.001, time.monotonic() + _END_S
        while time.monotonic() < until:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return 0  # a subreaper without children has nothing below it
            for pid in _below(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not _LINUX:  # no list of processes: what stayed in its session can be ended at least
                for session in self.sessions:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(session, signal.SIGKILL)
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
        return len(_below(os.getpid()))

    def _tell(self, message: dict) -> None:  # type: ignore[type-arg]
        with contextlib.suppress(OSError):
            self.channel.sendall(json.dumps(message).encode() + b"\n")


def _become(order: dict, tell: int) -> None:  # type: ignore[type-arg]
    """In the new process: take on the order's folder, output and environment, and become its command."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        output = _terminal(order["terminal"]) if "terminal" in order else os.open(order["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(order["folder"])
        os.umask(0o022)
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 - what this is for
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if isinstance(error, OSError) and error.errno == errno.ENOENT:
            reason = "no such program in PATH" if os.path.isdir(order["folder"]) else "the task's folder is gone"
        os.write(tell, (reason or "it cannot be run").encode())
    finally:
        os._exit(127)


def _terminal(name: str) -> int:
    """The terminal of that name, now the process's own, and its standard input."""
    terminal = os.open(name, os.O_RDWR)
    if not _LINUX:  # there the first terminal that is opened becomes the session's
        import fcntl
        import termios

        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.dup2(terminal, 0)
    return terminal


def _below(root: int) -> list[int]:
    """All processes below one, by the kernel's own list of parents."""
    parents: dict[int, int] = {}
    if not _LINUX:
        return []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _prctl(option: int, value: int) -> None:
    if _LIBC is not None:
        _LIBC.prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
