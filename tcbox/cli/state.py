"""`tcbox state`: what an instance is set up with, written to a file, put into another, compared."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tcbox import clock as clocks
from tcbox import errors
from tcbox.cli import connect, style
from tcbox.client.http import Credentials
from tcbox.config.instance import Instance
from tcbox.config.values import masked
from tcbox.state import sources
from tcbox.state.model import KINDS, OPEN, SECRETS, Kind
from tcbox.state.planning import Plan, Wishes
from tcbox.state.tokens import FILE, Tokens

if TYPE_CHECKING:
    from tcbox.state.collecting import Collected

_IGNORED = ("schedules", "min-capacity")
_COLOURS = {"+": style.ok, "!": style.warn, "-": style.bad}


class Side(NamedTuple):
    """One end of a command.

    Attributes:
        where: a root URL, a file, or a folder of files.
        data: the data folder of an instance that runs on this machine.
    """

    where: str
    credentials: Credentials | None = None
    data: Path | None = None

    @property
    def shown(self) -> str:
        """In words."""
        return masked(self.where)


def configure(parser: argparse.ArgumentParser) -> None:
    """The commands below `tcbox state`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    export = _action(actions, "export", "write what an instance is set up with, as YAML")
    export.add_argument("source", nargs="?", metavar="SOURCE", help="a root URL, or a saved state (default: the instance that the command finds)")
    export.add_argument("--out", metavar="PATH", help="a file; or a folder, with a / at its end, for a file of each kind (default: standard output)")
    export.add_argument("--secrets", action="store_true", help="with the secrets, in clear")
    _narrowing(export)
    connect.options(export)

    put = _action(actions, "import", "put a saved state, or that of an instance, into another")
    put.add_argument("source", metavar="SOURCE", help="a saved state: a file or a folder; or the root URL of any Taskcluster")
    put.add_argument("--into", metavar="URL", help="the root URL of the target (default: the instance of --data, or the only one running)")
    put.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    put.add_argument("--prune", action="store_true", help="delete what the source does not have, of the kinds and prefixes that it is about")
    put.add_argument("--secrets", action="store_true", help="from a root URL: with its secrets; those in a file come in any case")
    put.add_argument("--schedules", action="store_true", help="with the hooks' schedules; without, hooks keep theirs, and new ones have none")
    put.add_argument("--min-capacity", action="store_true", help="with the pools' minimum capacity; without, pools keep theirs, and new ones have 0")
    put.add_argument("--provider", action="append", default=[], metavar="FROM=TO", help="have worker pools of one provider belong to another")
    put.add_argument("--tokens", type=Path, metavar="FILE", help=f"for the access tokens of new clients (default: {FILE}, in the data folder if there is one)")
    put.add_argument("--json", action="store_true", help="print one JSON object for scripts")
    _narrowing(put)
    connect.options(put)

    text = "compare two states; exit 1 when they differ"
    diff = _action(actions, "diff", text)
    diff.add_argument("a", metavar="A", help="a saved state, a root URL, or the data folder of a running instance")
    diff.add_argument("b", nargs="?", metavar="B", help="the same (default: the instance that the command finds)")
    diff.add_argument("--secrets", action="store_true", help="with the secrets; whether they differ is said, and not what they hold")
    diff.add_argument("--ignore", action="append", default=[], choices=_IGNORED, help="take no notice of these; may be given several times")
    diff.add_argument("--json", action="store_true", help="print one JSON object for scripts")
    _narrowing(diff)


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return made


def _narrowing(parser: argparse.ArgumentParser) -> None:
    named = ",".join(kind.name for kind in OPEN)
    parser.add_argument("--only", type=_kinds, metavar="KINDS", help=f"only these kinds, with commas between them: {named},{SECRETS.name}")
    parser.add_argument("--prefix", action="append", default=[], metavar="TEXT", help="only what has a name that begins so; may be given several times")


