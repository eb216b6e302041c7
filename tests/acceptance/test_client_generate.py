"""Generated clients: made from a running instance, checked by their language's own tools, used, and held against an instance that has changed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tcbox.cli import main as cli
from tests.support import clients, pages
from tests.support.box import TCBOX, Box, clean_env
from tests.support.changing_proxy import ChangingProxy

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "clients" / "generated"
LANGUAGES = ("python", "typescript", "go")
ACTIONS = [("python", "tour"), ("python", "async"), ("typescript", "tour"), ("go", "tour")]
OPTIONS = {
    "strict": True, "target": "es2022", "module": "nodenext", "moduleResolution": "nodenext", "noUncheckedIndexedAccess": True, "rootDir": ".", "outDir": "made",
    "exactOptionalPropertyTypes": True, "noPropertyAccessFromIndexSignature": True, "noImplicitOverride": True, "verbatimModuleSyntax": True,
    "isolatedModules": True, "erasableSyntaxOnly": True, "noUnusedLocals": True, "noUnusedParameters": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """One instance for all tests here, without workers."""
    made = Box(tmp_path_factory.mktemp("generate"), "workers:\n  docker: {enabled: false}\n  host: {enabled: false}\n  builtin: {enabled: false}\n").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def made(box, tmp_path_factory):
    """A folder for each language, with the client in `tc` and a program that uses it."""
    folders = {}
    for language in LANGUAGES:
        folder = folders[language] = tmp_path_factory.mktemp(language)
        shutil.copytree(PROGRAMS / language, folder, dirs_exist_ok=True)
        generate(box, language, folder / "tc")
    return folders


@pytest.fixture
def proxy(box):
    made = ChangingProxy(box.root_url)
    made.changed["/api/queue/v1/__version__"] = lambda said: {**said, "version": "9.9.9"}
    yield made
    made.close()


def generate(box, language, folder, *words, check=True):
    command = [*TCBOX, "client", "generate", "--lang", language, "--out", str(folder), *words]
    if "--root-url" not in words:
        command += ["--data", str(box.data)]
    done = subprocess.run(command, capture_output=True, text=True, env=box.env, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done


def run(*command, folder, **env):
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, env=clean_env(**env), timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def programs(made):
    """Each language's program, checked as strictly as its tools can, and built."""
    node = clients.typescript()
    folder = made["typescript"]
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(node / "node_modules")
    for name, more in (("page", {"lib": ["es2022", "dom", "dom.iterable"], "types": [], "noEmit": True}), ("tsconfig", {"types": ["node"], "lib": ["es2022"]})):
        (folder / f"{name}.json").write_text(json.dumps({"compilerOptions": {**OPTIONS, **more}, "include": ["*.ts", "tc"]}))
        run(node / "node_modules" / ".bin" / "tsc", "-p", f"{name}.json", folder=folder)
    (made["go"] / "go.mod").write_text("module tcbox.example/program\n\ngo 1.24\n")
    run("go", "vet", "./...", folder=made["go"])
    run("go", "build", "-o", "program", ".", folder=made["go"], CGO_ENABLED="0")
    return {
        "python": ([sys.executable, "program.py"], made["python"]),
        "typescript": (["node", "made/program.js"], made["typescript"]),
        "go": (["./program"], made["go"]),
    }


@pytest.fixture
def program(programs, box):
    """Run a language's program against a root URL, and give what it saw."""

    def go(language, what, root_url=box.root_url):
        command, folder = programs[language]
        credentials = box.info["credentials"]
        env = {"TASKCLUSTER_ROOT_URL": root_url, "TASKCLUSTER_CLIENT_ID": credentials["clientId"], "TASKCLUSTER_ACCESS_TOKEN": credentials["accessToken"]}
        return json.loads(run(*command, what, folder=folder, **env))

    return go


