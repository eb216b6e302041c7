"""The address to listen on, whether it is this machine's, free, and this user's to take; and the AMQP server."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from tcbox import errors
from tcbox.cli.checkup.finding import Finding, Patient, ok, wrong
from tcbox.config import instance as instances


def port(patient: Patient) -> Iterator[Finding]:
    """Whether `tcbox up` could listen there."""
    host, number = patient.settings.host, patient.settings.port
    if patient.running is not None:
        if not _answers(patient.running):
            where = f"{patient.running.root_url}, process {patient.running.pid},"
            yield wrong("port", f"{where} does not answer", f"tcbox down {patient.flag} && tcbox up --detach {patient.flag}")
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(1)
    except OSError as error:
        yield _fault(error, host, number)
    else:
        yield ok("port", f"{number} on {host} is free" if number else f"any free one on {host}")


def broker(patient: Patient) -> Iterator[Finding]:
    """Whether the AMQP server that events go to can be reached, and whether there is what it takes to talk to it."""
    from tcbox.box import events

    try:
        place = events.server(patient.settings)
    except errors.TcboxError as error:
        yield wrong("events", str(error), "pip install 'tcbox[amqp]'")
        return
    if place is None:
        return
    parts = urlsplit(place.url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5).close()
    except OSError as error:
        why = error.strerror or "it does not answer"
        yield wrong("events", f"{place.place} cannot be reached: {why}. Events wait until it can; start it, or mend `events` in the configuration")
    else:
        yield ok("events", f"{place.place} answers")


def _answers(running: instances.Running) -> bool:
    import http.client

    connection = http.client.HTTPConnection(running.host, running.port, timeout=5)
    try:
        connection.request("GET", "/__lbheartbeat__")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _fault(error: OSError, host: str, number: int) -> Finding:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return wrong("port", f"{host} is no address of this machine: set host to one that is, such as 127.0.0.1", "ip -brief address")
    if error.errno == errno.EACCES:
        return wrong("port", f"port {number} is below 1024, and this user may not listen there", f"sudo sysctl net.ipv4.ip_unprivileged_port_start={number}")
    if error.errno == errno.EADDRINUSE:
        taker = next((each for each in instances.list_running() if each.port == number), None)
        if taker is not None:
            return wrong("port", f"port {number} on {host} is taken by the instance on {taker.data}: choose another port", "tcbox up --port 0")
        return wrong("port", f"port {number} on {host} is taken by another program: choose another port, or stop that program", f"ss -ltnp 'sport = :{number}'")
    return wrong("port", f"cannot listen on {host}:{number}: {error.strerror or error}")
