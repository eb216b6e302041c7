"""Values of the published chart: each key that it requires, secrets as names to be filled in."""

import re

import pytest
import yaml

from tcbox.export import rolls
from tests.support import export

CLIENT = {"taskcluster_client_id", "taskcluster_access_token"}
DATABASE = {"read_db_url", "write_db_url"}
PULSE = {"pulse_username", "pulse_password"}
REQUIRED = {
    "auth": DATABASE | PULSE | {"static_clients"},
    "built_in_workers": CLIENT,
    "github": CLIENT | DATABASE | PULSE | {"bot_username", "github_private_pem", "github_app_id", "webhook_secret"},
    "hooks": CLIENT | DATABASE | PULSE,
    "index": CLIENT | DATABASE | PULSE,
    "notify": CLIENT | DATABASE | PULSE | {"email_source_address", "aws_access_key_id", "aws_secret_access_key"},
    "object": CLIENT | DATABASE,
    "purge_cache": CLIENT | DATABASE,
    "queue": CLIENT | DATABASE | PULSE
    | {"public_artifact_bucket", "private_artifact_bucket", "aws_access_key_id", "aws_secret_access_key", "artifact_region"},
    "secrets": CLIENT | DATABASE,
    "web_server": CLIENT | DATABASE | PULSE
    | {"public_url", "additional_allowed_cors_origin", "registered_clients", "ui_login_strategies", "session_secret"},
    "worker_manager": CLIENT | DATABASE | PULSE | {"providers"},
    "ui": {"graphql_subscription_endpoint", "graphql_endpoint", "ui_login_strategy_names"},
    "references": set(),
}  # fmt: skip
"""What the chart's schema requires beside `procs`, which it has defaults for."""


@pytest.fixture
def values(tmp_path):
    return yaml.safe_load(export.tree(tmp_path, target="helm-values")["values.yaml"])


def test_all_that_the_chart_requires(values):
    """No key that the chart requires is missing."""
    top = {"rootUrl", "pulseHostname", "pulseVhost", "forceSSL", "trustProxy", "nodeEnv", "useKubernetesDnsServiceDiscovery"}
    assert top <= values.keys()
    assert {name: needed - values[name].keys() for name, needed in REQUIRED.items() if not needed <= values[name].keys()} == {}
    assert values.keys() - top - REQUIRED.keys() == {"applicationName", "pulseAmqps", "prometheus", "ingressType", "ingressTlsSecretName"}


def test_settings_are_taken_over(values):
    """Places, limits and clients have the chart's names."""
    assert (values["pulseHostname"], values["pulseVhost"], values["pulseAmqps"]) == ("mq.example.com", "tcbox", True)
    assert values["queue"]["task_claim_timeout"] == 900
    assert values["queue"]["public_artifact_bucket"] == "tc-artifacts"
    assert values["notify"]["slack_access_token"] == "${SLACK_TOKEN}"
    clients = {client["clientId"]: client for client in values["auth"]["static_clients"]}
    assert clients["static/ci"] == {"clientId": "static/ci", "accessToken": "${CI_TOKEN}", "scopes": ["queue:*"], "description": ""}
    assert clients["static/taskcluster/queue"]["accessToken"] == values["queue"]["taskcluster_access_token"] == "${TCBOX_QUEUE_TOKEN}"


def test_files_go_in_by_set_file(tmp_path):
    """What comes from a file is left empty, and the comment at the top has the option for it."""
    text = export.tree(tmp_path, target="helm-values")["values.yaml"]
    assert yaml.safe_load(text)["secrets"]["db_crypto_keys"][0]["key"] == ""
    assert "--set-file 'secrets.db_crypto_keys[0].key=keys/sealing.key'" in text
    assert "${file:" not in text
    assert "${env:" not in text


def test_sizes(tmp_path):
    """What each process gets is said where it was said, and left to the chart elsewhere."""
    values = yaml.safe_load(export.tree(tmp_path, export.changed(export__services__queue={"replicas": 3, "cpu": "1"}), "helm-values")["values.yaml"])
    assert values["queue"]["procs"]["web"] == {"replicas": 3, "cpu": "1", "memory": "192Mi"}
    assert values["queue"]["autoscaling"] == {"enabled": True, "minReplicas": 3, "maxReplicas": 10, "targetCPUUtilizationPercentage": 70}
    assert "procs" not in values["index"]


def test_every_name_to_fill_in_is_one(tmp_path):
    """What envsubst fills in has the form of a variable's name."""
    text = export.tree(tmp_path, target="helm-values")["values.yaml"]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in re.findall(r"\$\{([^}]*)\}", text))


def test_what_is_set_anew(tmp_path):
    """Between two exports, each value that differs is told."""
    document = export.changed(root_url="https://tc.example.org", services__queue__claim_timeout=600)
    told = rolls.changes(export.tree(tmp_path, target="helm-values"), export.tree(tmp_path, document, "helm-values"))
    assert {change.what: change.why for change in told if change.what in ("value rootUrl", "value queue")} == {
        "value rootUrl": ("https://tc.example.com -> https://tc.example.org",),
        "value queue": ("task_claim_timeout: 900 -> 600",),
    }
