"""What `tcbox up` says when the instance is ready."""

from __future__ import annotations

from typing import Any

from tcbox.cli import style


def render(info: dict[str, Any]) -> str:
    """The banner: where it is, where its state is, what runs, how to connect."""
    env = "eval \"$(tcbox env)\"" if info["defaultData"] else f"eval \"$(tcbox env --data {info['data']})\""
    rows = [
        ("services", ", ".join(info["services"])),
        ("workers", "; ".join(f"{kind}: {text}" for kind, text in info["workers"].items()) or "none"),
        ("database", info["database"]),
        ("state", info["data"] + (" (removed at the end)" if info["ephemeral"] else " (kept)")),
        ("UI", info["ui"]),
        ("metrics", info["metrics"]),
        ("API", f"{info['rootUrl']}/references/manifest.json"),
        ("connect", env),
    ]
    head = f"{style.ok('●')} {style.bold('tcbox')} is ready at {style.bold(info['rootUrl'])}  {style.dim('after %.2f s, process %d' % (info['readyAfter'], info['pid']))}"
    return "\n".join([head, *(f"  {style.dim(f'{name:<10}')}{value}" for name, value in rows)])
