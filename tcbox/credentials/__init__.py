"""Credentials: how requests are signed, by Hawk headers, bewits and temporary credentials, and who signed them. No I/O."""

from __future__ import annotations

from tcbox.credentials.bewit import Bewit
from tcbox.credentials.hawk import HawkError, HawkHeader, parse_authorization, payload_hash, sign_header
from tcbox.credentials.identity import ANONYMOUS, NO_CLIENT, ClientRecord, Failure, LazyScopes, SignedRequest, Success
from tcbox.credentials.temporary import Certificate, CertificateError, Credentials, create, make_ext
from tcbox.credentials.validator import SignatureValidator

__all__ = [
    "ANONYMOUS",
    "NO_CLIENT",
    "Bewit",
    "Certificate",
    "CertificateError",
    "ClientRecord",
    "Credentials",
    "Failure",
    "HawkError",
    "HawkHeader",
    "LazyScopes",
    "SignatureValidator",
    "SignedRequest",
    "Success",
    "create",
    "make_ext",
    "parse_authorization",
    "payload_hash",
    "sign_header",
]
