"""Tells who signed a request, by its Authorization header or the bewit in its URL.

A certificate that was found good is remembered, so that the next request with it costs little. What can change since,
the time and the issuer's key and scopes, is looked at each time. Source: Taskcluster's manual on authentication.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from tcbox.credentials import bewit, hawk, temporary
from tcbox.credentials.identity import ANONYMOUS, NO_CLIENT, ClientRecord, Expand, Failure, LazyScopes, SignedRequest, Success
from tcbox.credentials.keys import Key
from tcbox.scopes import ScopeSet

ANONYMOUS_MS = 15 * 60 * 1000  # how long an anonymous caller counts as authenticated
SKEW_MS = 15 * 60 * 1000  # clocks are often wrong; TLS is what keeps requests from being replayed

Clients = Callable[[str], ClientRecord | None]


class _Holder(msgspec.Struct, frozen=True):
    """Who may sign with which key, and what the credentials give; derived from `issuer` and `ext`."""

    key: Key
    expires_ms: int
    scopes: ScopeSet
    issuer: ClientRecord
    ext: temporary.Ext | None = None
    authorized: ScopeSet | None = None


class SignatureValidator:
    """Validates signed requests, without waiting for anything.

    Args:
        clients: finds a client by its id, None when there is none; it is asked at each request.
        expand: adds to scopes what their roles give; asked only when a question needs it, so roles may change.
        remembered: how many certificates are remembered.
        wall: the time by which callers sign, in ms, where it is another than the one that is given with each request.
    """

    def __init__(
        self,
        clients: Clients,
        expand: Expand,
        *,
        remembered: int = 4096,
        wall: Callable[[], int] | None = None,
    ) -> None:
        self._clients = clients
        self._expand = expand
        self._remembered = remembered
        self._wall = wall
        self._plain: dict[str, _Holder] = {}  # of clients that sign for themselves
        self._holders: OrderedDict[tuple[str, str], _Holder] = OrderedDict()

    def validate(self, request: SignedRequest, now_ms: int) -> Success | Failure:
        """Who signed the request; a Success also when nobody did, with the scopes of the `anonymous` role."""
        try:
            if request.authorization:
                if bewit.in_query(request.resource):
                    return Failure("Cannot use two authentication schemes at once: send either the Authorization header or the bewit in the query")
                return self._by_header(request, request.authorization, now_ms)
            if bewit.carries(request.resource):
                return self._by_bewit(request, now_ms)
        except (hawk.HawkError, temporary.CertificateError) as error:
            return Failure(str(error))
        return Success("none", NO_CLIENT, now_ms + ANONYMOUS_MS, LazyScopes(ANONYMOUS, self._expand))

    def _by_header(self, request: SignedRequest, authorization: str, now_ms: int) -> Success:
        header = hawk.parse_authorization(authorization)
        holder = self._holder(header.id, header.ext, now_ms)
        if not hawk.verify(header, holder.key, method=request.method, resource=request.resource, host=request.host, port=request.port):
            raise hawk.HawkError(
                f"Unauthorized: Bad mac: the signature does not fit {request.method.upper()} {request.resource} at {request.host}:{request.port} "
                "and this client's access token"
            )
        off = header.ts * 1000 - now_ms
        if abs(off) > SKEW_MS and (self._wall is None or abs(header.ts * 1000 - self._wall()) > SKEW_MS):
            raise hawk.HawkError(
                f"Unauthorized: Stale timestamp: the request's time is {abs(off) // 1000} seconds {'ahead of' if off > 0 else 'behind'} "
                f"the server's, and may be {SKEW_MS // 1000} off; set the clock"
            )
        return self._success("hawk", header.id, header.ext, holder, header.hash or None)

    def _by_bewit(self, request: SignedRequest, now_ms: int) -> Success:
        resource, code = bewit.strip(request.resource)
        if request.method.upper() not in ("GET", "HEAD"):
            raise hawk.HawkError(f"Unauthorized: Invalid method: a bewit allows GET and HEAD, not {request.method.upper()}")
        parsed = bewit.parse(code)
        holder = self._holder(parsed.id, parsed.ext, now_ms)
        if not bewit.verify(parsed, holder.key, resource=resource, host=request.host, port=request.port):
            raise hawk.HawkError(
                f"Unauthorized: Bad mac: the bewit's signature does not fit {resource} at {request.host}:{request.port} and this client's access token"
            )
        if parsed.exp * 1000 <= now_ms:
            raise hawk.HawkError("Unauthorized: Access expired: the URL's time is over, have a new one signed")
        return self._success("bewit", parsed.id, parsed.ext, holder, None)

    def _success(self, scheme: str, client_id: str, ext: str, holder: _Holder, hash: str | None) -> Success:  # noqa: A002 - Hawk's word
        if ext:
            self._remember((client_id, ext), holder)
        scopes = holder.scopes
        if holder.authorized is not None:
            self._check_authorized(scopes, holder.authorized)
            scopes = holder.authorized
        return Success("bewit" if scheme == "bewit" else "hawk", client_id, holder.expires_ms, LazyScopes(scopes, self._expand), hash)

    def _holder(self, client_id: str, ext: str, now_ms: int) -> _Holder:
        if not ext:
            return self._itself(self._client(client_id, now_ms))
        known = self._holders.get((client_id, ext))
        parsed = known.ext if known is not None and known.ext is not None else temporary.parse_ext(ext)
        certificate = parsed.certificate
        if certificate is None:
            record = self._client(client_id, now_ms)
        else:
            if certificate.issuer == client_id:
                raise temporary.CertificateError("ext.certificate.issuer must differ from the supplied clientId")
            record = self._client(certificate.issuer or client_id, now_ms)
            temporary.check_times(certificate, now_ms)
        if known is not None and (known.issuer is record or (certificate is not None and known.issuer == record)):
            self._holders.move_to_end((client_id, ext))
            return known
        return _derive(client_id, self._itself(record), parsed)

    def _itself(self, record: ClientRecord) -> _Holder:
        """A client as it signs without a certificate; made anew when anything about it has changed."""
        known = self._plain.get(record.client_id)
        if known is None or known.issuer is not record:
            if len(self._plain) >= self._remembered:
                self._plain.clear()
            known = self._plain[record.client_id] = _Holder(Key(record.access_token), record.expires_ms, record.scopes, record)
        return known

    def _client(self, client_id: str, now_ms: int) -> ClientRecord:
        record = self._clients(client_id)
        if record is None:
            raise hawk.HawkError(f"Client with clientId '{client_id}' not found")
        if record.disabled:
            raise hawk.HawkError(f"Client with clientId '{client_id}' is disabled")
        if record.expires_ms < now_ms:
            raise hawk.HawkError(f"Client with clientId '{client_id}' has expired")
        return record

    def _check_authorized(self, scopes: ScopeSet, authorized: ScopeSet) -> None:
        if scopes.satisfies_all(authorized):
            return
        whole = LazyScopes(scopes, self._expand).expanded
        if not whole.satisfies_all(authorized):
            held, wanted = "\n".join(whole), "\n".join(authorized)
            raise temporary.CertificateError(
                "Supplied credentials do not satisfy authorizedScopes; credentials have scopes:\n\n"
                f"```\n{held}\n```\n\nauthorizedScopes are:\n\n```\n{wanted}\n```"
            )

    def _remember(self, key: tuple[str, str], holder: _Holder) -> None:
        self._holders[key] = holder
        if len(self._holders) > self._remembered:
            self._holders.popitem(last=False)


def _derive(client_id: str, issuer: _Holder, ext: temporary.Ext) -> _Holder:
    """What a client's credentials become by the ext of a request; raises CertificateError when they do not allow it."""
    record, key, expires, scopes = issuer.issuer, issuer.key, issuer.expires_ms, issuer.scopes
    certificate = ext.certificate
    if certificate is not None:
        _check_issuer(certificate, client_id, record)
        temporary.check_signature(certificate, client_id, key)
        key = Key(temporary.derived_token(key, certificate.seed))
        expires = min(expires, int(certificate.expiry))
        scopes = ScopeSet(certificate.scopes)
    authorized = None if ext.authorized_scopes is None else ScopeSet(ext.authorized_scopes)
    return _Holder(key, expires, scopes, record, ext, authorized)


def _check_issuer(certificate: temporary.Certificate, client_id: str, record: ClientRecord) -> None:
    if record.client_id != client_id:
        needed = f"auth:create-client:{client_id}"
        if not record.scopes.satisfies(needed):
            raise temporary.CertificateError(f"ext.certificate issuer `{record.client_id}` doesn't have `{needed}` for supplied clientId.")
    elif certificate.claims_name:
        raise temporary.CertificateError("ext.certificate.clientId must only be used with ext.certificate.issuer")
    if not record.scopes.satisfies_all(certificate.scopes):
        listed = ", ".join(certificate.scopes)
        raise temporary.CertificateError(
            f"ext.certificate issuer `{record.client_id}` doesn't satisfy all certificate scopes {listed}.  "
            "The temporary credentials were not generated correctly."
        )
