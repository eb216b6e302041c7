"""Stands between a client and an instance, and makes the instance another one: documents and answers can be changed."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class ChangingProxy:
    """Passes all on as it is, but for what stands in `changed` and `answers`.

    Attributes:
        changed: by path, what is done to a document.
        answers: by method and the beginning of a path, a status, a body and its kind, in the instance's place.
        agents: the User-Agents that were seen.
    """

    def __init__(self, root_url: str) -> None:
        self.changed: dict[str, Callable[[Any], Any]] = {}
        self.answers: dict[tuple[str, str], tuple[int, str, str]] = {}
        self.agents: set[str] = set()
        target = urlsplit(root_url).netloc
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def _answer(self) -> None:
                outer.agents.add(self.headers.get("User-Agent", ""))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                found = next((said for (verb, start), said in outer.answers.items() if verb == self.command and path.startswith(start)), None)
                if found is not None:
                    status, text, kind = found
                    raw = text.encode()
                else:
                    link = http.client.HTTPConnection(target, timeout=60)
                    link.request(self.command, self.path, body, dict(self.headers))  # the Host as it was, since it is signed
                    reply = link.getresponse()
                    status, kind, raw = reply.status, reply.headers.get("Content-Type", ""), reply.read()
                    link.close()
                    if path in outer.changed and status == 200:
                        raw = json.dumps(outer.changed[path](json.loads(raw))).encode()
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_PUT = do_POST = do_DELETE = _answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.root_url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
