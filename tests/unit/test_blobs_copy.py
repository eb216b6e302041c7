"""All blobs of a place copied to another, between files and S3 in every direction."""

import gzip
import hashlib
import random

import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tcbox import errors
from tcbox.blobs import copy, keys, s3
from tcbox.blobs.interface import Interrupted
from tests.support import blobs as places
from tests.support.blobs import s3_endpoint  # noqa: F401

CLOCK = clocks.SystemClock()
BIG = random.Random(1).randbytes(9_000_001)
ODD = "artifact/t/0/public/../x"


async def chunks(data, size=300_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(blobs, key, data, content_type="text/plain", **more):
    return await blobs.put_stream(key, chunks(data), content_type=content_type, **more)


async def content(blobs, key):
    stat, parts = await blobs.open(key)
    return b"".join([part async for part in parts]), stat.content_type, stat.content_encoding, stat.content_disposition


async def copied(source, target, *, remove=False, at_once=4):
    return await copy.Copier(source, target, at_once=at_once, clock=CLOCK).copy(remove=remove)


async def compared(source, target):
    return await copy.Copier(source, target, at_once=4, clock=CLOCK).compare()


async def listed(blobs):
    return sorted([key async for key in blobs.listing(pytest.fail)])


@pytest_asyncio.fixture(params=["files to s3", "s3 to files", "s3 to s3", "files to files"])
async def pair(request, tmp_path):
    """A source and a target, empty."""
    made = []
    for index, kind in enumerate(request.param.split(" to ")):
        place = (
            places.served(tmp_path / str(index), CLOCK)
            if kind == "files"
            else places.s3(request.getfixturevalue("s3_endpoint"), CLOCK, prefix=("", "some/where")[index])
        )
        made.append((place, await place.__aenter__()))
    yield [blobs for _, blobs in made]
    for place, _ in made:
        await place.__aexit__(None, None, None)


async def filled(blobs):
    """Blobs of every kind, by key; what must be found again."""
    await put(blobs, "artifact/t/0/public/empty", b"", "x/y")
    await put(blobs, "artifact/t/0/public/a b+c%2F ü.txt", b"hello")
    await put(blobs, "artifact/t/0/public/log.gz", gzip.compress(b"log\n" * 1000), content_encoding="gzip")
    await put(blobs, "artifact/t/1/public/big.bin", BIG, "application/octet-stream")
    await put(blobs, "object/u/page.html", b"<p>", "text/html", content_disposition="attachment")
    await put(blobs, ODD, b"odd")
    await put(blobs, "artifact/t/0/" + "long" * 300, b"long")
    return {key: await content(blobs, key) for key in [key async for key in blobs.listing(pytest.fail)]}


async def test_everything_arrives_and_is_not_written_twice(pair):
    """All bytes come over with what is known of them, odd keys too; a second run writes nothing, nor does one back."""
    source, target = pair
    wanted = await filled(source)
    assert len(wanted) == 7
    assert keys.location(ODD) in wanted
    done = await copied(source, target)
    assert (done.seen.count, done.written.count, done.written.size) == (7, 7, sum(len(each[0]) for each in wanted.values()))
    assert {key: await content(target, key) for key in await listed(target)} == wanted
    assert (await content(target, ODD))[0] == b"odd"
    for one, other in ((source, target), (target, source)):
        again = await copied(one, other)
        assert (again.seen.count, again.written.count, again.extra.count, again.same) == (7, 0, 0, True)
        held = await compared(one, other)
        assert (held.seen.count, held.missing.count, held.different.count, held.same) == (7, 0, 0, True)


async def test_a_second_run_catches_up(pair):
    """What was added, replaced, given another type or spoilt is written again, and that alone."""
    source, target = pair
    await filled(source)
    await copied(source, target)
    await put(source, "artifact/new", b"new")
    await put(source, "artifact/t/0/public/empty", b"no longer", "x/y")
    await put(source, "artifact/t/0/public/log.gz", gzip.compress(b"log\n" * 1000))
    await put(target, "object/u/page.html", b"<b>", "text/html", content_disposition="attachment")
    held = await compared(source, target)
    assert list(held.missing.named) == ["artifact/new"]
    assert sorted(held.different.named) == ["artifact/t/0/public/empty", "artifact/t/0/public/log.gz", "object/u/page.html"]
    assert not held.same
    done = await copied(source, target)
    assert sorted(done.written.named) == ["artifact/new", "artifact/t/0/public/empty", "artifact/t/0/public/log.gz", "object/u/page.html"]
    assert (await compared(source, target)).same
    assert await content(target, "object/u/page.html") == (b"<p>", "text/html", "", "attachment")


async def test_the_same_bytes_are_found_without_a_mark(pair):
    """What was brought by other means and is the same is left as it is; what has the same size and other bytes is written."""
    source, target = pair
    for blobs, data in ((source, b"one"), (target, b"one")):
        await put(blobs, "artifact/same", data)
    for blobs, data in ((source, b"one"), (target, b"two")):
        await put(blobs, "artifact/other", data)
    done = await copied(source, target)
    assert list(done.written.named) == ["artifact/other"]
    assert (await content(target, "artifact/other"))[0] == b"one"


async def test_what_the_source_has_no_more(pair):
    """What was deleted at the source stays until deletion is asked for; then only what a copy brought goes."""
    source, target = pair
    for key in ("artifact/kept", "artifact/gone", "object/gone"):
        await put(source, key, key.encode())
    await copied(source, target)
    await put(target, "artifact/own", b"of an instance that uses the target")
    await source.delete(["artifact/gone", "object/gone"])
    for done in (await copied(source, target), await compared(source, target)):
        assert (sorted(done.extra.named), done.removed.count, done.same) == (["artifact/gone", "artifact/own", "object/gone"], 0, True)
    done = await copied(source, target, remove=True)
    assert sorted(done.removed.named) == ["artifact/gone", "object/gone"]
    assert await listed(target) == ["artifact/kept", "artifact/own"]


async def test_reading_that_breaks_off_is_tried_again(pair, monkeypatch):
    """A connection that is lost in the middle costs a blob a second attempt, not the copy its end."""
    source, target = pair
    await put(source, "artifact/big", BIG)
    opened, broken = source.open, []

    async def breaking(key, span=None):
        stat, parts = await opened(key, span)

        async def some():
            async for part in parts:
                yield part
                if len(broken) < 2:
                    broken.append(key)
                    raise Interrupted("broke off")

        return stat, some()

    monkeypatch.setattr(source, "open", breaking)
    monkeypatch.setattr("tcbox.blobs.copy.copier._PAUSE_MS", 1)
    done = await copied(source, target)
    assert (done.same, done.written.count, len(broken)) == (True, 1, 2)
    assert (await content(target, "artifact/big"))[0] == BIG


async def test_what_does_not_come_back_is_no_copy(pair, monkeypatch):
    """Bytes that the target gives back otherwise than they were sent are said, removed, and written by the next run."""
    source, target = pair
    await put(source, "artifact/good", b"good")
    await put(source, "artifact/bad", b"right")
    put_stream = target.put_stream

    async def spoiling(key, data, **more):
        parts = [part async for part in data]
        return await put_stream(key, chunks(b"wrong" if key == "artifact/bad" else b"".join(parts)), **more)

    monkeypatch.setattr(target, "put_stream", spoiling)
    done = await copied(source, target)
    assert list(done.failed.named) == ["artifact/bad"]
    assert "does not come back" in done.failed.named["artifact/bad"]
    assert not done.same
    assert await listed(target) == ["artifact/good"]
    monkeypatch.undo()
    assert (await copied(source, target)).same
    assert (await content(target, "artifact/bad"))[0] == b"right"


async def test_files_that_are_damaged(tmp_path, s3_endpoint):
    """A damaged file of the source is named and does not hold up the rest; one at the target is replaced; recorded hashes are checked."""
    async with places.served(tmp_path / "a", CLOCK) as source, places.s3(s3_endpoint, CLOCK) as bucket, places.served(tmp_path / "b", CLOCK) as back:
        for name in ("one", "two", "three"):
            await put(source, f"artifact/{name}", name.encode())
        await source.put_stream("artifact/hashed", chunks(b"right"), content_type="x/y", expected_hashes={"sha256": _sha256(b"right")})
        source.path("artifact/two").write_bytes(b"cut off")
        spoilt = source.path("artifact/hashed")
        spoilt.write_bytes(spoilt.read_bytes().replace(b"right", b"wrong"))
        done = await copied(source, bucket)
        assert sorted(done.written.named) == ["artifact/one", "artifact/three"]
        assert "and should have" in done.failed.named.pop("artifact/hashed")
        assert ["is no whole blob" in words for words in done.failed.named.values()] == [True]
        await copied(bucket, back)
        back.path("artifact/one").write_bytes(b"cut off")
        again = await copied(bucket, back)
        assert (list(again.written.named), again.same) == (["artifact/one"], True)


async def test_what_is_final_stays_final(tmp_path):
    """A sealed blob is sealed at the target too, and is replaced there when the source's has changed all the same."""
    async with places.served(tmp_path / "a", CLOCK) as source, places.served(tmp_path / "b", CLOCK) as target:
        await put(source, "object/u/x", b"one")
        await source.seal("object/u/x")
        await copied(source, target)
        assert (await target.stat("object/u/x")).sealed
        await source.unseal("object/u/x")
        await put(source, "object/u/x", b"two")
        assert (await copied(source, target)).written.count == 1
        assert (await content(target, "object/u/x"))[0] == b"two"


async def test_of_a_bucket_artifacts_and_objects_alone(tmp_path, s3_endpoint):
    """What else lies in a bucket, other prefixes included, is neither copied nor counted."""
    async with places.s3(s3_endpoint, CLOCK, prefix="") as source, places.served(tmp_path, CLOCK) as target:
        await put(source, "artifact/x", b"x")
        for name in ("prod/artifact/y", "readme", "artifact/", "artifact/a//b"):
            source._client().put_object(Bucket=source.bucket, Key=name, Body=b"other")
        assert (await copied(source, target)).seen.count == 1
        assert await listed(target) == ["artifact/x"]


async def test_more_than_a_page_of_names(tmp_path, s3_endpoint, monkeypatch):
    """A bucket's names are read page by page."""
    monkeypatch.setattr(s3, "PAGE", 50)
    async with places.s3(s3_endpoint, CLOCK) as source, places.served(tmp_path, CLOCK) as target:
        for number in range(120):
            source._client().put_object(Bucket=source.bucket, Key=f"{source.prefix}artifact/{number}", Body=b"%d" % number)
        done = await copied(source, target, at_once=8)
        assert (done.seen.count, done.written.count, len(done.written.named)) == (120, 120, 100)


async def test_parts_of_a_copy_that_was_broken_off_go(s3_endpoint):
    """The parts that an upload left behind which was cut off are removed by the next copy of the same blob, others' are not."""
    async with places.s3(s3_endpoint, CLOCK) as source, places.s3(s3_endpoint, CLOCK) as target:
        await put(source, "artifact/big", BIG)
        client = target._client()
        for key in ("artifact/big", "artifact/bigger"):
            client.create_multipart_upload(Bucket=target.bucket, Key=target.name(key))
        assert (await copied(source, target)).same
        left = client.list_multipart_uploads(Bucket=target.bucket).get("Uploads", [])
        assert [each["Key"] for each in left] == [target.name("artifact/bigger")]


async def test_headers_that_no_server_takes(pair):
    """A content type that cannot stand in a header is copied as what it is served as, and does not hold up the rest."""
    source, target = pair
    if source.backend != "files":
        pytest.skip("S3 has no such type")
    await put(source, "artifact/type", b"x", "text/ü")
    await put(source, "artifact/encoding", b"x", content_encoding="ü\n")
    await put(source, "artifact/fine", b"x")
    done = await copied(source, target)
    assert (done.written.count, done.same) == (3, True)
    assert (await content(target, "artifact/type"))[1] == "application/octet-stream"
    assert (await content(target, "artifact/encoding"))[2] == ""
    assert (await copied(source, target)).written.count == 0


async def test_a_place_at_fault_ends_it(tmp_path, s3_endpoint):
    """A bucket that is gone ends the copy with what is wrong, rather than with as many faults as there are blobs."""
    async with places.served(tmp_path, CLOCK) as source, places.s3(s3_endpoint, CLOCK) as target:
        for number in range(20):
            await put(source, f"artifact/{number}", b"x")
        target.bucket = "nowhere"
        with pytest.raises(errors.Unavailable, match="S3 refuses .* nowhere: NoSuchBucket"):
            await copied(source, target)


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("file://{0}/a", "file://{0}/./a", "the same folder"),
        ("{0}/a", "file://{0}/a/blobs", "the same folder"),
        ("s3://b/p", "s3://b/p/", "the same place"),
        ("s3://b/p?endpoint=http://h", "s3://b/p/artifact/q?endpoint=http://h", "lies among the artifacts"),
        ("s3://b", "s3://b/object/q", "lies among the artifacts"),
        ("s3://b/p", "s3://b/q", ""),
        ("s3://b", "s3://b/prod", ""),
        ("s3://b/p?endpoint=http://h", "s3://b/p", ""),
        ("s3://b/p", "file://{0}/a", ""),
    ],
)
def test_places_that_are_the_same(tmp_path, one, other, words):
    """A place is not copied onto or into itself; another prefix, server or folder is another place."""
    (tmp_path / "a").mkdir()
    first, second = (copy.find(where.format(tmp_path), clock=CLOCK, env={}) for where in (one, other))
    for clash in (first.clash(second), second.clash(first)):
        assert (words in clash) if words else (clash == "")


