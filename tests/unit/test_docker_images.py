"""What the docker worker has the engine do with images: which a task gets by a name, and what becomes of names that archives bring."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from types import SimpleNamespace

import aiohttp
import pytest
import zstandard
from aiohttp import test_utils, web

from tcbox import clock as clocks
from tcbox.workers.docker import images
from tcbox.workers.docker.engine import EngineError
from tcbox.workers.docker.images import Images
from tcbox.workers.docker.loading import Loader
from tcbox.workers.docker.origins import Origins
from tcbox.workers.docker.shelf import Shelf
from tcbox.workers.outcomes import RunEnded

OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"


class Engine:
    """Images of an engine, by name; `says` is what it answers to an archive, of which it takes the names."""

    def __init__(self, tags: dict[str, str], says: tuple[dict[str, str], ...] = ()) -> None:
        self.tags, self.says, self.ids = tags, says, set(tags.values())

    async def call(self, verb: str, path: str, *, query: dict[str, str] | None = None):
        name = path.removeprefix("/images/").removesuffix("/json").removesuffix("/tag")
        if name == "json":
            return [{"Id": each, "RepoTags": [tag for tag, to in self.tags.items() if to == each]} for each in sorted(self.ids)]
        short = name.removeprefix("docker.io/").removeprefix("library/")
        found = self.tags.get(short) or next((each for each in self.ids if each.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))), None)
        if found is None:
            raise EngineError(f"no such image: {name}", 404)
        tags = [tag for tag, to in self.tags.items() if to == found]
        if verb == "POST":
            self.tags[f"{query['repo']}:{query['tag']}"] = found
        if verb == "DELETE":
            self.tags.pop(short, None)
            if found not in self.tags.values():
                self.ids.discard(found)
        return {"Id": found, "RepoTags": tags, "RepoDigests": [], "Size": 1}

    @contextlib.asynccontextmanager
    async def stream(self, verb, path, *, data=None, **_):
        if path == "/images/create":
            raise EngineError("pulled")
        try:
            async for _ in data:
                pass
        except Exception as error:  # as the client has it, which tells only that the request broke off
            raise EngineError("broke off") from error

        async def lines():
            for line in self.says:
                if "Loaded image" in line.get("stream", ""):
                    self.ids.add(NEW)
                if "Loaded image: " in line.get("stream", ""):
                    self.tags[line["stream"].split()[-1]] = NEW
                yield json.dumps(line).encode()

        yield SimpleNamespace(content=lines())


@pytest.fixture
def archive(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("manifest.json")
        content = json.dumps([{"Config": "c.json", "RepoTags": ["debian:12"], "Layers": []}]).encode()
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    path = tmp_path / "image.tar"
    path.write_bytes(out.getvalue())
    return path


def loaded(name: str) -> dict[str, str]:
    return {"stream": f"Loaded image: {name}\n"}


async def test_an_image_without_names_is_loaded(archive):
    """What the engine has loaded by its id is the image."""
    assert await Loader(Engine({}, ({"stream": f"Loaded image ID: {NEW}\n"},))).load(archive) == NEW


@pytest.mark.parametrize("before", [{"debian:12": OLD}, {"other:1": OLD}])
@pytest.mark.parametrize("more", [(), ({"error": "unexpected EOF"},)])
async def test_a_name_that_an_image_took_is_given_back(archive, before, more):
    """Should an archive keep a name after all, the name leads to what it led to before, and the image is neither used nor kept."""
    engine = Engine(dict(before), (loaded("debian:12"), *more))
    with pytest.raises(EngineError, match="unexpected EOF" if more else "took the name debian:12, which it has lost again") as caught:
        await Loader(engine).load(archive)
    assert caught.value.told
    assert (engine.tags, engine.ids) == (before, {OLD})


@pytest.mark.parametrize("says", [(), ({"stream": "nothing\n"},), ({"stream": f"Loaded image ID: {OLD}\nLoaded image ID: {NEW}\n"},)])
async def test_an_archive_of_no_image_or_of_several(archive, says):
    """An archive of which the engine does not load exactly one image is refused."""
    with pytest.raises(EngineError, match="make it with 'docker save'"):
        await Loader(Engine({}, says)).load(archive)


@pytest.mark.parametrize(("window", "fault"), [(27, None), (28, r"a window of more than 128 MiB; pack it with --long=27 or less")])
async def test_an_archive_that_takes_much_memory_to_unpack(archive, window, fault):
    """An image packed by zstd may want as much memory as the zstd command gives it, and no more."""
    packed = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters.from_level(1, window_log=window, enable_ldm=True))
    out = io.BytesIO()
    with packed.stream_writer(out, closefd=False) as writer:  # of a length that is not known before
        writer.write(archive.read_bytes())
    archive.write_bytes(out.getvalue())
    work = Loader(Engine({}, ({"stream": f"Loaded image ID: {NEW}\n"},))).load(archive)
    if fault is None:
        assert await work == NEW
        return
    with pytest.raises(EngineError, match=fault) as caught:
        await work
    assert caught.value.told


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Images of a worker that has one by a registry's password, and one of a task's artifact, without a name."""
    monkeypatch.setattr(images, "_registry_auth", lambda repository: {"X": "x"} if repository.startswith("registry.example.com/") else {})
    engine = Engine({"registry.example.com/private:1": OLD, "debian:12": NEW})
    engine.ids.add(LOADED)
    return Images(engine, tmp_path, None, Shelf(engine, tmp_path, clocks.VirtualClock(), 10**12), None)


