"""Writes the pages that are made from the code: docs/configuration.md, docs/reference/*.md, and parts of docs/cli.md and docs/compatibility.md.

usage: python build/reference.py [--check]      with --check nothing is written, and a page that is not as made is an error
"""

# ruff: noqa: SLF001 - argparse has no public way to list what a parser takes
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import compatibility

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BEGIN, END = "<!-- commands: made by build/reference.py -->", "<!-- end of commands -->"

CONFIGURATION = """# Configuration

`tcbox up` reads `./tcbox.yml`, or the file that `--config` names. Every key is optional; without a file the defaults hold.
Variables of the environment win over the file, and flags over both.

```yaml
port: 8080
log: {level: warning}
services:
  auth:
    static_clients:
      - client_id: static/deploy
        access_token: ${env:DEPLOY_TOKEN}
        scopes: ["queue:create-task:*"]
workers:
  docker: {capacity: 4, serve: ["proj-*/linux"]}
```

- Each key can be given by a variable too: `TCBOX_` and its path in capital letters, as `TCBOX_PORT` or
  `TCBOX_SERVICES_QUEUE_CLAIM_TIMEOUT`. Where a name of your own choice is in the path, `__` stands around it:
  `TCBOX_PROVIDERS__aws-prod__TYPE`. Lists and groups of keys are JSON: `TCBOX_SERVE_URLS={"queue": "http://queue"}`; a list of one
  may be plain. A variable's text is taken as it is, unless it is a reference as a whole.
- A value may refer to something else: `${env:NAME}` is a variable of the environment, `${file:/path}` the content of a
  file. Give secrets this way.
- `tcbox config check` says every mistake at once, with file, line and key. `tcbox config show` prints what is in force,
  and where it was said; secrets are masked. `tcbox config schema` prints a JSON schema for editors.
- A mistake keeps the instance from starting. A running one is not touched.

Below is every key.

"""


def configuration() -> str:
    """docs/configuration.md."""
    from tcbox.config import describe

    return CONFIGURATION + describe.reference()


def services() -> dict[str, str]:
    """The pages of docs/reference by their name."""
    from importlib import import_module

    from tcbox.box import services as box

    return {f"{name}.md": "\n".join(_service(import_module(f"tcbox.services.{box.package(name)}.service").Service)) + "\n" for name in box.NAMES}


def _service(service: object) -> Iterator[str]:
    api, exchanges = service.api, service.exchanges
    yield from (f"# {api.title}", "", "Made from the declarations in the code by `build/reference.py`.", "")
    yield from (f"Root: `/api/{api.service}/v1`. Description: `/references/{api.service}/v1/api.json`.", "")
    yield from ("## Methods", "", "| method | request | scopes | what it does |", "|---|---|---|---|")
    for method in filter(lambda each: each.published, api.methods.values()):
        query = f"?{'&'.join(method.query)}" if method.query else ""
        yield f"| `{method.name}` | `{method.verb.upper()} {_cell(method.route + query)}` | {_scopes(method.scopes)} | {_cell(method.title)} |"
    if exchanges is not None and exchanges.entries:
        yield from ("", "## Exchanges", "", "| event | exchange | routing key |", "|---|---|---|")
        for entry in exchanges.entries.values():
            keys = ".".join(key.constant or f"<{key.name}>" for key in entry.keys)
            yield f"| `{entry.name}` | `{entry.address}` | `{_cell(keys)}` |"


def _scopes(scopes: object) -> str:
    if scopes is None:
        return "none"
    return f"`{_cell(scopes if isinstance(scopes, str) else json.dumps(scopes))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def commands() -> str:
    """The part of docs/cli.md that tells every command and option."""
    from tcbox.cli import main

    return "\n".join(_command("tcbox", main.parser(), level=1)).strip() + "\n"


def _command(name: str, parser: argparse.ArgumentParser, *, level: int) -> Iterator[str]:
    below = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
    if level > 1:
        yield from (f"{'#' * min(level, 4)} `{name}`", "", parser.description or "", "")
        rows = [_option(action) for action in parser._actions if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))]
        if rows:
            yield from ("| option | |", "|---|---|", *rows, "")
    if below is not None:
        for word, inner in below.choices.items():
            yield from _command(f"{name} {word}", inner, level=level + 1)


def _option(action: argparse.Action) -> str:
    if not action.option_strings:
        shown = str(action.metavar or action.dest)
        shown = f"[{shown}]" if action.nargs == "?" else f"[{shown} ...]" if action.nargs == "*" else shown
    else:
        value = "" if action.nargs == 0 else " " + (action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper()))
        shown = ", ".join(action.option_strings) + value
    return f"| `{_cell(shown)}` | {_cell(action.help or '')} |"


def pages() -> dict[Path, str]:
    """Every page that is made, whole."""
    cli = DOCS / "cli.md"
    before, _, rest = cli.read_text().partition(BEGIN)
    made = f"{before}{BEGIN}\n\n{commands()}\n{END}{rest.partition(END)[2]}"
    return {
        DOCS / "configuration.md": configuration(),
        cli: made,
        compatibility.PAGE: compatibility.page(),
        **{DOCS / "reference" / name: text for name, text in services().items()},
    }


def main() -> int:
    """Write the pages, or check them."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not as the code says: run python build/reference.py", file=sys.stderr)
        return 1 if stale else 0
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for path in stale:
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
