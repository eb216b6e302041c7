"""The program of a process apart: answers what it is asked on standard input by a table of functions, until that closes.

Questions and answers are a length of four bytes and JSON of that length: `{"do": …}`, then `{"value": …}` or
`{"fault": …}`. Its module is named by whoever starts it and has the table, `DOES`: name to function, which takes the
question and returns the value, or raises what is wrong. The first answer, empty, says that it is ready.

It has little: no environment, bounds on memory, processor and files, and no new file or connection at all, so whatever
it needs is imported before the first question. It is started as a file, lest it import more than it needs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from typing import Any, NamedTuple

OUT_OF_MEMORY = 70
"""The status with which it ends when its memory was not enough."""

DEPTH = 250
"""Lists and objects within each other in an answer, as the API takes them."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a question, whoever asks."""

_FRAMES = 20_000
_NICE = 5
_LATER = ("_strptime", "encodings.idna", "encodings.punycode", "encodings.unicode_escape", "stringprep", "traceback", "unicodedata")
"""What the standard library imports when it is first used."""


class Bounds(NamedTuple):
    """What the process may take: bytes of memory, seconds of the processor for each question, bytes of an answer."""

    memory: int
    seconds: int
    answer: int


def main(arguments: list[str]) -> None:
    """Answer until the input ends. The arguments are the module and the three bounds."""
    program, *numbers = arguments
    bounds = Bounds(*map(int, numbers))
    for name in _LATER:
        importlib.import_module(name)
    does = importlib.import_module(program).DOES
    import msgspec

    _confine(bounds)
    sys.setrecursionlimit(_FRAMES)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    answer = b""
    while True:
        answers.write(len(answer).to_bytes(4, "big") + answer)
        answers.flush()
        answer = b""
        head = asked.read(4)
        if len(head) < 4 or (size := int.from_bytes(head, "big")) > LARGEST:
            return
        text = asked.read(size)
        _watch(bounds)
        try:
            question = msgspec.json.decode(text)
            del text
            answer = _answer(does[question["do"]], question, bounds)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        _rest()


def _answer(function: Any, question: dict[str, Any], bounds: Bounds) -> bytes:
    import msgspec

    encode = msgspec.json.encode
    try:
        value = function(question)
        fault = _fault(value)
        answer = encode({"fault": fault} if fault else {"value": value})
    except MemoryError:
        raise
    except RecursionError:
        answer = encode({"fault": "it goes too deep into itself: make it flatter"})
    except Exception as error:
        said = str(error) or type(error).__name__
        answer = encode({"fault": said.encode(errors="replace").decode()[: bounds.answer // 8]})
    return answer if len(answer) <= bounds.answer else encode({"fault": None})


def _fault(value: Any) -> str | None:
    """Why a value is none that can be answered: it nests too deep, or has a number that JSON has not."""
    level, depth = [value], 0
    while level:
        if depth > DEPTH:
            return f"it comes to lists and objects that nest more than {DEPTH} deep"
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, (list, tuple)):
                below += each
            elif isinstance(each, float) and not -float("inf") < each < float("inf"):
                return "it comes to a number that JSON does not have, such as infinity"
        level, depth = below, depth + 1
    return None


def _watch(bounds: Bounds) -> None:
    """Have the system end this process should one question take too long, when whoever asked is not there to do so."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = int(time.process_time()) + 1 + bounds.seconds
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    if hasattr(signal, "alarm"):
        signal.alarm(bounds.seconds * 6)


def _rest() -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(0)


def _confine(bounds: Bounds) -> None:
    """Bound what this process may take; where the system knows no such bounds, time alone is bounded, from outside."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    try:
        import resource
    except ImportError:
        return
    most = {"RLIMIT_AS": bounds.memory, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0, "RLIMIT_NPROC": 0, "RLIMIT_NOFILE": 0}
    for name, value in most.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(sys.argv[2:])
