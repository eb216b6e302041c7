"""A mail server (aiosmtpd) on a free port of this machine, with TLS, sign-in and refusals as a test wants them."""

from __future__ import annotations

import asyncio
import datetime
import email
import ipaddress
import ssl
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "mailer", "mail-pass-7f3a"


class MailServer:
    """What it got, and how it behaves.

    Attributes:
        mails: each with its envelope's recipient.
        answers: what it says to a recipient, or to the data under "data", instead of taking it.
    """

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.raw: list[bytes] = []
        self.answers: dict[str, str] = {}
        self.private: list[bool] = []
        self.users: list[str] = []
        self.connections = 0
        self.port = 0
        self.certificate = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "data" in self.answers:
            return self.answers["data"]
        self.private.append(session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None)
        self.raw.append(envelope.content)
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails += [(address, message) for address in envelope.rcpt_tos]
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        if good:
            self.users.append(USER)
        return AuthResult(success=good, handled=good)


def self_signed() -> tuple[str, str]:
    """A certificate for this machine and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@asynccontextmanager
async def mail_server(*, tls: str = "none", sign_in: bool = False, port: int = 0) -> AsyncIterator[MailServer]:
    """A server that speaks plainly, by STARTTLS alone, or by TLS alone; and that wants a sign-in or not."""
    made = MailServer()
    context = None
    if tls != "none":
        made.certificate, key = self_signed()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "c.pem").write_text(made.certificate)
            (Path(folder) / "k.pem").write_text(key)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(f"{folder}/c.pem", f"{folder}/k.pem")
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        made.connections += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a sign-in without STARTTLS, even below TLS
            return SMTP(
                made, hostname="localhost", loop=loop, tls_context=context if tls == "starttls" else None, require_starttls=tls == "starttls",
                auth_required=sign_in, auth_require_tls=tls == "starttls", authenticator=made.authenticate if sign_in else None,
            )  # fmt: skip

    server = await loop.create_server(protocol, "127.0.0.1", port, ssl=context if tls == "tls" else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
