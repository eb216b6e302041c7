"""A database file belongs to one process: its lock file says to which."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from tcbox import errors
from tcbox.db.errors import DataFolderLocked

_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class FileLock:
    """The exclusive lock on `<database>.lock`, which the system takes back when the process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        self.path = Path(f"{database}.lock")
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock and write this process's id into its file.

        Raises DataFolderLocked when another has it, TcboxError when the folder is not there or may not be written to.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in _CLOSED:
                raise
            database = self.path.with_suffix("")
            raise errors.TcboxError(
                f"the database {database} cannot be used, for {self.path.name} cannot be written beside it: {error.strerror}; "
                "give the path of a database in a folder that you may write to"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise DataFolderLocked(
                f"another tcbox (process {owner}) has the data in {self.path.parent} open ({self.path.name} is "
                "locked): stop it, or give this one a data folder of its own"
            ) from error
        with contextlib.suppress(OSError):  # the id is for people: a full disk must not keep the lock from holding
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; may be called twice. The file stays, for to remove it would race with the next owner."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)
