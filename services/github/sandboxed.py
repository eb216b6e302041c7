"""What is done apart for `.taskcluster.yml`: it is read and rendered, whoever may have written it. `renderer` asks for it."""

from __future__ import annotations

from typing import Any

import jsone
from jsone.shared import fromNow

from tcbox.services.github import loader, names, parameters


def load(question: dict[str, Any]) -> Any:
    """The value of a YAML text."""
    return loader.load(question["text"])


def substitute(question: dict[str, Any]) -> Any:
    """A file of version 0 with its parameters in place."""
    now = question["now"]
    return parameters.substitute(question["config"], question["params"], {"$fromNow": lambda offset="0 seconds": fromNow(str(offset), now)})


def template(question: dict[str, Any]) -> Any:
    """A file of version 1, rendered."""
    seed = question["seed"]
    context = {**question["context"], "now": question["now"], "as_slugid": lambda label: names.slugid(seed, f"as_slugid {label}")}
    return jsone.render(question["config"], context)


DOES = {"load": load, "parameters": substitute, "template": template}
