"""E-mail by a mail server."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tcbox import clock as clocks
from tcbox.services.notify import mail
from tcbox.services.notify.channels import SECONDS, Later, Refused, Rejected, Undelivered, Unreachable, said
from tcbox.services.notify.model import Delivery
from tcbox.services.notify.sandbox import Sandbox

if TYPE_CHECKING:
    from aiosmtplib import SMTPResponseException

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which server, and how to be there.

    Attributes:
        security: TLS by STARTTLS, which the server must then offer; from the start; or not at all.
        source: from whom mails are, such as `Taskcluster <taskcluster@example.com>`.
        certificates: in PEM, what the server's is to be signed by, instead of what the machine trusts.
    """

    host: str
    port: int
    source: str
    security: Security = "starttls"
    user: str = ""
    password: str = ""
    certificates: str = ""


class Smtp:
    """Sends mails, each over a connection of its own."""

    def __init__(self, settings: Settings, clock: clocks.Clock, sandbox: Sandbox) -> None:
        self._settings = settings
        self._clock = clock
        self._sandbox = sandbox
        self._tls: ssl.SSLContext | None = None
        self.server = f"{settings.host}:{settings.port}"

    async def deliver(self, delivery: Delivery) -> None:
        """Hand the mail to the server."""
        import aiosmtplib

        chosen = self._settings
        message = await mail.build(delivery, chosen.source, self._clock.now(), self._sandbox)
        try:
            await aiosmtplib.send(
                message, recipients=[delivery.notification.address], hostname=chosen.host, port=chosen.port,
                use_tls=chosen.security == "tls", start_tls=chosen.security == "starttls", tls_context=self._context(),
                username=chosen.user or None, password=chosen.password or None, timeout=SECONDS, local_hostname=_own_name(),
            )  # fmt: skip
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise fault(error) from None

    def _context(self) -> ssl.SSLContext | None:
        if self._settings.security == "none":
            return None
        if self._tls is None:
            try:
                self._tls = ssl.create_default_context(cadata=self._settings.certificates or None)
            except (ssl.SSLError, ValueError) as error:
                raise Rejected(f"services.notify.email.certificates are not certificates in PEM: {said(error)}") from None
        return self._tls

    async def close(self) -> None:
        """No connection is kept."""


def _own_name() -> str:
    """What this machine calls itself to a mail server; found out without asking a name server."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def fault(error: Exception) -> Undelivered:
    """What an error of the mail library means."""
    import aiosmtplib

    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answer(error)
    if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
        return Rejected(said(error))  # the server cannot do what the settings ask for, such as STARTTLS or a sign-in
    return Unreachable(said(error) or ("it does not answer in time" if isinstance(error, TimeoutError) else type(error).__name__))


def _answer(error: SMTPResponseException) -> Undelivered:
    import aiosmtplib

    words = said(f"{error.code} {said(error.message)}")
    if error.code in (421, 454) or isinstance(error, aiosmtplib.SMTPConnectResponseError):
        return Unreachable(words)
    if error.code in (530, 534, 535, 538) or isinstance(error, (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPHeloError)):
        return Rejected(words)
    if isinstance(error, (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError)):
        return Refused(words) if error.code >= 500 else Later(words)
    return Unreachable(words)
