"""Secrets at rest: sealed bytes that only the holder of a key, kept apart from the database, can open.

AES-256-GCM (NIST SP 800-38D). A sealed value is

    1 byte      version of this form, 1
    8 bytes     id of the key, from its SHA-256
    12 bytes    nonce, random
    the rest    ciphertext and its 16-byte tag

and is bound to a context, such as `secrets/project/x`, so that a value cannot be moved from one place to another.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tcbox import errors

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_VERSION = 1
_ID = 8
_NONCE = 12
_HEAD = 1 + _ID + _NONCE


class SealError(errors.TcboxError):
    """A key or a sealed value cannot be used."""


class Sealer:
    """Seals with one key, and opens what that key or an older one sealed.

    Args:
        key: 32 random bytes.
        old_keys: keys that sealed before this one; nothing new is sealed with them.

    Raises SealError when a key has another length.
    """

    def __init__(self, key: bytes, old_keys: Sequence[bytes] = ()) -> None:
        for each in (key, *old_keys):
            if len(each) != KEY_BYTES:
                raise SealError(f"a key for sealing has {len(each)} bytes: give one of {KEY_BYTES} random bytes")
        self._key = key
        self._id = _id(key)
        self._keys = {_id(each): each for each in (*old_keys, key)}
        self._ciphers: dict[bytes, AESGCM] = {}
        self._prefix = bytes([_VERSION]) + self._id

    @property
    def key_id(self) -> str:
        """The id of the key that seals, 16 hexadecimal digits; it tells nothing of the key itself."""
        return self._id.hex()

    def seal(self, plaintext: bytes, *, context: str) -> bytes:
        """Seal bytes; `open` needs the same context."""
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers.get(self._id) or self._cipher(self._id)
        return self._prefix + nonce + cipher.encrypt(nonce, plaintext, context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """The bytes that were sealed for this context.

        Raises SealError when the key is not here, or the value was changed or belongs elsewhere.
        """
        if len(sealed) < _HEAD or sealed[0] != _VERSION:
            raise SealError(f"the sealed value of {context} has a form that this release does not know: it was damaged, or written by a newer tcbox")
        key_id = bytes(sealed[1 : 1 + _ID])
        cipher = self._ciphers.get(key_id) or self._cipher(key_id, context)
        from cryptography.exceptions import InvalidTag

        try:
            return cipher.decrypt(bytes(sealed[1 + _ID : _HEAD]), bytes(sealed[_HEAD:]), context.encode())
        except InvalidTag:
            raise SealError(
                f"the sealed value of {context} was changed after it was written, or moved there from another place: restore it from a backup, or set it again"
            ) from None

    def derive(self, purpose: str) -> bytes:
        """32 bytes for another purpose, such as signing URLs, that tell nothing of the key (HMAC-SHA256)."""
        return hmac.digest(self._key, b"tcbox derived key\0" + purpose.encode(), "sha256")

    def _cipher(self, key_id: bytes, context: str = "") -> AESGCM:
        key = self._keys.get(key_id)
        if key is None:
            raise SealError(
                f"the sealed value of {context} needs the key {key_id.hex()}, and here are only {', '.join(k.hex() for k in self._keys)}: "
                "put that key's line back into the key file, below the current one (it is in the backup of the data folder that the value comes from)"
            )
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        cipher = self._ciphers[key_id] = AESGCM(key)
        return cipher


def _id(key: bytes) -> bytes:
    return hashlib.sha256(b"tcbox key id\0" + key).digest()[:_ID]


def load_or_make(path: Path, *, durable: bool = True) -> Sealer:
    """The sealer of a key file, which is made, with mode 0600, when it is not there.

    The file holds a key a line in base64: the first seals, the others are older ones that still open. To change the
    key, put a new line on top. Unless it is to be `durable`, the file is not waited for until it is on the disk.

    Raises SealError when the file cannot be read or written, or holds something else.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        text = _make(path, durable=durable)
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(
            f"the key file {path} cannot be read ({error}): give the user that runs tcbox the right to read it, or restore it from a backup"
        ) from None
    return from_text(text, f"the key file {path}")


def from_text(text: str, place: str) -> Sealer:
    """The sealer of keys in base64, one a line: the first seals, the others are older ones that still open.

    Args:
        place: where the text comes from, for messages.

    Raises SealError when there is none, or something else.
    """
    keys = [_decode(line, place, number) for number, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not keys:
        raise SealError(f"{place} is empty: restore it from a backup; only if nothing is sealed yet, remove it to have a new one made")
    return Sealer(keys[0], keys[1:])


def _decode(line: str, place: str, number: int) -> bytes:
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(line.strip(), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise SealError(f"line {number} of {place} is no key: a key is {KEY_BYTES} bytes in base64, 44 characters; restore it from a backup")


def _make(path: Path, *, durable: bool) -> str:
    """Write a new key under a name of its own, then give it the file's name unless another process was faster."""
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(text)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            _name(temporary, path)
            if durable:
                _sync_folder(path.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise SealError(
            f"the key file {path} cannot be made ({error}): give the user that runs tcbox the right to write in {path.parent}, and free space there"
        ) from None


def _name(temporary: Path, path: Path) -> None:
    link: Callable[[Path, Path], None] = os.link
    try:
        link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            os.rename(temporary, path)


def _sync_folder(path: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
