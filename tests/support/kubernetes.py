"""The schemas of Kubernetes' own kinds, by version, as a package ships them; a key that a version does not know is an error."""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs

NEWEST = ("1.35.0", "1.36.0", "1.37.0")


@functools.cache
def _folder(version: str) -> Path:
    return Path(str(files("kubernetes_validate"))) / "kubernetes-json-schema" / f"v{version}-local-strict"


@functools.cache
def _definitions(version: str) -> dict[str, Any]:
    return {"$defs": json.loads(_own((_folder(version) / "_definitions.json").read_text()))["$defs"]}


def _own(text: str) -> str:
    """A schema with references within itself."""
    return re.sub(r'"(/api/)?_definitions\.json#', '"#', text)


@functools.cache
def _validator(version: str, kind: str, api: str) -> Any:
    group, _, name = api.rpartition("/")
    middle = f"-{group.partition('.')[0]}" if group else ""
    schema = json.loads(_own((_folder(version) / f"{kind.lower()}{middle}-{name}.json").read_text()))
    return jsonschema_rs.Draft202012Validator({**_definitions(version), **schema})


def faults(manifest: dict[str, Any], version: str) -> list[str]:
    """What is wrong with a manifest for a version."""
    validator = _validator(version, manifest["kind"], manifest["apiVersion"])
    return [f"{manifest['metadata']['name']}: {error.message}" for error in validator.iter_errors(manifest)]