@pytest.mark.parametrize(("language", "what"), ACTIONS)
def test_a_program_works(program, language, what):
    """A program creates tasks, reads a status, pages through a list, is refused as the API says, and signs a URL that others can use."""
    seen = program(language, what)
    url = seen.pop("url")
    assert seen == {"state": "pending", "listed": True, "error": 404, "priority": "high", "binding": True}
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert json.load(reply)["priority"] == "high"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_renamed_method_is_told(program, proxy, language):
    """Where the instance has no such method any more, the first error says so, and which one took its place."""
    path = "/references/queue/v1/api.json"
    proxy.changed[path] = lambda said: json.loads(json.dumps(said).replace('"createTask"', '"makeTask"'))
    refusal = {"code": "ResourceNotFound", "message": "There is no such method.", "requestInfo": {"method": "PUT", "params": {}, "payload": None, "time": ""}}
    proxy.answers["PUT", "/api/queue/v1/task/"] = (404, json.dumps(refusal), "application/json")
    seen = program(language, "refused", proxy.root_url)
    assert seen["kind"] == "mismatch"
    assert seen["status"] == 404
    assert seen["differences"] == ["the instance has no method createTask; makeTask has its place"]
    assert "There is no such method." in seen["message"]
    assert "the instance has version 9.9.9" in seen["message"]
    assert f"tcbox client generate --lang {language} --root-url {proxy.root_url}" in seen["message"]
    assert any(agent.startswith(f"tcbox-client-{language}/") and " queue/" in agent for agent in proxy.agents)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_changed_schema_is_told(program, proxy, language):
    """Where a payload is refused, the error tells how the schema differs from the one that the client was made from."""

    def change(schema):
        schema["properties"]["colour"] = {"type": "string"}
        schema["required"].append("colour")
        del schema["properties"]["tags"]
        schema["properties"]["metadata"] = {"type": "object", "properties": {"name": {"type": "integer"}}}
        return {**schema, "description": "told in other words"}

    proxy.changed["/schemas/queue/v1/create-task-request.json"] = change
    proxy.changed["/schemas/queue/v1/task.json"] = lambda schema: json.loads(json.dumps(schema).replace('"very-low"', '"sleepy"'))
    refusal = {"code": "InputValidationError", "message": "Schema Validation Failed!", "requestInfo": {"method": "createTask"}}
    proxy.answers["PUT", "/api/queue/v1/task/"] = (400, json.dumps(refusal), "application/json")
    seen = program(language, "refused", proxy.root_url)
    assert seen["kind"] == "mismatch"
    assert sorted(seen["differences"]) == sorted([
        "payload.colour is new, and required", "payload.tags is gone", "payload.metadata.name: type was string, and is integer",
        "payload.metadata.name: maxLength was 255, and is not there", "payload.metadata.description is gone", "payload.metadata.owner is gone",
        "payload.metadata.source is gone", "payload.metadata.name may be missing now", "payload.metadata: additionalProperties was false, and is true",
        "payload.priority can be very-low no longer", "payload.priority can be sleepy now",
    ])  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fitting_instance_is_not_blamed(program, proxy, language):
    """A refusal that no difference explains is told as it is, and so is an answer that comes from something else than the service."""
    proxy.answers["GET", "/api/queue/v1/task/"] = (200, "<html>Please sign in</html>", "text/html")
    seen = program(language, "body", proxy.root_url)
    assert seen["kind"] == "body"
    assert "the answer is no JSON: <html>Please sign in</html>" in seen["message"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unexpected_body_is_explained(program, proxy, language):
    """An answer that lacks what it always had is held against the instance's schema."""

    def change(schema):
        schema["properties"]["state"] = schema["properties"].pop("status")
        return {**schema, "required": ["state"]}

    proxy.changed["/schemas/queue/v1/task-status-response.json"] = change
    proxy.answers["GET", "/api/queue/v1/task/"] = (200, '{"state": {}}', "application/json")
    seen = program(language, "body", proxy.root_url)
    assert seen["kind"] == "mismatch"
    assert seen["differences"] == ["result.status is gone", "result.state is new, and required"]
    assert "the answer lacks status" in seen["message"]


def test_python_is_as_its_tools_want_it(made, programs):
    """The package and a program with it pass mypy --strict and ruff, as they come."""
    bare = ["--isolated", "--no-cache"]
    folder = made["python"]
    run(sys.executable, "-m", "ruff", "format", *bare, "--check", "tc", folder=folder)
    run(sys.executable, "-m", "ruff", "check", *bare, "tc", folder=folder)
    run(sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}/.mypy", "tc", "program.py", folder=folder)
    (folder / "wrong.py").write_text(
        "from tc import Queue\n\nstatus = Queue().status('x')['status']\nprint(status['stat'], Queue().nothing(), status['state'] == 'done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}/.mypy", "wrong.py"], cwd=folder, capture_output=True, text=True
    )
    assert 'has no key "stat"' in done.stdout, done.stdout
    assert 'has no attribute "nothing"' in done.stdout
    assert "Non-overlapping equality check" in done.stdout