def _kinds(text: str) -> list[Kind]:
    known = {kind.name: kind for kind in KINDS}
    named = [word.strip() for word in text.split(",") if word.strip()]
    if not named or (unknown := [word for word in named if word not in known]):
        found = ", ".join(unknown) if named else "nothing"
        raise argparse.ArgumentTypeError(f"kinds are {', '.join(known)}, and not {found}")
    return [kind for kind in KINDS if kind.name in named]


def run(args: argparse.Namespace) -> int:
    """Export, import or compare."""
    actions = {"export": _export, "import": _import, "diff": _diff}
    return asyncio.run(actions[args.action](args))


async def _export(args: argparse.Namespace) -> int:
    from tcbox.state import files

    side = _side(args.source) if args.source else _found(args)
    found = await _read(side, args, plainly=True)
    comments = [f"From {side.shown}.", *(f"Left out: {each}" for each in found.left_out)]
    if args.out is None:
        sys.stdout.write(files.text(found.state, comments))
        return 0
    paths = files.save(_place(args.out), found.state, comments)
    counts = ", ".join(f"{count} {name.replace('-', ' ')}" for name, count in found.state.count().items())
    print(f"{', '.join(map(str, paths))}: {counts} from {side.shown}")
    if found.state.secrets is not None:
        print(style.warn("the secrets are in it in clear: keep it out of version control", sys.stderr), file=sys.stderr)
    return 0


def _place(out: str) -> Path:
    """Where to write to; a folder is made where there is none."""
    if out.endswith("/"):
        try:
            Path(out).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.TcboxError(f"the folder {out} cannot be made: {error.strerror}; give another with --out") from error
    return Path(out)


async def _import(args: argparse.Namespace) -> int:
    from tcbox.state import applying, text

    target = _target(args)
    found = await _read(_side(args.source), args, plainly=False)
    client_id = target.credentials.client_id if target.credentials is not None else ""
    wishes = Wishes(schedules=args.schedules, min_capacity=args.min_capacity, prune=args.prune, providers=_renamed(args.provider), keep=client_id)
    tokens = Tokens(args.tokens or (target.data or Path()) / FILE)
    async with sources.connected(target.where, target.credentials) as http:
        plan = await applying.plan(found.state, http, target.shown, wishes, clocks.SystemClock().now())
        if not args.json:
            print(f"{masked(args.source)} into {target.shown}:")
            for line in text.planned(plan, found.state):
                _show(line)
        if not args.dry_run:
            shown = _Progress(len(plan.steps))
            try:
                await applying.apply(plan, http, target.shown, tokens, shown.tell)
            finally:
                shown.end()
                _tell_tokens(tokens)
    if args.json:
        print(json.dumps(_reported(args, target, plan, tokens), indent=2, ensure_ascii=False))
    else:
        print(text.counted(plan, done=not args.dry_run) + ("; nothing was done" if args.dry_run and plan.steps else ""))
    return 0


def _tell_tokens(tokens: Tokens) -> None:
    if tokens.made:
        clients = "1 new client" if len(tokens.made) == 1 else f"{len(tokens.made)} new clients"
        print(f"access tokens of {clients}: {tokens.path} (for you alone)", file=sys.stderr)


def _reported(args: argparse.Namespace, target: Side, plan: Plan, tokens: Tokens) -> dict[str, Any]:
    from tcbox.state import text

    return {
        "source": masked(args.source),
        "target": target.shown,
        "done": not args.dry_run,
        "numbers": text.as_numbers(plan),
        "differences": text.as_json(plan.differences),
        "leftOff": [{"kind": each.kind.name, "name": each.name, "what": each.what, "source": each.wanted, "target": each.kept} for each in plan.off],
        "leftOut": [{"kind": each.kind.name, "name": each.name, "why": each.why} for each in plan.left_out],
        "tokens": str(tokens.path) if tokens.made else None,
    }