LOADED = f"sha256:3f5ef9003cef{'2' * 52}"
RUN = SimpleNamespace(task={"scopes": []}, http=None, name="x")
LOG = SimpleNamespace(say=lambda _: None)


@pytest.mark.parametrize("name", [OLD, LOADED, LOADED.removeprefix("sha256:"), "3f5ef9003cef", "3f5ef9003cef22", "sha256:3f5ef9003cef"])
async def test_no_image_is_had_by_its_id(private, name):
    """An id, or its beginning, gives no task an image of a registry's password or of another task's artifact, and the refusal says why."""
    for image in (name, {"type": "docker-image", "name": name}):
        with pytest.raises(RunEnded, match="is the id of an image") as caught:
            await private.ensure(image, RUN, LOG)
        assert caught.value.outcome.reason == "malformed-payload"


async def test_an_image_is_had_by_its_name(private):
    """A name in any of its forms gives the image; a short one that is the beginning of an id does not; who sets up the worker may give an id."""
    for name in ("debian:12", "docker.io/library/debian:12"):
        assert (await private.ensure(name, RUN, LOG)).id == NEW
    with pytest.raises(EngineError, match="pulled"):
        await private.ensure("3f5", RUN, LOG)
    with pytest.raises(RunEnded, match="docker-worker:image:registry.example.com/private:1"):
        await private.ensure("registry.example.com/private:1", RUN, LOG)
    assert (await private.own(LOADED, RUN, LOG)).id == LOADED


class Http:
    """Says of each artifact where it is."""

    def __init__(self, **content: str) -> None:
        self.content = content

    async def call(self, *_):
        return self.content


@contextlib.asynccontextmanager
async def site(content: bytes):
    """A server that gives the content for any path, and counts how often it was asked."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(body=content)

    server = test_utils.RawTestServer(answer)
    await server.start_server()
    try:
        async with aiohttp.ClientSession() as session:
            yield SimpleNamespace(url=str(server.make_url("/x")), session=session, asked=asked)
    finally:
        await server.close()


def worker(tmp_path, session, *says) -> Images:
    engine = Engine({}, says)
    return Images(engine, tmp_path, session, Shelf(engine, tmp_path, clocks.VirtualClock(), 10**12), None)


IMAGE = {"type": "task-image", "taskId": "t", "path": "public/image.tar"}


@pytest.mark.parametrize("kind", ["reference", "s3"])
async def test_an_image_is_fetched_from_where_the_instance_keeps_it(tmp_path, archive, kind):
    """A URL that a task chose is not asked for, as it could be of anything that the worker's machine reaches."""
    async with site(archive.read_bytes()) as here:
        run, said = SimpleNamespace(http=Http(storageType=kind, url=here.url), name="x", clock=clocks.VirtualClock()), []
        work = worker(tmp_path, here.session, {"stream": f"Loaded image ID: {NEW}\n"}).ensure(IMAGE, run, SimpleNamespace(say=said.append))
        if kind == "s3":
            assert (await work).id == NEW
            assert "SHA-256" in said[-1]
            return
        with pytest.raises(RunEnded, match="storage type reference, which leads to a place that a task chose") as caught:
            await work
    assert (caught.value.outcome.reason, here.asked) == ("malformed-payload", [])


async def test_the_log_tells_nothing_of_what_is_no_image(tmp_path):
    """Neither the size nor the digest of what was fetched is told unless it is an image."""
    async with site(b"internal" * 100) as here:
        run, said = SimpleNamespace(http=Http(storageType="s3", url=here.url), name="x", clock=clocks.VirtualClock()), []
        with pytest.raises(RunEnded, match="holds no image"):
            await worker(tmp_path, here.session).ensure(IMAGE, run, SimpleNamespace(say=said.append))
    assert not [line for line in said if "SHA-256" in line or "800" in line]


async def test_a_chain_of_trust_that_is_none(tmp_path):
    """Of another task's certificate no more is read than a certificate has."""
    async with site(b" " * (1024 * 1024 + 1)) as here:
        run = SimpleNamespace(http=Http(storageType="s3", url=here.url), name="x", clock=clocks.VirtualClock())
        with pytest.raises(RunEnded, match=r"chain-of-trust\.json has more than 1 MiB") as caught:
            await Origins(tmp_path, here.session, [], strict=False).check("t", "public/image.tar", "0" * 64, run, LOG)
    assert (caught.value.outcome.reason, list(tmp_path.iterdir())) == ("malformed-payload", [])
