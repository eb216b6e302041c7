"""Serves a repository to tasks: git's smart HTTP, archives and single files, as GitHub has them. Nothing can be pushed.

Its URLs begin with a secret, so that only who was told can read. Tasks are told, and what tasks are told may be seen by
others: programs of other users of this machine are refused, and so is a browser that a page has led here by a name of
its own.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tcbox import log
from tcbox.workers import peers

if TYPE_CHECKING:
    from aiohttp import web

_LOG = log.get("run")
_CHUNK = 256 * 1024
_PROTOCOL = re.compile(r"[a-z0-9:=.-]{1,100}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_VERSION = re.compile(r"^v(?=\d)")
_ARCHIVES = {".tar.gz": ("tar.gz", "application/gzip"), ".tgz": ("tar.gz", "application/gzip"), ".zip": ("zip", "application/zip")}
_NEVER = "no-cache, max-age=0, must-revalidate"


class Repositories:
    """Serves one bare repository under an owner's and a name.

    Args:
        folder: the repository.
        names: the owner and name that it is served as; asked at each request.
    """

    def __init__(self, folder: Path, owner: str, name: str) -> None:
        self.path = f"{owner}/{name}"
        self._folder = folder
        self._secret = secrets.token_urlsafe(12)
        self._runner: web.ServerRunner | None = None
        self._base = self._host = ""

    async def listen(self, host: str) -> None:
        """Serve at a free port.

        Raises OSError.
        """
        from aiohttp import web

        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, host, 0).start()
        self._runner = runner
        port = runner.addresses[0][1]
        self._host = f"{f'[{host}]' if ':' in host else host}:{port}".lower()
        self._base = f"http://{self._host}/{self._secret}"

    @property
    def base(self) -> str:
        """What stands in place of `https://github.com`."""
        return self._base

    @property
    def url(self) -> str:
        """Of the repository."""
        return f"{self._base}/{self.path}"

    async def close(self) -> None:
        """Stop serving; may be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        if not self._admits(request):
            return web.Response(status=403, text="This is served to tasks of one run alone.\n")
        secret, _, path = unquote(request.path.lstrip("/")).partition("/")
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return web.Response(status=404, text="There is nothing here.\n")
        owner_and_name, _, rest = _split(path)
        if owner_and_name.lower() != self.path.lower():  # what begins alike is somebody else's, and where it always was
            raise web.HTTPFound(f"https://github.com/{request.raw_path.lstrip('/').partition('/')[2]}")
        if request.method == "GET" and rest == "info/refs":
            return await self._refs(request)
        if request.method == "POST" and rest == "git-upload-pack":
            return await self._pack(request)
        if rest == "git-receive-pack":
            return web.Response(status=403, text="Nothing can be pushed here: this is a copy of a work tree.\n")
        if request.method == "GET" and rest.startswith(("archive/", "tarball/", "zipball/")):
            return await self._archive(request, rest)
        if request.method == "GET" and rest.startswith("raw/"):
            return await self._file(request, rest.removeprefix("raw/"))
        return web.Response(status=404, text=f"{self.path} is served for git, archive/<revision>.tar.gz and raw/<revision>/<path>.\n")

    def _admits(self, request: web.BaseRequest) -> bool:
        ends = [request.transport.get_extra_info(name) for name in ("peername", "sockname")] if request.transport is not None else []
        return request.host.lower() == self._host and all(ends) and not peers.strange(*(end[:2] for end in ends))

    # -- git

    async def _refs(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        service = request.query.get("service", "")
        if service != "git-upload-pack":
            text = "Nothing can be pushed here: this is a copy of a work tree.\n" if service else "Only git's smart HTTP is spoken here.\n"
            return web.Response(status=403, text=text)
        response = _response("application/x-git-upload-pack-advertisement")
        await response.prepare(request)
        if not request.headers.get("Git-Protocol", "").startswith("version=2"):
            await response.write(b"001e# service=git-upload-pack\n0000")
        await self._git(("upload-pack", "--strict", "--stateless-rpc", "--http-backend-info-refs", "."), request, response)
        return response

    async def _pack(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _body(request)
        response = _response("application/x-git-upload-pack-result")
        await response.prepare(request)
        await self._git(("upload-pack", "--strict", "--stateless-rpc", "."), request, response, body)
        return response

    async def _git(self, words: tuple[str, ...], request: web.BaseRequest, response: web.StreamResponse, body: bytes = b"") -> int:
        """Send what git writes; its exit code."""
        import os

        protocol = request.headers.get("Git-Protocol", "")
        env = {**os.environ, "LC_ALL": "C", **({"GIT_PROTOCOL": protocol} if _PROTOCOL.fullmatch(protocol) else {})}
        process = await asyncio.create_subprocess_exec(
            "git", *words, cwd=self._folder, env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        said = asyncio.ensure_future(process.stderr.read())
        feeding = asyncio.ensure_future(_feed(process.stdin, body))
        try:
            while chunk := await process.stdout.read(_CHUNK):
                await response.write(chunk)
            await response.write_eof()
        except BaseException:
            process.kill()
            raise
        finally:
            await asyncio.gather(feeding, said, return_exceptions=True)
            code = await process.wait()
        if code:
            _LOG.warning("git ended while it served the work tree", extra={"command": words[0], "code": code, "said": said.result().decode(errors="replace")})
        return code

    # -- what GitHub has besides

    async def _archive(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        kind, _, name = rest.partition("/")
        form, content_type = _ARCHIVES[".zip" if kind == "zipball" else ".tar.gz"]
        if kind == "archive":
            suffix = next((each for each in _ARCHIVES if name.endswith(each)), None)
            if suffix is None:
                return _missing(name)
            (form, content_type), name = _ARCHIVES[suffix], name.removesuffix(suffix)
        if not await self._has(name):
            return _missing(name)
        short = _VERSION.sub("", name.removeprefix("refs/heads/").removeprefix("refs/tags/")).replace("/", "-")
        response = _response(content_type)
        await response.prepare(request)
        await self._git(("archive", f"--format={form}", f"--prefix={self.path.partition('/')[2]}-{short}/", name), request, response)
        return response

    async def _file(self, request: web.BaseRequest, rest: str) -> web.StreamResponse:
        revision, _, path = rest.partition("/")
        spec = f"{revision}:{path}"
        if not path or not await self._has(revision, spec):
            return _missing(rest)
        response = _response("application/octet-stream")
        await response.prepare(request)
        await self._git(("cat-file", "blob", spec), request, response)
        return response

    async def _has(self, revision: str, spec: str = "") -> bool:
        if _REVISION.fullmatch(revision) is None:
            return False
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec("git", "cat-file", "-e", spec or f"{revision}^{{commit}}", cwd=self._folder, stdout=quiet, stderr=quiet)
        return await process.wait() == 0


def _split(path: str) -> tuple[str, str, str]:
    """`owner/name` without `.git`, and what comes after."""
    parts = path.split("/", 2)
    if len(parts) < 2:
        return path, "", ""
    return f"{parts[0]}/{parts[1].removesuffix('.git')}", "/", parts[2] if len(parts) > 2 else ""


async def _feed(stdin: asyncio.StreamWriter, body: bytes) -> None:
    try:
        stdin.write(body)
        await stdin.drain()
    finally:
        stdin.close()


async def _body(request: web.BaseRequest) -> bytes:
    """What git sends, which lists commits it has: small, and sometimes packed, which aiohttp undoes for none but itself."""
    raw = await request.read()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def _response(content_type: str) -> web.StreamResponse:
    from aiohttp import web

    return web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": _NEVER})


def _missing(what: str) -> web.StreamResponse:
    from aiohttp import web

    return web.Response(status=404, text=f"The work tree has no {what}.\n")
