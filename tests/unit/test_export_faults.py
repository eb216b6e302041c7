"""What an export refuses: each fault with its key and what to do, all of them at once."""

import re
from pathlib import Path

import pytest
import yaml

from tcbox.export import faults
from tests.support import export


def keys(tmp_path, document, target="k8s"):
    return {fault.key: str(fault) for fault in faults.faults(export.read(tmp_path, document), target)}


def test_nothing_is_wrong(tmp_path):
    """A configuration with all that is needed has no faults for any target."""
    for target in ("k8s", "compose", "helm-values"):
        assert keys(tmp_path, export.WHOLE, target) == {}


def test_all_faults_at_once(tmp_path):
    """An empty configuration lacks everything that several machines need, and is told each with its remedy."""
    found = keys(tmp_path, {})
    assert set(found) == {"root_url", "database", "events", "blobs", "services.secrets.key", "export.image"}
    assert "add root_url: https://" in found["root_url"]
    assert "postgresql://" in found["database"]
    assert "amqps://" in found["events"]
    assert "s3://bucket" in found["blobs"]
    assert "openssl rand -base64 32" in found["services.secrets.key"]
    assert "packaging/docker/Dockerfile" in found["export.image"]


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"root_url": "http://localhost:8090"}, "root_url", "another machine in each"),
        ({"root_url": "http://127.0.0.1"}, "root_url", "give the public name"),
        ({"root_url": "${env:ROOT}"}, "root_url", "write it out"),
        ({"database": "sqlite:///x.db"}, "database", "expected PostgreSQL, found SQLite"),
        ({"database": "sqlite:///${env:X}.db"}, "database", "expected PostgreSQL, found SQLite"),
        ({"database": "postgresql://tcbox:hunter2@db/tcbox"}, "database", "postgresql://tcbox:${env:PASSWORD}@db/tcbox"),
        ({"database": "postgresql://tcbox@db/tcbox?password=hunter2"}, "database", "a password in clear"),
        ({"events": "amqp://tcbox:hunter2@mq/tcbox"}, "events", "a password in clear"),
        ({"events": ...}, "events", "found local"),
        ({"blobs": "file:///var/blobs"}, "blobs", "expected S3, found files"),
        ({"blobs__secret_access_key": "hunter2"}, "blobs.secret_access_key", "a secret in clear"),
        ({"blobs__secret_access_key": "hunter${env:TWO}"}, "blobs.secret_access_key", "a secret in clear"),
        ({"services__secrets__key": "hunter2hunter2hunter2hunter2hunter2hunter2h="}, "services.secrets.key", "expected"),
        ({"services__notify__slack__access_token": "hunter2"}, "services.notify.slack.access_token", "a secret in clear"),
        ({"services__queue__version": "${env:V}"}, "services.queue.version", "write it out"),
        ({"export__image": "${env:IMAGE}"}, "export.image", "write it out"),
        ({"export__services__quue__replicas": 3}, "export.services.quue", "did you mean queue?"),
        ({"export__services__queue__most_replicas": 1}, "export.services.queue.most_replicas", "no less than replicas"),
        ({"export__gateway__name": "shared"}, "export.gateway.name", "either an Ingress or a Gateway"),
        ({"export__services__queue__memory": "lots"}, "export.services.queue.memory", "such as 256Mi"),
        ({"services__queue__claim_timeout": "soon"}, "services.queue.claim_timeout", "a whole number"),
        ({"services__notify__email__user": "u"}, "services.notify.email.user", "password beside it"),
    ],
)
def test_what_is_refused(tmp_path, change, key, says):
    """Each mistake is told at its key, with what to do, and never shows a secret."""
    found = keys(tmp_path, export.changed(**change))
    assert key in found, found
    assert says in found[key]
    assert "hunter2" not in "".join(found.values())


def test_secrets_of_services_that_are_off_do_not_matter(tmp_path):
    """What is not exported may stand in clear."""
    document = export.changed(services__notify__slack__access_token="hunter2", services__notify__enabled=False)
    assert keys(tmp_path, document) == {}


def test_references_need_not_be_there(tmp_path, monkeypatch):
    """An export needs neither the variables nor the files; a reference of a wrong form is told."""
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    assert keys(tmp_path, export.WHOLE) == {}
    assert "a reference is ${env:NAME}" in keys(tmp_path, export.changed(database="postgresql://tcbox:${DB_PASSWORD}@db/tcbox"))["database"]


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"export__compose__postgres": True}, "database", "@postgres/"),
        ({"export__compose__rabbitmq": True}, "events", "@rabbitmq/"),
        ({"export__compose__s3": True}, "blobs", "endpoint"),
        ({"database": "postgresql://tcbox:${env:P}@localhost/tcbox"}, "database", "export.compose.postgres: true"),
        ({"export__compose__postgres": True, "database": "postgresql://tcbox:${file:/p}@postgres/tcbox"}, "database", "from a variable"),
    ],
)
def test_what_compose_refuses(tmp_path, change, key, says):
    """The servers beside the services must be those that the URLs name."""
    found = keys(tmp_path, export.changed(**change), "compose")
    assert says in found[key]


def test_what_helm_refuses(tmp_path):
    """The chart wants a URL's parts, so a URL must not be a reference as a whole."""
    assert set(keys(tmp_path, export.changed(database="${env:URL}"), "helm-values")) == {"database"}


def test_the_page_has_configurations_that_work(tmp_path):
    """The examples in docs/export.md have no faults for the targets that they are for."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text()
    whole, one_service, beside = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    assert keys(tmp_path, whole) == {}
    assert keys(tmp_path, {**whole, "services": {**whole["services"], "queue": one_service["services"]["queue"]}}) == {}
    assert keys(tmp_path, beside, "compose") == {}
