"""What strangers wrote is carried out in processes that have little, and of which there are few."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tcbox import errors
from tcbox.sandbox import Exhausted, Fault, Late, Limits, Oversized, Pool
from tests.support.waiting import eventually

PROGRAM = "tests.support.sandboxed"


@pytest.fixture
async def pool():
    made = []

    def make(**limits):
        made.append(Pool(PROGRAM, Limits(**{"seconds": 5.0} | limits)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_it_answers_exactly(pool):
    """What is asked comes back as it went in; what is raised is told; both by one process."""
    one = pool()
    value = {"z": 1.0, "a": 10**30, "t": "é\u2028", "n": None}
    assert await one.ask("echo", value=value) == value
    with pytest.raises(Fault, match="that is wrong"):
        await one.ask("fail", value="that is wrong")
    assert await one.ask("pid") == await one.ask("pid")


@pytest.mark.parametrize(
    ("do", "value", "fault"),
    [
        ("python", "9 ** 9 ** 9 and None", Late), ("python", "'x' * 10 ** 10", Exhausted), ("python", "__import__('os')._exit(3)", Exhausted),
        ("python", "[[]] * 10 ** 6", Oversized), ("python", "float('inf')", Fault), ("python", "(f := lambda: f())()", Fault),
        ("python", "{'a': '\\ud800'}", Fault), ("echo", "x" * 2_000_000, Oversized), ("python", "print", Fault), ("nothing", 1, Exhausted),
        ("python", "__import__('sys').stdout.buffer.write(b'\\xff' * 4) and __import__('sys').stdout.flush()", Exhausted),
        ("python", "__import__('functools').reduce(lambda a, _: [a], range(300), 1)", Fault),
    ],
)  # fmt: skip
async def test_it_survives_whatever_it_is_asked(pool, do, value, fault):
    """Whatever takes too much, fails, or lies in its answer is refused by its kind, and the next question is answered."""
    one = pool(seconds=2.0, question=1_000_000, answer=1_000_000)
    with pytest.raises(fault):
        await asyncio.wait_for(one.ask(do, value=value), 20)
    assert await one.ask("echo", value=1) == 1


async def test_it_has_little(pool, monkeypatch, tmp_path):
    """A process apart has no environment, no folder of ours, and can open neither a file nor a connection nor a program."""
    monkeypatch.setenv("TCBOX_SECRET", "x")
    (tmp_path / "secret").write_text("x")
    one = pool()
    assert await one.ask("python", value="sorted(set(__import__('os').environ) - {'PATH', 'LC_CTYPE'})") == []
    assert await one.ask("python", value="__import__('os').getcwd()") == "/"
    for attempt in (
        f"open({str(tmp_path / 'secret')!r}).read()",
        "__import__('socket').socket()",
        "__import__('os').listdir('/')",
        "__import__('os').popen('id').read()",
    ):
        with pytest.raises(Fault, match="Too many open files|No module named|Errno"):
            await one.ask("python", value=attempt)


async def test_turns_are_few_and_not_waited_for_without_end(pool):
    """Two are worked on at once; a few wait, for a while; further ones are asked to try again, and so are those that waited in vain."""
    one = pool(waiting=2, seconds=60.0)
    assert len(set(await asyncio.gather(*(one.ask("pid") for _ in range(4))))) <= 2
    one.limits = replace(one.limits, patience=0.3)
    busy = [asyncio.create_task(one.ask("python", value="__import__('time').sleep(30)")) for _ in range(2)]
    await eventually(one._places.locked)
    waiting = [asyncio.create_task(one.ask("pid")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(errors.Unavailable, match="just now: try again"):
        await one.ask("pid")
    for each in waiting:
        with pytest.raises(errors.Unavailable, match="not its turn"):
            await each
    assert not any(each.done() for each in busy)
    for each in busy:
        each.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    one.limits = replace(one.limits, patience=60.0)
    await asyncio.gather(*(one.ask("pid") for _ in range(2)))


async def test_what_gives_up_waiting_leaves_nothing(pool):
    """When whoever asked goes away, the process that worked for it is ended, and its place is free."""
    one = pool(at_once=1)
    number = await one.ask("pid")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.ask("python", value="9 ** 9 ** 9 and None"), 0.2)
    assert await one.ask("pid") != number and not Path(f"/proc/{number}").exists()


async def test_they_end(pool):
    """Processes are ended after many questions, when idle, and when the pool is closed, even amid a question."""
    one = pool(uses=2, idle=0.1, at_once=1)
    first, second, third = [await one.ask("pid") for _ in range(3)]
    assert first == second != third
    await gone(third)
    number = await one.ask("pid")
    asked = asyncio.create_task(one.ask("python", value="__import__('time').sleep(30)"))
    await eventually(lambda: one._busy)
    await one.close()
    with pytest.raises(Fault):
        await asyncio.wait_for(asked, 15)
    await gone(number)


async def test_without_whoever_asked_it_ends(pool):
    """A process that works for nobody any more ends by itself, by the time of the processor that it has used."""
    one = pool(seconds=1.0)
    number = await one.ask("pid")
    process = one._free[0]
    process._process.stdin.writelines((len(q := b'{"do":"python","value":"9 ** 9 ** 9 and None"}').to_bytes(4, "big"), q))
    await asyncio.wait_for(process._process.wait(), 30)
    assert process.code < 0 and not Path(f"/proc/{number}").exists()


async def test_a_program_that_is_not_there():
    """When no process can be started, that is said, and it is no fault of whoever asked."""
    one = Pool("tests.support.no_such_program")
    with pytest.raises(errors.Unavailable, match="cannot be started"):
        await one.ask("x")
    await one.close()


async def test_what_took_too_long_is_not_tried_again_at_once(pool):
    """Whoever has something slow carried out again and again does not keep others waiting: it is refused for a while."""
    one = pool(seconds=0.5, penalty=0.4, at_once=1)
    slow = "9 ** 9 ** 9 and None"
    with pytest.raises(Late, match="given up"):
        await one.ask("python", of=slow, value=slow)
    with pytest.raises(Late, match="just before"):
        await asyncio.wait_for(one.ask("python", of=slow, value="1"), 0.1)
    assert await one.ask("python", of="another", value="1") == 1
    await asyncio.sleep(0.45)
    assert await one.ask("python", of=slow, value="2") == 2


async def gone(number):
    for _ in range(200):
        if not os.path.exists(f"/proc/{number}"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"process {number} is still there")
