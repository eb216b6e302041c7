"""Chain of trust: a signed statement of what a task was, where it ran and what it made, for others to verify.

The key is an ed25519 key of the worker's own, made on its first start. The public half lies beside it, in base64 as the
tools that verify chains of trust want it.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox import errors
from tcbox.workers.runs import Run
from tcbox.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LOG, STATEMENT, SIGNATURE = "public/logs/certified.log", "public/chain-of-trust.json", "public/chain-of-trust.json.sig"
NAMES = (LOG, STATEMENT, SIGNATURE)
_PRIVATE, _PUBLIC = "chain-of-trust.key", "chain-of-trust.pub"


class Key:
    """A worker's signing key.

    Attributes:
        public: the public half, in base64.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = base64.b64encode(private.public_key().public_bytes_raw()).decode()

    @classmethod
    def of(cls, folder: Path) -> Key:
        """The key that a worker keeps in its folder, made when there is none; blocking.

        Raises TcboxError when what is there is no key.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path = folder / _PRIVATE
        if not path.exists():
            _write(path, base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()), 0o600)
        try:
            seed = base64.b64decode(path.read_bytes(), validate=False)[:32]  # what follows in keys of 64 bytes is the public half
            key = cls(Ed25519PrivateKey.from_private_bytes(seed))
        except ValueError as error:
            raise errors.TcboxError(f"{path} is no ed25519 key in base64 ({error}): restore it, or remove it to have a new one made") from error
        public = folder / _PUBLIC
        if not public.exists() or public.read_text(encoding="ascii").strip() != key.public:
            _write(public, f"{key.public}\n".encode(), 0o644)
        return key

    def sign(self, statement: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._private.sign(statement)


@dataclass(slots=True)
class Trust:
    """What a run that asks for a certificate carries along.

    Attributes:
        environment: where the task ran; added to while it runs.
        additional: what the task itself wants to stand in the statement; it replaces nothing of the worker's.
    """

    key: Key
    environment: dict[str, Any] = field(default_factory=dict)
    additional: dict[str, Any] = field(default_factory=dict)


def environment(settings: WorkerSettings) -> dict[str, Any]:
    """Where a worker runs, as a statement says it."""
    import json
    import socket

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # says which address would be used; nothing is sent
            sock.connect(("192.0.2.1", 9))
            address = sock.getsockname()[0]
    except OSError:
        address = "127.0.0.1"
    place = json.loads(settings.location) if settings.location else {}
    return {
        "privateIpAddress": address,
        "instanceId": settings.worker_id,
        "instanceType": settings.instance_type or "",
        "region": place.get("region", "") if isinstance(place, dict) else "",
    }


def merged(additional: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Both as one object, also below; where they disagree it is as told."""
    found = {**additional, **told}
    for name in additional.keys() & told.keys():
        if isinstance(additional[name], dict) and isinstance(told[name], dict):
            found[name] = merged(additional[name], told[name])
    return found


def statement(run: Run, settings: WorkerSettings, hashes: dict[str, str], environment: dict[str, Any], additional: dict[str, Any] | None = None) -> bytes:
    """The statement to be signed, as JSON.

    Args:
        hashes: for each artifact the SHA-256 of its content, in hexadecimal.
        additional: what else is to stand in it, where it says nothing itself.
    """
    import json

    told = {
        "chainOfTrustVersion": 1,
        "artifacts": {name: {"sha256": digest} for name, digest in sorted(hashes.items())},
        "task": run.task,
        "taskId": run.task_id,
        "runId": run.run_id,
        "workerGroup": settings.worker_group,
        "workerId": settings.worker_id,
        "environment": environment,
    }
    return json.dumps(merged(additional or {}, told), indent=2, ensure_ascii=False).encode()


def verified(keys: list[str], statement: bytes, signature: bytes) -> bool:
    """Whether a signature is one of these public keys', each in base64."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(signature, statement)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _write(path: Path, content: bytes, mode: int) -> None:
    part = path.with_suffix(".new")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
