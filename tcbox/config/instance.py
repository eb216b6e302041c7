"""An instance as its data folder shows it: what is kept where, and whether a process is running on it.

    tcbox.db            the database, unless the configuration names another
    blobs/              the bytes of artifacts and objects, unless the configuration names another place
    keys/               keys that must survive a restart; without them sealed values cannot be opened
    root-client.json    the owner's client id and access token
    seed.json           by which state of another instance it was seeded, if it was
    access-tokens.json  of the clients that came with that, or by `tcbox state import`
    seeded              says that what a new instance begins with has been made
    run/instance.json   the running process: id, address, token of its control interface
    logs/tcbox.log      what it has logged, a JSON object a line
    mail/               e-mails that no server was named for, one a file
    work/<kind>/        task folders and caches of the workers inside

The folder is for its owner alone (mode 0700), and so is each file with something secret in it (0600).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tcbox import errors
from tcbox.config import known, places, processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running instance: all that is needed to call it, and to find its process.

    Attributes:
        data: its data folder.
        root_url: under which its clients reach it.
        host, port: where it listens; the port is the one really taken, never 0.
        pid: its process.
        token: opens its control interface, `/instance/`.
        client_id, access_token: the owner's credentials.
        started: ms since the epoch.
        ephemeral: whether its folder goes when it ends.
        process_mark: tells its process from a later one of the same id.
    """

    data: Path
    root_url: str
    host: str
    port: int
    pid: int
    token: str
    client_id: str
    access_token: str
    started: int
    ephemeral: bool = False
    process_mark: str = ""

    def alive(self) -> bool:
        """Whether its process is still there."""
        return processes.alive(self.pid, self.process_mark)


class Instance:
    """A data folder, there or not yet; nothing is made or read before a method is called.

    Args:
        data: the folder; made absolute, so that a later change of directory does no harm.
    """

    def __init__(self, data: Path) -> None:
        self.data = Path(os.path.abspath(data.expanduser()))
        self.database = self.data / "tcbox.db"
        self.blobs = self.data / "blobs"
        self.keys = self.data / "keys"
        self.root_client = self.data / "root-client.json"
        self.run = self.data / "run"
        self.state_file = self.run / "instance.json"
        self.logs = self.data / "logs"
        self.log_file = self.logs / "tcbox.log"
        self.mail = self.data / "mail"
        self.work = self.data / "work"

    @property
    def database_url(self) -> str:
        """The database in this folder, as a URL."""
        from urllib.parse import quote

        return f"sqlite://{quote(str(self.database))}"

    @property
    def blobs_url(self) -> str:
        """The place of blobs in this folder, as a URL."""
        return self.blobs.as_uri()

    def key_file(self, name: str) -> Path:
        """Where a key of a name is kept."""
        return self.keys / f"{name}.key"

    def worker_folder(self, kind: str) -> Path:
        """Where the worker of a kind keeps its tasks' folders."""
        return self.work / kind

    def create(self) -> None:
        """Make the folder and those in it that every instance has; a folder that is there is closed to others.

        Raises TcboxError when the folder cannot be made or is not the user's own.
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.data.stat().st_mode & 0o077:
                self.data.chmod(0o700)
            for folder in (self.keys, self.run, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
        except FileExistsError as error:
            raise errors.TcboxError(
                f"the data folder {self.data} cannot be used: {error.filename} is a file where a folder belongs; move it away, or give another with --data"
            ) from error
        except OSError as error:
            place = "" if error.filename in (None, str(self.data)) else f"{error.filename}: "
            raise errors.TcboxError(
                f"the data folder {self.data} cannot be used: {place}{error.strerror}; give another with --data, or make this one yours"
            ) from error
        for folder in (self.keys, self.run, self.logs):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise errors.TcboxError(f"the data folder {self.data} cannot be used: {folder} may not be written to; make it yours (chmod u+rwx {folder})")

    def announce(
        self, *, root_url: str, host: str, port: int, token: str, client_id: str, access_token: str, started: int,
        ephemeral: bool = False, env: Mapping[str, str] | None = None,
    ) -> Running:  # fmt: skip
        """Say that this process runs on the folder, and, unless it is ephemeral, note the folder among those known."""
        running = Running(
            data=self.data, root_url=root_url, host=host, port=port, pid=os.getpid(), token=token, client_id=client_id,
            access_token=access_token, started=started, ephemeral=ephemeral, process_mark=processes.mark(os.getpid()),
        )  # fmt: skip
        write_private(self.state_file, msgspec.json.format(msgspec.json.encode(_fields(running)), indent=2) + b"\n")
        if not ephemeral:
            known.remember(self.data, os.environ if env is None else env)
        return running

    def withdraw(self) -> None:
        """Take back what `announce` said, if it was this process that said it."""
        found = self.read()
        if found is not None and found.pid == os.getpid():
            with contextlib.suppress(FileNotFoundError):
                self.state_file.unlink()

    def read(self) -> Running | None:
        """What was announced last, whether or not its process is still there; None when nothing readable is there."""
        try:
            stored = msgspec.json.decode(self.state_file.read_bytes(), type=dict[str, Any])
            return msgspec.convert({**stored, "data": self.data}, Running)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def find_running(self) -> Running | None:
        """The instance that runs on this folder, if there is one; a note of one that has died counts for nothing."""
        found = self.read()
        return found if found is not None and found.alive() else None

    def refuse_if_hidden(self) -> None:
        """Raise TcboxError when the folder is closed to this user, who then cannot see whether an instance runs on it."""
        try:
            self.state_file.open("rb").close()
        except PermissionError as error:
            raise errors.TcboxError(
                f"the data folder {self.data} is closed to you, and so is an instance that runs on it: it belongs to {_owner(self.data)}; "
                "work as that user, or name a folder of yours with --data"
            ) from error
        except OSError:
            return

    def refuse_if_running(self) -> None:
        """Raise TcboxError when another process runs on this folder, or the folder does not show whether one does."""
        self.refuse_if_hidden()
        found = self.find_running()
        if found is not None and found.pid != os.getpid():
            raise errors.TcboxError(
                f"an instance already runs on {self.data} (process {found.pid}, {found.root_url}): stop it with "
                f"'tcbox down --data {self.data}', or give this one a folder of its own with --data"
            )


def list_running(env: Mapping[str, str] | None = None) -> list[Running]:
    """Every instance of this user that runs on this machine, ephemeral ones aside."""
    return [running for _, running in list_known(env) if running is not None]


def list_known(env: Mapping[str, str] | None = None) -> list[tuple[Path, Running | None]]:
    """Each data folder that instances have run on, and the instance that runs on it now; the default folder first."""
    env = os.environ if env is None else env
    default = places.default_data(env)
    rest = [folder for folder in known.folders(env) if folder != default]
    first = [default] if os.path.isdir(default / "run") else []  # false where it cannot be seen
    return [(folder, Instance(folder).find_running()) for folder in first + rest]


def write_private(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file that only its owner can read, in one step: readers see the old content or the new, never a part.

    Unless it is to be `durable`, nobody waits until it is on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _owner(path: Path) -> str:
    """The name of the user whose a path is, or of the folder above it that can be seen."""
    import pwd

    for each in (path, *path.parents):
        with contextlib.suppress(OSError):
            uid = each.stat().st_uid
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return f"user {uid}"
    return "another user"


def _fields(running: Running) -> dict[str, Any]:
    names = (name for name in running.__slots__ if name != "data")
    return {name: getattr(running, name) for name in names}