async def _diff(args: argparse.Namespace) -> int:
    from tcbox.state import comparing, text

    ends = [_side(args.a), _side(args.b) if args.b else _found(argparse.Namespace(data=None))]
    before, after = [(await _read(end, args, plainly=True)).state for end in ends]
    prefixes = tuple(args.prefix) or before.prefixes or after.prefixes
    kinds = [kind for kind in before.kinds if kind in after.kinds]
    before, after = (comparing.without(each.part(kinds, prefixes), args.ignore) for each in (before, after))
    found = comparing.differences(before, after)
    if args.json:
        report = {"a": ends[0].shown, "b": ends[1].shown, "kinds": [kind.name for kind in kinds], "equal": not found, "differences": text.as_json(found)}
        print(json.dumps(report, indent=2, ensure_ascii=False))
        return 1 if found else 0
    if not kinds:
        raise errors.TcboxError(f"{ends[0].shown} and {ends[1].shown} have no kind in common to compare")
    for line in text.listed(found, after):
        _show(line)
    compared = ", ".join(kind.name for kind in kinds)
    print(f"{len(found)} differ: - is in {ends[0].shown} alone, + in {ends[1].shown} alone" if found else "no difference", f"(compared: {compared})")
    return 1 if found else 0


def _found(args: argparse.Namespace) -> Side:
    """The instance that the command finds, or that of a data folder."""
    root_url, credentials = connect.target(args)
    return Side(root_url, credentials)


def _side(where: str) -> Side:
    """A root URL, a data folder of a running instance, or what is saved."""
    if sources.is_url(where):
        return Side(sources.checked(where), sources.from_environment(where, os.environ))
    if os.path.exists(Instance(Path(where)).root_client):  # false where it cannot be seen
        found = connect.running(Path(where))
        return Side(found.root_url, Credentials(found.client_id, found.access_token), found.data)
    return Side(where)


def _target(args: argparse.Namespace) -> Side:
    """What is changed: never the environment's instance unless it is named, for that may be somebody's real one."""
    if args.into is None:
        found = connect.running(args.data)
        return Side(found.root_url, Credentials(found.client_id, found.access_token), found.data)
    if args.data is not None:
        raise errors.WrongUsage("--into and --data both name the target: leave out one of them")
    if not sources.is_url(args.into):
        raise errors.WrongUsage(f"--into {args.into} is no root URL: give one such as https://tc.example.com, or a data folder with --data")
    return _side(args.into)


async def _read(side: Side, args: argparse.Namespace, *, plainly: bool) -> Collected:
    """One end's state; what cannot be read and was not asked for by name is told.

    Args:
        plainly: secrets come only when they are asked for, also those of a file.
    """
    wanted = args.only
    if wanted is None and (plainly or sources.is_url(side.where)):
        wanted = [*OPEN, SECRETS] if args.secrets else list(OPEN)
    elif wanted is not None and args.secrets and SECRETS not in wanted:
        wanted = [*wanted, SECRETS]
    asked = [*(args.only or ()), *([SECRETS] if args.secrets else [])]
    found = await sources.read(side.where, side.credentials, kinds=wanted, asked=asked, prefixes=args.prefix)
    for each in found.left_out:
        print(style.warn(f"left out of {side.shown}: {each}", sys.stderr), file=sys.stderr)
    return found


def _renamed(given: Sequence[str]) -> dict[str, str]:
    for pair in given:
        if not all(pair.partition("=")):
            raise errors.WrongUsage(f"--provider {pair}: expected two providers with = between them, such as aws-main=aws-staging")
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in given}


def _show(line: str) -> None:
    paint = _COLOURS.get(line[:1])
    print(line if paint is None else paint(line))


class _Progress:
    """How far it has come, for who watches."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._live = sys.stderr.isatty()

    def tell(self, done: int) -> None:
        """So many steps are done."""
        if self._live:
            print(f"\r{done} of {self._steps}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """No more are coming."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
