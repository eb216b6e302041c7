"""A Docker registry with one repository, over real HTTP: what an engine asks of one to pull, and refusals as registries word them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json

from aiohttp import web

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Serves the image of a root file system's tar as `team/image:1`; with a password, to those who know it."""

    def __init__(self, layer: bytes, *, login: tuple[str, str] | None = None) -> None:
        packed = gzip.compress(layer, 1, mtime=0)
        diff = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        config = {
            "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["true"]}, "rootfs": {"type": "layers", "diff_ids": [diff]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "test"}],
        }  # fmt: skip
        self.pulls = 0
        self._login = login
        self._blobs: dict[str, bytes] = {}
        manifest = {
            "schemaVersion": 2, "mediaType": _MANIFEST, "config": self._kept(json.dumps(config).encode(), "application/vnd.docker.container.image.v1+json"),
            "layers": [self._kept(packed, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        }  # fmt: skip
        self._manifest = json.dumps(manifest).encode()

    async def start(self) -> web.AppRunner:
        """Serve on the loopback address, at any free port; engines need no certificate there."""
        app = web.Application()
        app.router.add_route("*", "/v2/", self._root)
        app.router.add_route("*", "/v2/{name:.+}/manifests/{ref}", self._manifests)
        app.router.add_route("*", "/v2/{name:.+}/blobs/{digest}", self._blob)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = "127.0.0.1:%d" % runner.addresses[0][1]
        return runner

    def _kept(self, content: bytes, kind: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}

    def _check(self, request: web.Request) -> None:
        if self._login is None:
            return
        expected = "Basic " + base64.b64encode(":".join(self._login).encode()).decode()
        if request.headers.get("Authorization") != expected:
            body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
            raise web.HTTPUnauthorized(text=body, headers={"WWW-Authenticate": 'Basic realm="test"'}, content_type="application/json")

    async def _root(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def _manifests(self, request: web.Request) -> web.Response:
        self._check(request)
        digest = f"sha256:{hashlib.sha256(self._manifest).hexdigest()}"
        if request.match_info["name"] != "team/image" or request.match_info["ref"] not in ("1", digest):
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, status=404)
        self.pulls += request.method == "GET"
        return web.Response(body=self._manifest, content_type=_MANIFEST, headers={"Docker-Content-Digest": digest})

    async def _blob(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.Response(body=self._blobs[request.match_info["digest"]], content_type="application/octet-stream")
