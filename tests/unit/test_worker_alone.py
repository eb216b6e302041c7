"""A worker on its own: what can never work is refused at the start, with what to do."""

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web

from tcbox import clock as clocks
from tcbox import errors
from tcbox.cli import main
from tcbox.client.http import Credentials, Http
from tcbox.workers.run import run
from tcbox.workers.settings import WorkerSettings
from tests.support import rights
from tests.support.box import clean_env
from tests.support.fake_queue import FakeQueue

TOKEN = "t" * 22
RIGHT = {"TASKCLUSTER_ROOT_URL": "http://127.0.0.1:1", "TASKCLUSTER_CLIENT_ID": "c", "TASKCLUSTER_ACCESS_TOKEN": TOKEN}


@pytest.mark.parametrize(
    ("kind", "words", "env", "expected"),
    [
        ("host", ["--queue", "local"], {}, "--queue: expected a task queue such as local/docker, in small letters after the slash, found 'local'"),
        ("host", ["--queue", "a/B"], {}, "--queue: expected"),
        ("host", ["--worker-id", "a b"], {}, "--worker-id: expected at most 38 letters, digits, dashes and underscores, found 'a b'"),
        ("host", ["--worker-group", "x" * 39], {}, "--worker-group: expected"),
        ("host", ["--serve", "a*"], {}, "--serve: expected a task queue, or a pattern of them"),
        ("host", ["--root-url", "localhost:8090"], {}, "--root-url: expected a root URL such as https://tc.example.com"),
        ("host", [], {"TASKCLUSTER_ROOT_URL": "http://x/api"}, "TASKCLUSTER_ROOT_URL: expected a root URL"),
        ("host", [], {"TASKCLUSTER_ACCESS_TOKEN": "hunter2"}, "TASKCLUSTER_ACCESS_TOKEN: expected 22 to 66 letters"),
        ("docker", ["--cpus", "-1"], {}, "--cpus: expected a number from 0"),
        ("docker", ["--trusted-key", "x"], {}, "--trusted-key: expected a public ed25519 key"),
        ("host", ["--privileged"], {}, "--privileged goes with --kind docker: a host worker makes nothing of it"),
        ("host", ["--memory-mb", "5"], {}, "--memory-mb goes with --kind docker"),
        ("docker", ["--no-d2g"], {}, "--no-d2g goes with --kind host"),
        ("builtin", ["--queue", "a/b"], {}, "--queue goes with --kind docker or --kind host"),
        ("builtin", ["--free-disk-mb", "1"], {}, "--free-disk-mb goes with --kind docker or --kind host"),
    ],
)
def test_what_no_instance_takes_is_refused(monkeypatch, capsys, kind, words, env, expected):
    """Ids, patterns, URLs and tokens of another form, and options of another kind of worker, are refused at once."""
    for name, value in {**RIGHT, **env}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main.main(["worker", "run", "--kind", kind, *words])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert expected in said
    assert "hunter2" not in said


class Refusing(FakeQueue):
    """A queue that refuses claims."""

    status = 403

    async def claimWork(self, queue, payload):
        return web.json_response({"code": "InsufficientScopes", "message": "Client c lacks queue:claim-work:a/b"}, status=self.status)

    async def listTaskQueues(self, payload):
        return await self.claimWork("", payload)


@pytest.mark.parametrize(("status", "serve"), [(400, ()), (401, ()), (403, ()), (403, ("b/*",))])
async def test_a_worker_that_is_refused_ends(tmp_path, caplog, status, serve):
    """When the first claim is refused the worker ends with the instance's words, and has said once what it serves."""
    caplog.set_level(logging.INFO)
    queue = Refusing()
    queue.status = status
    server = await queue.start()
    clock = clocks.SystemClock()
    settings = WorkerSettings(kind="builtin" if not serve else "host", task_queue_id="a/b", folder=tmp_path, serve=serve, d2g=False)
    try:
        async with aiohttp.ClientSession() as session:
            http = Http(queue.root_url, Credentials("c", TOKEN), session=session, clock=clock, retries=0)
            with pytest.raises(errors.TcboxError, match=r"refuses .*: Client c lacks queue:claim-work:a/b"):
                await asyncio.wait_for(run(settings, http=http, clock=clock, stop=asyncio.Event(), demanding=True), 10)
    finally:
        await server.cleanup()
    [said] = [record for record in caplog.records if record.getMessage() == "serves task queues"]
    assert said.at == queue.root_url


def test_a_folder_that_cannot_be_used(tmp_path):
    """A file in the folder's place, and a place that may not be written to, are named."""
    (tmp_path / "file").write_text("")
    (tmp_path / "fixed").mkdir(mode=0o500)
    (tmp_path / "own").mkdir(mode=0o500)
    (tmp_path / "own").chmod(0o700)
    (tmp_path / "own" / "claims").mkdir(mode=0o500)
    cases = [
        (["--kind", "builtin", "--folder", "file"], f"the worker's folder {tmp_path}/file/claims cannot be made: a file is in its place"),
        (["--kind", "host", "--folder", "file"], f"the worker's folder {tmp_path}/file/runs cannot be made: a file is in its place"),
        (["--kind", "builtin", "--folder", "fixed/new"], f"the worker's folder {tmp_path}/fixed/new/claims cannot be made: Permission denied"),
        (["--kind", "builtin", "--folder", "own"], f"the worker's folder {tmp_path}/own/claims may not be written to"),
    ]
    for (_, expected), said in zip(cases, rights.tcbox([["worker", "run", *words] for words, _ in cases], tmp_path, clean_env(**RIGHT)), strict=True):
        assert said.code == 1, said
        assert expected in said.err
        assert "Traceback" not in said.err