def test_typescript_and_go_are_as_their_tools_want_them(made, programs):
    """Files are as Prettier and gofmt would write them."""
    run(clients.typescript() / "node_modules" / ".bin" / "prettier", "--check", "tc", folder=made["typescript"])
    assert run("gofmt", "-l", "tc", folder=made["go"]) == ""


def test_the_same_references_make_the_same_files(box, made, tmp_path):
    """By way of another root URL the same would be written; --check tells whether a folder fits, and what was left over goes."""
    other = ChangingProxy(box.root_url)
    try:
        for language in LANGUAGES:
            assert "fits" in generate(box, language, made[language] / "tc", "--check", "--root-url", other.root_url).stdout
    finally:
        other.close()
    folder = tmp_path / "tc"
    shutil.copytree(made["python"] / "tc", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mine.py").write_text("# mine\n")
    assert "queue.py" in generate(box, "python", folder, "--check", "--service", "secrets", check=False).stderr
    generate(box, "python", folder, "--service", "secrets")
    assert sorted(path.name for path in folder.iterdir()) == [
        "__init__.py", "_client.py", "_contract.py", "_version.py", "mine.py", "py.typed", "secrets.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lang", "python", "--service", "queu"], "has no service queu; it has auth, "),
        (["--lang", "python", "--root-url", "http://127.0.0.1:9"], "http://127.0.0.1:9/references/manifest.json cannot be reached"),
        (["--lang", "python", "--out", "not-a-name"], "a package for python cannot be called 'not-a-name'"),
        (["--lang", "go", "--out", "123"], "a package for go cannot be called '123'"),
    ],
)
def test_mistakes_are_named(box, tmp_path, words, said):
    """What cannot be done is told in a line."""
    words = words if "--out" in words else [*words, "--out", "client"]
    words = words if "--root-url" in words else [*words, "--data", str(box.data)]
    done = subprocess.run([*TCBOX, "client", "generate", *words], capture_output=True, text=True, env=box.env, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_run(box, made, program):
    """The program that docs/clients.md shows works, and its commands are commands."""
    program("python", "tour")  # so that there is a task queue to list
    credentials = box.info["credentials"]
    env = {"TASKCLUSTER_ROOT_URL": box.root_url, "TASKCLUSTER_CLIENT_ID": credentials["clientId"], "TASKCLUSTER_ACCESS_TOKEN": credentials["accessToken"]}
    (code,) = pages.fences("docs/clients.md", "python")
    assert "test/generated" in run(sys.executable, "-c", code, folder=made["python"], **env)
    for line in pages.fence("docs/clients.md", "sh", "client generate").splitlines():
        assert cli.parser().parse_args(shlex.split(line, comments=True)[1:]).command == "client"
