"""The program: answers requests on standard input, a line of JSON each, until that closes.

{"do": "load", "text": …}                                       {"value": …} or {"error": …}
{"do": "parameters", "config", "params", "now"}                 likewise
{"do": "template", "config", "context", "seed", "now"}          likewise
"""

from __future__ import annotations

import json
import sys
from typing import Any

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space."""
SECONDS = 30
"""Of the processor."""


def main() -> None:
    """Answer until standard input closes."""
    _confine()
    sys.setrecursionlimit(5000)
    for line in sys.stdin.buffer:
        try:
            answer = {"value": _do(json.loads(line))}
            text = json.dumps(answer, allow_nan=False)
        except MemoryError:
            text = json.dumps({"error": "Rendering takes more memory than there is for it: make the result smaller."})
        except RecursionError:
            text = json.dumps({"error": "Rendering nests too deep: make the template flatter."})
        except Exception as error:
            text = json.dumps({"error": str(error) or type(error).__name__})
        sys.stdout.buffer.write(text.encode() + b"\n")
        sys.stdout.buffer.flush()


def _confine() -> None:
    """Bound what this process may take; where the system knows no such bounds, time alone is bounded, from outside."""
    try:
        import resource
    except ImportError:
        return
    bounds = ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0))
    for kind, most in bounds:
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            continue


def _do(request: dict[str, Any]) -> Any:
    if request["do"] == "load":
        from tcbox.services.github.sandbox import loader

        return loader.load(request["text"])
    if request["do"] == "parameters":
        return _parameters(request["config"], request["params"], request["now"])
    return _template(request["config"], request["context"], request["seed"], request["now"])


def _parameters(config: Any, params: dict[str, Any], now: str) -> Any:
    from jsone.shared import fromNow

    from tcbox.services.github.sandbox import parameters

    return parameters.substitute(config, params, {"$fromNow": lambda offset="0 seconds": fromNow(str(offset), now)})


def _template(config: Any, context: dict[str, Any], seed: str, now: str) -> Any:
    import jsone

    from tcbox.services.github import names

    return jsone.render(config, {**context, "now": now, "as_slugid": lambda label: names.slugid(seed, f"as_slugid {label}")})


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main()
