"""The bench's own HTTP client: one keep-alive connection each, as little work per request as Python allows.

A driver that costs as much as the server measures itself; this one costs about a third, and says how much.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from urllib.parse import urlsplit


def slugid() -> str:
    raw = bytearray(uuid.uuid4().bytes)
    raw[0] &= 0x7F
    return base64.urlsafe_b64encode(raw)[:22].decode()


def wire_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


class Signer:
    """Hawk, as the Python client signs: with a hash of the payload."""

    def __init__(self, client_id: str, access_token: str, certificate: str | None, host: str, port: int) -> None:
        self.client_id = client_id
        self.key = access_token.encode()
        self.host, self.port = host, port
        self.ext = ""
        if certificate:
            self.ext = base64.b64encode(json.dumps({"certificate": json.loads(certificate)}).encode()).decode()

    def header(self, method: str, resource: str, body: bytes | None) -> str:
        stamp, nonce, digest = str(int(time.time())), os.urandom(4).hex(), ""
        if body is not None:
            digest = base64.b64encode(hashlib.sha256(b"hawk.1.payload\napplication/json\n" + body + b"\n").digest()).decode()
        text = f"hawk.1.header\n{stamp}\n{nonce}\n{method}\n{resource}\n{self.host}\n{self.port}\n{digest}\n{self.ext}\n"
        mac = base64.b64encode(hmac.digest(self.key, text.encode(), "sha256")).decode()
        made = f'Hawk id="{self.client_id}", ts="{stamp}", nonce="{nonce}", mac="{mac}"'
        if digest:
            made += f', hash="{digest}"'
        if self.ext:
            made += f', ext="{self.ext}"'
        return made


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiter: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"Content-Length: ", 0, end)
        length = int(self.buffer[at + 16 : self.buffer.index(b"\r\n", at)]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        status, body = int(self.buffer[9:12]), self.buffer[end + 4 : end + 4 + length]
        self.buffer = b""
        if self.waiter is not None:
            self.waiter.set_result((status, body))

    def request(self, data: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(data)  # type: ignore[attr-defined]
        return self.waiter


class Client:
    """An instance as one virtual client sees it."""

    def __init__(self, root_url: str, client_id: str, access_token: str) -> None:
        parts = urlsplit(root_url)
        self.host, self.port = parts.hostname or "localhost", parts.port or 80
        self.signer = Signer(client_id, access_token, None, self.host, self.port)

    async def connect(self) -> Client:
        _, self.connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
        return self

    async def call(self, method: str, service: str, path: str, payload: object = None, signer: Signer | None = None, *, signed: bool = True) -> bytes:
        resource = f"/api/{service}/v1{path}"
        body = None if payload is None else json.dumps(payload).encode()
        head = f"{method} {resource} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        if signed:
            head += f"Authorization: {(signer or self.signer).header(method, resource, body)}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        elif method != "GET":
            head += "Content-Length: 0\r\n"
        status, reply = await self.connection.request(head.encode() + b"\r\n" + (body or b""))
        if status >= 400:
            raise RuntimeError(f"{method} {resource}: {status} {reply[:500].decode()}")
        return reply
