"""Documents as YAML that is the same at each writing: keys in the order given, long texts as blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

HEAD = "# Made by `tcbox export` from tcbox.yml. What is changed here is lost at the next export.\n"


class _Dumper(yaml.SafeDumper):
    """Writes each thing out where it stands, without anchors, and lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    """One document."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=False)


def file(documents: Iterable[Any], comment: str = "") -> str:
    """A file of documents, below the words that it is made."""
    said = "".join(f"# {line}\n".replace("# \n", "#\n") for line in comment.splitlines())
    return HEAD + said + "---\n".join(dump(document) for document in documents)
