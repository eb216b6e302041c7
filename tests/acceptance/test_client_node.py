"""Taskcluster's libraries for Node and for browsers, unchanged, against a whole instance."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading

import pytest

from tests.acceptance.test_ui import chromium  # noqa: F401  the browser
from tests.support import clients, definitions, proof
from tests.support.box import Box, clean_env

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here, each of which makes its own things."""
    made = Box(tmp_path_factory.mktemp("node"), "workers:\n  docker: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def quiet_box(tmp_path_factory):
    """An instance without workers, for a client that is one."""
    made = Box(tmp_path_factory.mktemp("quiet"), "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.mark.parametrize("what", ["services", "task", "artifacts", "objects", "clients", "secrets", "errors"])
def test_node(box, quiet_box, request, what):
    """A program that uses the library does tasks, artifacts, objects, clients and secrets, and sees refusals as the library's errors."""
    box = box if what == "task" else quiet_box
    made = box.info["credentials"]
    env = clean_env(
        TASKCLUSTER_ROOT_URL=box.root_url, TASKCLUSTER_CLIENT_ID=made["clientId"], TASKCLUSTER_ACCESS_TOKEN=made["accessToken"],
        SERVICES=",".join(box.info["services"]),
    )  # fmt: skip
    program = clients.node() / "client.mjs"
    with proof.by("taskcluster-client (npm)", box.root_url, request, beside_workers=what == "task", without=proof.LOOPS, part=what):
        done = subprocess.run(["node", program, what], capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{box.log_tail(5)}"


@pytest.fixture(scope="module")
def site():
    """The page that has the library, served from another origin than the instance's."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(clients.node() / "web")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(chromium, site):  # noqa: F811
    """A page of another origin with the library loaded."""
    context = chromium.new_context()
    made, wrong = context.new_page(), []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.set_default_timeout(20_000)
    made.goto(site)
    made.wait_for_function("window.taskcluster")
    yield made
    context.close()
    assert wrong == []


@pytest.fixture
def proven(box, request, page):
    """What a test does is what the page proves."""
    with proof.by("taskcluster-client-web (npm)", box.root_url, request, beside_workers=True, without=proof.LOOPS):
        yield


@pytest.mark.usefixtures("proven")
def test_a_page_of_another_origin(box, page):
    """A page elsewhere makes and reads secrets and tasks, follows pages and signed addresses, and reads refusals: signed requests pass CORS."""
    definition = definitions.host("printf bytes > f", artifacts=[{"type": "file", "path": "f", "name": "private/f.txt"}])
    found = page.evaluate(
        """async ([rootUrl, credentials, definition]) => {
            const { Secrets, Queue, Auth, slugid, fromNow, createTemporaryCredentials } = window.taskcluster;
            const expires = fromNow('1 hour').toJSON();
            const secrets = new Secrets({ rootUrl, credentials });
            await secrets.set('web/one', { secret: { from: 'page' }, expires });
            const queue = new Queue({ rootUrl, credentials });
            const taskId = slugid();
            const created = await queue.createTask(taskId, definition);
            let state;
            for (let round = 0; round < 200 && !['completed', 'failed', 'exception'].includes(state); round++) {
                await new Promise((go) => setTimeout(go, 50));
                ({ status: { state } } = await queue.status(taskId));
            }
            const signed = await queue.buildSignedUrl(queue.getLatestArtifact, taskId, 'private/f.txt', { expiration: 60 });
            const reply = await fetch(signed);
            const temporary = createTemporaryCredentials({ scopes: ['secrets:get:web/*'], start: fromNow('-1 minute'), expiry: fromNow('1 hour'), credentials });
            const limited = new Secrets({ rootUrl, credentials: temporary, authorizedScopes: ['secrets:get:web/two'] });
            const caught = [];
            const refusals = [
                () => limited.get('web/one'), () => secrets.get('web/none'), () => queue.createTask(slugid(), {}),
                () => new Auth({ rootUrl, credentials: { clientId: 'nobody', accessToken: 'x' } }).currentScopes(),
            ];
            for (const call of refusals) {
                await call().catch((error) => caught.push([error.response?.status, error.body?.code]));
            }
            return {
                created: created.status.taskId === taskId, state, bytes: await reply.text(), requestId: !!(await fetch(`${rootUrl}/api/queue/v1/ping`)).headers.get('X-Request-Id'),
                secret: (await new Secrets({ rootUrl, credentials: temporary }).get('web/one')).secret,
                listed: (await secrets.list({ limit: '1000' })).secrets.includes('web/one'),
                removed: await secrets.remove('web/one'), caught,
            };
        }""",
        [box.root_url, box.options["credentials"], definition],
    )
    assert found == {
        "created": True, "state": "completed", "bytes": "bytes", "requestId": True, "secret": {"from": "page"}, "listed": True, "removed": {},
        "caught": [[403, "InsufficientScopes"], [404, "ResourceNotFound"], [400, "InputValidationError"], [401, "AuthenticationFailed"]],
    }  # fmt: skip


@pytest.mark.usefixtures("proven")
def test_uploads_from_a_page(box, page):
    """A page elsewhere uploads to a signed address and downloads again, also a part of it."""
    found = page.evaluate(
        """async ([rootUrl, credentials]) => {
            const { Object: Objects, slugid, fromNow } = window.taskcluster;
            const object = new Objects({ rootUrl, credentials });
            const name = `web/${slugid()}`, uploadId = slugid(), projectId = 'web';
            const content = new Uint8Array(100000).map((_, index) => index % 251);
            const { uploadMethod: { putUrl } } = await object.createUpload(name, {
                projectId, uploadId, expires: fromNow('1 hour').toJSON(),
                proposedUploadMethods: { putUrl: { contentType: 'application/x-web', contentLength: content.length } },
            });
            const headers = { ...putUrl.headers };
            delete headers['Content-Length'];  // a browser sets that itself
            const put = await fetch(putUrl.url, { method: 'PUT', headers, body: content });
            await object.finishUpload(name, { projectId, uploadId, hashes: {} });
            const { url } = await object.startDownload(name, { acceptDownloadMethods: { simple: true } });
            const whole = new Uint8Array(await (await fetch(url)).arrayBuffer());
            const part = await fetch(url, { headers: { Range: 'bytes=10-12' } });
            return [put.status, whole.length, whole.every((byte, index) => byte === content[index]), part.status, [...new Uint8Array(await part.arrayBuffer())], part.headers.get('Content-Range')];
        }""",
        [box.root_url, box.options["credentials"]],
    )
    assert found == [200, 100000, True, 206, [10, 11, 12], "bytes 10-12/100000"]
