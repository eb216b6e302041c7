"""`tcbox env`: the variables with which clients find an instance and sign their calls."""

from __future__ import annotations

import argparse
import json
import shlex

from tcbox.cli import connect


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `tcbox env`."""
    connect.options(parser)
    parser.add_argument("--shell", choices=("sh", "fish", "json", "dotenv"), default="sh", help="the form (default: sh, for: eval $(tcbox env))")


def run(args: argparse.Namespace) -> int:
    """Print them."""
    found = connect.running(args.data)
    print(
        render(args.shell, {"TASKCLUSTER_ROOT_URL": found.root_url, "TASKCLUSTER_CLIENT_ID": found.client_id, "TASKCLUSTER_ACCESS_TOKEN": found.access_token})
    )
    return 0


def render(shell: str, variables: dict[str, str]) -> str:
    """The variables in a shell's own form."""
    if shell == "json":
        return json.dumps(variables, indent=2)
    line = {"sh": "export {}={}", "fish": "set -gx {} {};", "dotenv": "{}={}"}[shell]
    return "\n".join(line.format(name, shlex.quote(value)) for name, value in variables.items())
