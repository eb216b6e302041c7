"""What is exported for each process: its settings, its secrets, its command, and nothing of another's."""

import re
from pathlib import Path

import pytest
import yaml

from tcbox import config
from tcbox.box import identity
from tcbox.cli import main as cli
from tcbox.config.checks import REQUIRES
from tcbox.export import needs, plan
from tcbox.export.targets import TARGETS
from tests.support import export

MAKING = Path(config.__file__).parents[1] / "box" / "making"


@pytest.fixture
def services(tmp_path):
    """The plan's services by name."""
    return {service.name: service for service in plan.make(export.read(tmp_path, export.WHOLE)).services}


def test_the_tables_are_as_the_factories_read():
    """Each thing that a service's factory takes of the shared settings is in what the export gives it."""
    for path in sorted(MAKING.glob("*.py")):
        name = next((each for each in needs.names() if needs.package(each) == path.stem), None)
        if name is None:
            continue
        text, given = path.read_text(), needs.settings(name)
        read = set(re.findall(r"shared\.settings\.((?:services\.)?[a-z_]+(?:\.enabled)?)", text)) - {"services"}
        read = {key for key in read if not key.endswith(".enabled")}  # which are off, all are told
        assert {key for key in read if not any(key == each or key.startswith(f"{each}.") or each.startswith(f"{key}.") for each in given)} <= {"export"}, name
        assert "shared.blobs" not in text or "blobs" in given, name
        assert "shared.sealer" not in text or "services.secrets.key" in given, name
    assert set(needs.APART) <= set(needs.names())


def test_a_process_reads_its_own_settings_alone(services):
    """The queue has its section and the bucket; it has neither notify's mail server nor the key that seals."""
    queue = yaml.safe_load(services["queue"].settings)
    assert queue["services"] == {"queue": {"claim_timeout": 900}}
    assert queue["blobs"]["secret_access_key"] == "${env:S3_SECRET}"
    assert (queue["host"], queue["port"], queue["log"]) == ("0.0.0.0", 8080, {"format": "json"})
    assert "blobs" not in yaml.safe_load(services["index"].settings)
    assert set(yaml.safe_load(services["auth"].settings)["services"]) == {"auth", "secrets"}


def test_secrets_go_where_they_are_read(services):
    """Each process gets the variables that its settings refer to and a token of its own; the instance's key goes to auth alone."""
    common = {"AMQP_PASSWORD", "DB_PASSWORD"}
    assert set(services["queue"].refers.variables) == {*common, "S3_SECRET", "TASKCLUSTER_ACCESS_TOKEN"}
    assert set(services["notify"].refers.variables) == {*common, "SLACK_TOKEN", "TASKCLUSTER_ACCESS_TOKEN"}
    assert set(services["auth"].refers.variables) == {*common, "CI_TOKEN", "TCBOX_INSTANCE_KEY", "TCBOX_ROOT_ACCESS_TOKEN"}
    assert services["queue"].migration_refers.variables == ("DB_PASSWORD",)
    assert [file.path for file in services["notify"].refers.files] == ["/etc/mail/ca.pem"]


def test_files_are_found_in_one_folder(tmp_path):
    """A reference to a file leads to the folder of the container; two files of one name stay two."""
    document = export.changed(services__notify__email__certificates="${file:/a/ca.pem}", services__notify__email__user="u",
                              services__notify__email__password="${file:/b/ca.pem}")  # fmt: skip
    notify = {service.name: service for service in plan.make(export.read(tmp_path, document)).services}["notify"]
    email = yaml.safe_load(notify.settings)["services"]["notify"]["email"]
    assert re.fullmatch(r"\$\{file:/run/secrets/tcbox/[0-9a-f]{6}-ca\.pem\}", email["certificates"])
    assert email["certificates"] != email["password"]
    assert {file.path for file in notify.refers.files} == {"/a/ca.pem", "/b/ca.pem"}


def test_an_exported_configuration_is_one(services, tmp_path):
    """What a process reads has no mistakes, once its secrets are there."""
    env = dict.fromkeys(("DB_PASSWORD", "AMQP_PASSWORD", "S3_SECRET", "SLACK_TOKEN"), "x") | {"CI_TOKEN": "a-token-of-at-least-22-letters"}
    for service in services.values():
        text = service.settings.replace("/run/secrets/tcbox", str(tmp_path))
        for file in service.refers.files:
            (tmp_path / file.name).write_text("A" * 43 + "=\n" if "key" in file.name else "-----BEGIN CERTIFICATE-----\n")
        path = tmp_path / f"{service.name}.yml"
        path.write_text(text)
        settings = config.load(path, {}, env)
        assert (settings.root_url, settings.database) == ("https://tc.example.com", "postgresql://tcbox:x@db.example.com:6432/tcbox")
    path.write_text(services["queue"].migration)
    assert config.load(path, {}, env).database.startswith("postgresql")


