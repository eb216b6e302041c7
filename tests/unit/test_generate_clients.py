"""References as values, names, and the files of clients, as far as no language's tools are needed."""

import ast
import asyncio
import copy
import json

import pytest

from tcbox import errors
from tcbox.cli import client
from tcbox.generate import go, model, names, output, python, text, typescript
from tests.support import references

WRITERS = [python, typescript, go]


@pytest.mark.parametrize(
    ("given", "camel", "exported", "unexported"),
    [
        ("task-queue-id", "TaskQueueId", "TaskQueueID", "taskQueueID"),
        ("taskQueueId", "TaskQueueId", "TaskQueueID", "taskQueueID"),
        ("rootURL", "RootUrl", "RootURL", "rootURL"),
        ("listRoles2", "ListRoles2", "ListRoles2", "listRoles2"),
        ("awsS3Credentials", "AwsS3Credentials", "AWSS3Credentials", "awsS3Credentials"),
        ("1st", "N1St", "N1St", "n1St"),
        ("--", "Unnamed", "Unnamed", "x"),
    ],
)
def test_names(given, camel, exported, unexported):
    """However a name is written, its words are found."""
    assert (names.camel(given), names.exported(given), names.unexported(given)) == (camel, exported, unexported)


def test_a_digest_is_of_the_contract_alone():
    """Other words change no digest; another schema, far away as it may be, another route or another order of properties' names does or does not."""
    digest = references.demo().services[0].digest
    assert references.demo(name={"type": "string", "description": "In other words.", "title": "N"}).services[0].digest == digest
    assert references.demo(name={"type": "string", "maxLength": 3}).services[0].digest != digest
    documents = copy.deepcopy(references.SCHEMAS)
    documents["/schemas/demo/v1/parts.json"]["definitions"]["state"]["enum"].append("more")
    assert model.read(references.REFERENCES, documents, {}).services[0].digest != digest
    moved = copy.deepcopy(references.REFERENCES)
    moved[references.API]["entries"][0]["route"] = "/thing/<name>/<class>"
    assert model.read(moved, references.SCHEMAS, {}).services[0].digest != digest
    reworded = copy.deepcopy(references.REFERENCES)
    reworded[references.API]["entries"][0]["description"] = "Other words."
    reworded[references.EXCHANGES]["entries"][0]["routingKey"][0]["summary"] = "Other words."
    assert model.read(reworded, references.SCHEMAS, {}).services[0].digest == digest


def test_properties_are_no_prose():
    """A property that is called like prose stays in the contract."""
    schema = {"title": "T", "properties": {"title": {"description": "d", "type": "string"}, "default": {}}, "default": 1}
    assert model.contract(schema) == {"properties": {"title": {"type": "string"}, "default": {}}}


@pytest.mark.parametrize("writer", WRITERS)
def test_files_are_the_same_each_time(writer):
    """The same references make the same files, whatever order the documents came in, and say neither when nor where."""
    first = writer.write(references.demo(), "tc")
    backwards = model.read(dict(reversed(references.REFERENCES.items())), dict(reversed(references.SCHEMAS.items())), {"demo": "1.2.3"})
    assert writer.write(backwards, "tc") == first
    assert all(text.MARK in content.partition("\n")[0] for content in first.values() if content)
    whole = "\n".join(first.values())
    assert "1.2.3" in whole
    assert references.demo().services[0].digest in whole


@pytest.mark.parametrize("wrong", ["x\n", "a b", "", "x'); evil(", "1x", None])
@pytest.mark.parametrize("where", ["name", "args", "query", "word", "service"])
def test_names_that_could_be_code_are_refused(wrong, where):
    """Names come from whoever answers at a root URL, and end in code: those that are none are refused."""
    documents = copy.deepcopy(references.REFERENCES)
    entry = documents[references.API]["entries"][0]
    if where == "word":
        documents[references.EXCHANGES]["entries"][0]["routingKey"][1]["name"] = wrong
    elif where == "service":
        documents[references.API]["serviceName"] = wrong
    else:
        entry[where] = wrong if where == "name" else [wrong]
    with pytest.raises(errors.TcboxError):
        model.read(documents, references.SCHEMAS, {})


