"""The schemas of Kubernetes' own kinds, by version, as a package ships them; a key that a version does not know is an error.

Two validators read them: one in this process, and kubeconform, the usual tool for it.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.support import clients

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
    schema = json.loads(_own((_folder(version) / _file(kind, api)).read_text()))
    return jsonschema_rs.Draft202012Validator({**_definitions(version), **schema})


def _file(kind: str, api: str) -> str:
    """The file with a kind's schema, as kubeconform calls it too."""
    group, _, name = api.rpartition("/")
    middle = f"-{group.partition('.')[0]}" if group else ""
    return f"{kind.lower()}{middle}-{name}.json"


def faults(manifest: dict[str, Any], version: str) -> list[str]:
    """What is wrong with a manifest for a version."""
    validator = _validator(version, manifest["kind"], manifest["apiVersion"])
    return [f"{manifest['metadata']['name']}: {error.message}" for error in validator.iter_errors(manifest)]


def lay(folder: Path, kinds: Iterable[tuple[str, str]]) -> str:
    """Write the schemas of (kind, apiVersion) for each of the newest versions as kubeconform wants them; where, as its option takes it."""
    for version in NEWEST:
        (folder / f"v{version}").mkdir()
        for each in kinds:
            name = _file(*each)
            schema = json.loads(_own((_folder(version) / name).read_text()))
            schema.pop("$id", None)  # references start from the file, not from a place in the net
            (folder / f"v{version}" / name).write_text(json.dumps({**schema, "$defs": _needed(schema, version)}))
    return f"{folder}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def _needed(schema: dict[str, Any], version: str) -> dict[str, Any]:
    """The definitions that a schema leads to: with all of them in each kind's file kubeconform takes ten seconds."""
    known, found, looked = _definitions(version)["$defs"], {}, [schema]
    while looked:
        for name in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(looked.pop())):
            if name not in found:
                found[name] = known[name]
                looked.append(known[name])
    return found


def built(tree: Path) -> str:
    """What kustomize makes of a tree."""
    return subprocess.run([clients.kubernetes("kustomize"), "build", tree], capture_output=True, text=True, timeout=60, check=True).stdout


def conforms(manifests: str, version: str, schemas: str, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """What kubeconform says of manifests: a summary, and each resource that is not valid."""
    command = [clients.kubernetes("kubeconform"), "-strict", "-summary", "-output", "json", "-kubernetes-version", version, "-schema-location", schemas]
    done = subprocess.run([*command, "-skip", ",".join(without), "-"], input=manifests, capture_output=True, text=True, timeout=60, check=False)
    return {"code": done.returncode, **json.loads(done.stdout)}
