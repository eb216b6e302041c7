"""`tcbox client`: typed clients made from what an instance says of itself."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import keyword
import re
from pathlib import Path

from tcbox import errors
from tcbox.cli import connect

_GO = {"case", "chan", "const", "default", "defer", "fallthrough", "func", "go", "goto", "interface", "main", "map", "package", "range", "select", "struct"}
_GO |= {"switch", "type", "var"}
LANGUAGES = ("python", "typescript", "go")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox client`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "write a typed client from an instance's references; the same references make the same files"
    generate = actions.add_parser("generate", help=text, description=f"{text[0].upper()}{text[1:]}.")
    generate.add_argument("--lang", choices=LANGUAGES, required=True, help="the language of the client")
    generate.add_argument("--out", type=Path, metavar="DIR", required=True, help="the folder of the client; for Python and Go its name is the package's")
    generate.add_argument("--root-url", metavar="URL", help="any Taskcluster instance (default: the instance that the command finds)")
    generate.add_argument("--service", action="append", default=[], metavar="NAME", help="only this service; may be given several times (default: all)")
    generate.add_argument("--check", action="store_true", help="write nothing, and exit 1 unless DIR holds what would be written")
    connect.options(generate)


def run(args: argparse.Namespace) -> int:
    """Write the files, or compare them."""
    from tcbox.generate import output

    package = package_name(args.lang, args.out)
    root_url = args.root_url or connect.target(args)[0]
    files = asyncio.run(_files(args.lang, package, root_url, args.service))
    if args.check:
        stale = output.differing(args.out, files)
        if stale:
            raise errors.TcboxError(f"{args.out} does not fit {root_url}: {', '.join(stale)}; generate it anew, without --check")
        print(f"{args.out} fits {root_url}")
        return 0
    changed = output.put(args.out, files)
    print(f"{args.out}: {len(files)} files from {root_url}, {len(changed)} of them changed")
    return 0


def package_name(language: str, folder: Path) -> str:
    """The name of the package that the folder is.

    Raises TcboxError when it can be none.
    """
    name = folder.resolve().name
    if language == "go":
        name = re.sub(r"[^a-z0-9]", "", name.lower()).lstrip("0123456789")
    if language != "typescript" and (not name.isidentifier() or keyword.iskeyword(name) or (language == "go" and name in _GO)):
        raise errors.TcboxError(f"a package for {language} cannot be called {folder.resolve().name!r}: give another folder with --out")
    return name


async def _files(language: str, package: str, root_url: str, services: list[str]) -> dict[str, str]:
    import aiohttp

    from tcbox.generate import fetching

    async with aiohttp.ClientSession() as session:
        instance = await fetching.instance(root_url, services, session)
    files: dict[str, str] = importlib.import_module(f"tcbox.generate.{language}").write(instance, package)
    return files
