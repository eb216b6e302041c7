"""Stops a worker's containers when the worker is killed, at once and not only when another one starts.

Runs as a program of its own (`python -I -S watchdog.py <engine's address> <label> <folder>`), with a socket to the worker
as standard input. When that closes without a word, every container and network with the label is removed, and each volume
that a file in the folder is named after, when the label ends in what the file holds.
"""

from __future__ import annotations

import os
import signal
import sys


def main(address: str, label: str, folder: str) -> None:
    """Wait until the worker says a word or is gone; clean up when it is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not os.read(0, 1):
        _clear(address, label, folder)


def _clear(address: str, label: str, folder: str) -> None:
    import json
    from urllib.parse import quote

    query = "filters=" + quote(json.dumps({"label": [label]}))
    for container in json.loads(_ask(address, "GET", f"/containers/json?all=1&{query}")):
        _ask(address, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
    for network in json.loads(_ask(address, "GET", f"/networks?{query}")):
        _ask(address, "DELETE", f"/networks/{network['Id']}")
    for entry in list(os.scandir(folder)) if os.path.isdir(folder) else ():
        with open(entry.path, encoding="ascii") as file:
            mine = label.endswith("=" + file.read())
        if mine:
            _ask(address, "DELETE", f"/volumes/{quote(entry.name)}?force=1")


def _ask(address: str, verb: str, path: str) -> bytes:
    import http.client
    import socket

    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        connection = http.client.HTTPConnection("docker", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(rest)
    else:
        connection = http.client.HTTPConnection(rest, timeout=60)
    try:
        connection.request(verb, path)
        return connection.getresponse().read()
    finally:
        connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