@pytest.mark.parametrize("prose", ['"""\nimport os\n"""', "*/ evil() /*", "\\", 'ends with "', '"begins', "a\r\nb\u2028c", "`"])
def test_prose_cannot_become_code(prose):
    """Whatever stands in titles, descriptions, versions and values stays prose or a string."""
    documents = copy.deepcopy(references.REFERENCES)
    for document in documents.values():
        for thing in (document, *document["entries"]):
            thing["title"] = thing["description"] = prose
    schemas = copy.deepcopy(references.SCHEMAS)
    schemas["/schemas/demo/v1/thing.json"]["description"] = prose
    schemas["/schemas/demo/v1/thing.json"]["properties"] |= {prose: {"description": prose, "enum": [prose, "x" * 50]}, "plain": {"description": prose}}
    instance = model.read(documents, schemas, {"demo": prose})
    for name, content in python.write(instance, "tc").items():
        made = ast.parse(content)
        assert not any(isinstance(each, ast.Import) for each in made.body if name == "demo.py")
    for name, content in typescript.write(instance, "tc").items():
        if name == "demo.ts":
            assert not [line for line in content.splitlines() if line.lstrip().startswith("evil")]
            assert "*/ evil" not in content.replace(json.dumps(prose), "")
    for content in go.write(instance, "tc").values():
        assert not [line for line in content.split("\n") if line in ("import os", "b", "c", "evil()")]


def test_others_files_are_left_alone(tmp_path):
    """A file that was not generated is neither overwritten nor removed, and nothing is written beside it."""
    (tmp_path / "secrets.py").write_text("# my own\n")
    with pytest.raises(errors.TcboxError, match=r"secrets\.py is not a generated file"):
        output.put(tmp_path, {"__init__.py": f"# {text.MARK}\n", "secrets.py": f"# {text.MARK}\n"})
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.py"]
    assert output.put(tmp_path, {"a.py": f"# {text.MARK}\n", "py.typed": ""}) == ["a.py", "py.typed"]
    assert output.differing(tmp_path, {"b.py": f"# {text.MARK}\n", "py.typed": ""}) == ["a.py", "b.py"]
    assert output.put(tmp_path, {"py.typed": ""}) == ["a.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["py.typed", "secrets.py"]


@pytest.mark.parametrize(
    ("language", "folder", "name"),
    [
        ("python", "my_client", "my_client"),
        ("go", "my-client", "myclient"),
        ("typescript", "my-client", "my-client"),
        ("go", "go", ""),
        ("python", "class", ""),
    ],
)
def test_a_folder_is_a_package(tmp_path, language, folder, name):
    """The package is called like its folder, where a language allows it."""
    if name:
        assert client.package_name(language, tmp_path / folder) == name
    else:
        with pytest.raises(errors.TcboxError, match="cannot be called"):
            client.package_name(language, tmp_path / folder)


def test_paragraphs():
    """Prose is filled anew, lists keep their items, and what is fenced or set in stays as it is."""
    given = "One line\nand its other.\n\n * an item that is\n   long\n * two\n\n```\nas  it   is\n```\n    code  too"
    assert text.paragraphs(given, "", "Last.", width=16) == [
        "One line and its", "other.", "", " * an item that", "   is long", " * two", "", "```", "as  it   is", "```", "    code  too", "", "Last.",
    ]  # fmt: skip


def test_fetching(unused_tcp_port_factory):
    """Documents are read from whatever lists them; what is no Taskcluster is named, with its URL."""
    from aiohttp import ClientSession, web

    from tcbox.generate import fetching

    served = {
        "/references/manifest.json": {"references": [*references.REFERENCES, "/references/demo/v1/logs.json"]},
        **references.REFERENCES, **references.SCHEMAS, "/api/demo/v1/__version__": {"version": "1.2.3"},
    }  # fmt: skip

    async def handle(request):
        return web.json_response(served[request.path]) if request.path in served else web.Response(status=404, text="none")

    async def go() -> None:
        server = web.Server(handle)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        root = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with ClientSession() as session:
                assert await fetching.instance(root + "/", [], session) == references.demo()
                with pytest.raises(errors.TcboxError, match="has no service x; it has demo"):
                    await fetching.instance(root, ["x"], session)
                for path, said in ((f"{root}/nothing", "answers with the status 404"), ("http://", "cannot be reached|answers")):
                    with pytest.raises(errors.TcboxError, match=said):
                        await fetching.instance(path, [], session)
                del served["/schemas/demo/v1/parts.json"]
                with pytest.raises(errors.TcboxError, match=r"/schemas/demo/v1/parts\.json answers with the status 404"):
                    await fetching.instance(root, [], session)
        finally:
            await runner.cleanup()

    asyncio.run(go())
