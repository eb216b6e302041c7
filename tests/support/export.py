"""Exports of a configuration that has all an export needs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

from tcbox.config.load import Template, template
from tcbox.export import plan
from tcbox.export.targets import TARGETS

WHOLE: dict[str, Any] = {
    "root_url": "https://tc.example.com",
    "database": "postgresql://tcbox:${env:DB_PASSWORD}@db.example.com:6432/tcbox",
    "events": "amqps://tcbox:${env:AMQP_PASSWORD}@mq.example.com/tcbox",
    "blobs": {"url": "s3://tc-artifacts/prod", "region": "eu-central-1", "access_key_id": "AKIA", "secret_access_key": "${env:S3_SECRET}"},
    "services": {
        "secrets": {"key": "${file:keys/sealing.key}"},
        "queue": {"claim_timeout": 900},
        "notify": {
            "email": {"host": "mail.example.com", "source": "Taskcluster <tc@example.com>", "certificates": "${file:/etc/mail/ca.pem}"},
            "slack": {"access_token": "${env:SLACK_TOKEN}"},
        },
        "auth": {"static_clients": [{"client_id": "static/ci", "access_token": "${env:CI_TOKEN}", "scopes": ["queue:*"]}]},
    },
    "export": {"image": "registry.example.com/tcbox", "version": "1.2.0", "ingress": {"class_name": "nginx", "tls_secret": "tc-tls"}},
}
"""A configuration that every target takes."""


def changed(**values: Any) -> dict[str, Any]:
    """WHOLE with other values, by dotted paths with `__`; `...` takes a key away."""
    made = yaml.safe_load(yaml.safe_dump(WHOLE))
    for path, value in values.items():
        *above, last = path.split("__")
        place = made
        for key in above:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        if value is ...:
            place.pop(last, None)
        else:
            place[last] = value
    return made


def read(folder: Path, document: dict[str, Any] | str) -> Template:
    """A configuration, read as an export does."""
    path = folder / "tcbox.yml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    return template(path)


def tree(folder: Path, document: dict[str, Any] = WHOLE, target: str = "k8s") -> dict[str, str]:
    """The files of an export."""
    chosen = TARGETS[target]
    return dict(chosen.tree(plan.make(read(folder, document), chosen.inside)))


def manifests(files: dict[str, str]) -> list[dict[str, Any]]:
    """Every manifest of a tree, kustomizations aside."""
    found = [document for path, text in files.items() if path.endswith(".yaml") for document in _documents(text)]
    return [document for document in found if document["kind"] != "Kustomization"]


@functools.cache
def _documents(text: str) -> list[dict[str, Any]]:
    """What a file holds, read once: a tree is looked through again and again."""
    return list(yaml.load_all(text, yaml.CSafeLoader))


def one(files: dict[str, str], kind: str, name: str) -> dict[str, Any]:
    """The manifest of a kind and name."""
    (found,) = [each for each in manifests(files) if each["kind"] == kind and each["metadata"]["name"] == name]
    return found
