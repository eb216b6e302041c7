"""`tcbox export`: the same instance as processes of their own, for Kubernetes, Compose or the published chart."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tcbox import errors
from tcbox.cli.config import chosen

if TYPE_CHECKING:
    from tcbox.export.plan import Plan
    from tcbox.export.tree import Tree

_TARGETS = ("k8s", "compose", "helm-values")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox export`."""
    parser.add_argument(
        "--target", choices=_TARGETS, default="k8s", help="what to write: a Kustomize tree, a Compose file, values of the published chart (default: k8s)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (default: ./tcbox.yml if it is there)")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--out", type=Path, metavar="DIR", help="write the files to this folder; those of an earlier export that are no longer needed go")
    action.add_argument("--diff", type=Path, metavar="DIR", help="write nothing; say what would be started anew, against an earlier export, and why")
    action.add_argument("--secrets", action="store_true", help="write the secrets in clear to standard output, for a pipe")
    parser.add_argument("--service-monitors", action="store_true", help="with k8s: have Prometheus's operator scrape the processes")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="with --secrets: the data folder of the instance that moves (default: that of the configuration)"
    )
    parser.add_argument("--json", action="store_true", help="with --diff: print it for scripts")


def run(args: argparse.Namespace) -> int:
    """Write, compare, or hand over the secrets."""
    from tcbox import config
    from tcbox.config.load import template
    from tcbox.export import faults, plan
    from tcbox.export.targets import TARGETS

    _refuse_idle(args)
    overrides = {"export.service_monitors": True if args.service_monitors else None, "data": args.data}
    said = template(chosen(args.config), overrides)
    found = faults.faults(said, args.target)
    if found:
        raise config.ConfigError(found)
    target = TARGETS[args.target]
    made = plan.make(said, target.inside)
    if args.secrets:
        return _secrets(args, made)
    if args.diff is not None:
        return _diff(args, target.tree(made))
    return _write(args, made)


def _refuse_idle(args: argparse.Namespace) -> None:
    """Raise WrongUsage for an option that what is asked for makes nothing of."""
    idle = (
        (args.service_monitors and args.target != "k8s", "--service-monitors goes with --target k8s"),
        (args.json and args.diff is None, "--json goes with --diff"),
        (args.data is not None and not args.secrets, "--data goes with --secrets: no files are made of what an instance has"),
    )
    for given, why in idle:
        if given:
            raise errors.WrongUsage(f"{why}; leave it out")


def _write(args: argparse.Namespace, plan: Plan) -> int:
    from tcbox.export import notes, tree
    from tcbox.export.targets import TARGETS

    target = TARGETS[args.target]
    written = tree.write(args.out, target.tree(plan))
    counts = [(written.new, "new"), (written.changed, "changed"), (written.removed, "removed"), (written.same, "as before")]
    print(f"{args.out}: " + ", ".join(f"{len(paths)} {word}" for paths, word in counts if paths))
    for note in notes.notes(plan, args.target):
        print(f"note: {note}")
    config = "" if args.config is None else f" --config {shlex.quote(str(args.config))}"
    print(f"secrets: tcbox export --target {args.target}{config} --secrets, into {target.takes.format(out=args.out)}")
    print(f"then: {target.then.format(out=args.out)}")
    return 0


def _diff(args: argparse.Namespace, files: Tree) -> int:
    from tcbox.export import rolls, tree

    if not args.diff.is_dir():
        raise errors.TcboxError(f"there is no folder {args.diff}: name that of an earlier export")
    before = tree.read(args.diff)
    tree.refuse_another(args.diff, before, files, "name that of an earlier one for this target")
    if not before:
        raise errors.TcboxError(f"{args.diff} holds no export: name the folder of an earlier one")
    found = rolls.changes(before, files)
    if args.json:
        print(json.dumps([{"what": change.what, "does": change.does, "why": list(change.why)} for change in found], indent=2))
    else:
        print("\n".join(map(str, found)) or f"{args.diff} is as the configuration says: nothing would change")
    return 1 if found else 0


def _secrets(args: argparse.Namespace, plan: Plan) -> int:
    from tcbox.config import places
    from tcbox.config.instance import Instance
    from tcbox.export.disclosed import Source
    from tcbox.export.targets import TARGETS

    if sys.stdout.isatty():
        raise errors.TcboxError(f"secrets are not shown on a terminal: send them on, to {TARGETS[args.target].takes.format(out='DIR')}")
    settings = plan.template.settings
    data = settings.data if "data" in settings.origins else places.default_data(os.environ)
    source = Source(os.environ, plan.template.folder, Instance(data))
    text = TARGETS[args.target].secrets(plan, source)
    source.refuse_if_missing()
    sys.stdout.write(text)
    return 0
