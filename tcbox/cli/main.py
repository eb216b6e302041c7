"""`tcbox`: finds the command, runs it, and turns refusals into one clear line and an exit code.

Exit codes: 0 done; 1 refused or failed, with the reason on standard error; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import tcbox
from tcbox import errors

COMMANDS = {
    "up": "start an instance",
    "down": "stop a running instance",
    "status": "what runs, and how it is",
    "run": "run a repository's Taskcluster CI on this machine",
    "ui": "open the pages in a browser, signed in as the owner",
    "env": "print the variables with which clients connect",
    "logs": "show the log",
    "restart": "restart one service while the others serve",
    "events": "follow what the services announce",
    "task": "create and follow tasks",
    "worker": "run a worker on its own",
    "client": "make typed clients for programs",
    "serve": "run services as processes of their own",
    "migrate": "bring the database's schema up to date for them",
    "export": "the same instance as replicated services, for Kubernetes or Compose",
    "config": "check, show and describe the configuration",
    "state": "what an instance is set up with: save, put in, compare",
    "db": "copy the database to another",
    "blobs": "copy artifacts and objects to another place",
    "doctor": "find what is missing or wrong, and how to mend it",
}


def parser(names: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser with the options of the named commands; the others are listed only."""
    top = argparse.ArgumentParser(prog="tcbox", description="A whole Taskcluster in one process.")
    top.add_argument("--version", action="version", version=f"tcbox {tcbox.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", formatter_class=argparse.RawDescriptionHelpFormatter)
        if name in names:
            importlib.import_module(f"tcbox.cli.{name}").configure(sub)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit."""
    given = list(sys.argv[1:] if argv is None else argv)
    wanted = next((word for word in given if not word.startswith("-")), "")
    top = parser([wanted] if wanted in COMMANDS else list(COMMANDS))
    args, unknown = top.parse_known_args(given)
    if unknown:
        _refuse_unknown(top, given, unknown)
    try:
        code = importlib.import_module(f"tcbox.cli.{args.command}").run(args)
    except errors.TcboxError as error:
        print(f"tcbox {args.command}: {error}", file=sys.stderr)
        code = 2 if isinstance(error, errors.WrongUsage) else 1
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        print(f"tcbox {args.command}: {_unusable(error)}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _refuse_unknown(top: argparse.ArgumentParser, given: Sequence[str], unknown: Sequence[str]) -> NoReturn:
    """End with 2, the usage of the very command, and what was probably meant."""
    from tcbox.config.guesses import meant

    found = top
    for word in given:
        below = [action.choices for action in found._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 - there is no public way
        found = next((choices[word] for choices in below if word in choices), found)
    options = [option for option in found._option_string_actions if option.startswith("--")]  # noqa: SLF001
    hint = meant(unknown[0].partition("=")[0], options) if unknown[0].startswith("-") else ""
    found.error(f"unrecognized arguments: {' '.join(unknown)}{f'; {hint}' if hint else ''}")


def _unusable(error: OSError) -> str:
    """A refusal of the system in words; whose file it is about, its user knows."""
    name = error.filename if error.filename != "." else "this folder"
    return f"{name} cannot be used: {error.strerror}" if name else f"the system refused: {error.strerror or error}"