def test_texts_keep_their_meaning(tmp_path):
    """A plain `${`, a release that looks like a number and a number by reference come through as they were."""
    document = export.changed(services__auth__sentry__key_prefix="a$${b}", services__secrets__version="1.10", services__queue__claim_timeout="${env:TIMEOUT}")
    made = {service.name: service for service in plan.make(export.read(tmp_path, document)).services}
    assert yaml.safe_load(made["auth"].settings)["services"]["auth"]["sentry"]["key_prefix"] == "a$${b}"
    assert made["secrets"].version == "1.10"
    assert yaml.safe_load(made["queue"].settings)["services"]["queue"]["claim_timeout"] == "${env:TIMEOUT}"
    assert "TIMEOUT" in made["queue"].refers.variables


def test_loops_run_apart_where_that_helps(services):
    """The queue's API and loops are processes of their own; the hourly sweep of secrets is not worth one."""
    assert [process.command[:2] for process in services["queue"].processes] == [["serve", "queue/api"], ["serve", "queue/loops"]]
    assert [process.command[:2] for process in services["secrets"].processes] == [["serve", "secrets"]]
    assert [process.name for process in services["queue"].processes] == ["queue", "queue-loops"]


def test_a_service_that_is_off_is_not_exported(tmp_path):
    """It has no processes, and the others know that it is off."""
    made = plan.make(export.read(tmp_path, export.changed(services__index__enabled=False)))
    assert "index" not in [service.name for service in made.services]
    assert all(yaml.safe_load(service.settings)["services"]["index"] == {"enabled": False} for service in made.services)


def found_at(tmp_path, target, document=export.WHOLE):
    """Where each service of an export finds the others."""
    made = plan.make(export.read(tmp_path, document), TARGETS[target].inside)
    return {service.name: yaml.safe_load(service.settings).get("serve", {}) for service in made.services}


def test_services_find_each_other_within_the_cluster(tmp_path):
    """Nobody having said otherwise, each service calls every other at its own address there, not by way of the root URL."""
    names = list(REQUIRES)
    within = found_at(tmp_path, "k8s", export.changed(export__name="tc"))
    assert within == {name: {"urls": {each: f"http://tc-{each}" for each in names}} for name in names}
    assert found_at(tmp_path, "compose") == {name: {"urls": {each: f"http://{each}:8080" for each in names}} for name in names}
    assert found_at(tmp_path, "helm-values")["queue"] == {}
    off = found_at(tmp_path, "k8s", export.changed(services__index__enabled=False))
    assert "index" not in off["queue"]["urls"]


def test_where_services_find_each_other_can_be_said(tmp_path):
    """A `serve.services_url` holds for all, and one of `serve.urls` for that service; neither is written over."""
    everywhere = found_at(tmp_path, "k8s", export.changed(serve__services_url="https://tc.example.com"))
    assert everywhere["queue"] == {"services_url": "https://tc.example.com"}
    referred = found_at(tmp_path, "k8s", export.changed(serve__services_url="${env:INSIDE}"))
    assert referred["queue"] == {"services_url": "${env:INSIDE}"}
    one = found_at(tmp_path, "k8s", export.changed(serve__urls={"auth": "http://mesh/auth"}))["queue"]["urls"]
    assert (one["auth"], one["secrets"]) == ("http://mesh/auth", "http://tcbox-secrets")


def test_ports_of_all_that_is_called(services):
    """The ports of the database, the AMQP server, the mail server and HTTPS, from the URLs or as is usual."""
    assert services["queue"].ports == (443, 5671, 6432)
    assert services["notify"].ports == (443, 587, 5671, 6432)


def test_ports_hidden_by_references(tmp_path):
    """Where a URL is a reference as a whole, the usual ports are allowed, and those that are named."""
    document = export.changed(database="${env:DATABASE_URL}", events="${env:EVENTS_URL}", export__network__ports=[6000])
    made = plan.make(export.read(tmp_path, document))
    assert made.services[0].ports == (443, 5432, 5671, 5672, 6000)


def test_who_answers_the_rest(tmp_path):
    """Pages and references are answered by one service, to which the root leads."""
    made = plan.make(export.read(tmp_path, export.WHOLE))
    assert made.front == next(name for name in needs.FRONT if name in needs.names())
    assert sum("/" in service.paths for service in made.services) == 1


def test_the_worker_may_claim(tmp_path):
    """The worker of an export claims as a worker of a group that its client has the scopes for."""
    worker = plan.make(export.read(tmp_path, export.WHOLE)).worker
    given = cli.parser().parse_args(worker.command("https://tc.example.com"))
    assert f"queue:worker-id:{given.worker_group}/*" in identity.WORKER_SCOPES