def test_places_by_their_words(tmp_path):
    """A place is named by a data folder, a configuration, or a URL with references; what it refers to must be there."""
    env = {"KEY": "a+b/c&d", "HOME": str(tmp_path)}
    (tmp_path / "tcbox.yml").write_text("data: here\nblobs: {url: 's3://b/p', endpoint: 'http://h', access_key_id: k, secret_access_key: '${env:KEY}'}\n")
    by_file = copy.find(str(tmp_path / "tcbox.yml"), clock=CLOCK, env=env)
    by_url = copy.find("s3://b/p?endpoint=http://h&access_key_id=k&secret_access_key=${env:KEY}", clock=CLOCK, env=env)
    for place in (by_file, by_url):
        assert (place.blobs.bucket, place.blobs.prefix, place.blobs.endpoint) == ("b", "p/", "http://h")
        assert place.blobs._credentials == ("k", "a+b/c&d")
        assert place.shown == "s3://b/p"
    (tmp_path / "tcbox.yml").write_text("data: here\n")
    assert copy.find(str(tmp_path / "tcbox.yml"), clock=CLOCK, env=env).blobs.folder == tmp_path / "here" / "blobs"
    assert copy.find(str(tmp_path), clock=CLOCK, env=env).blobs.folder == tmp_path / "blobs"
    for where, words in (
        ("s3://b?secret_access_key=${env:NO}", "secret_access_key refers to no environment variable NO"),
        (str(tmp_path / "nothing"), "is no place for artifacts"),
        ("gopher://x", "has no form that is known here"),
        ("s3://b?colour=red", "unknown option colour"),
    ):
        with pytest.raises(errors.TcboxError, match=words):
            copy.find(where, clock=CLOCK, env=env)


async def test_keys_that_a_bucket_refuses(s3_endpoint, monkeypatch):
    """Keys that the server does not know are told before anything is read or written."""
    async with places.s3(s3_endpoint, CLOCK) as bucket:
        monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
        with pytest.raises(errors.Unavailable, match="S3 refuses .* InvalidAccessKeyId .* the credentials may use it"):
            await bucket.check()
