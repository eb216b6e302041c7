"""`tcbox export`: what it writes and says, and the secrets that it hands over to a pipe alone."""

import base64
import json
import shlex
import subprocess
import sys

import pytest
import yaml

from tcbox.box import identity
from tcbox.cli import main
from tests.support import export

SECRETS = {"DB_PASSWORD": "pa$$'w\\ord", "AMQP_PASSWORD": "a", "S3_SECRET": "s", "SLACK_TOKEN": "t", "CI_TOKEN": "c"}


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Run `tcbox export` on a configuration; gives its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words, document=export.WHOLE):
        (tmp_path / "tcbox.yml").write_text(yaml.safe_dump(document))
        with pytest.raises(SystemExit) as ended:
            main.main(["export", *words])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


@pytest.fixture
def instance(tmp_path, monkeypatch):
    """A data folder of an instance, and all that the configuration refers to."""
    data = tmp_path / "data"
    identity.instance_key(data / "keys" / "instance.key")
    identity.root_client(data / "root-client.json")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "sealing.key").write_text("sealing\n")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return data


LOCAL = export.changed(services__notify__email__certificates=...)


def test_it_writes_and_says_what_to_do(run, tmp_path):
    """The files are there, and what follows is said: notes, secrets, and the command."""
    code, out, _ = run("--out", "out")
    assert code == 0
    assert (tmp_path / "out" / "kustomization.yaml").is_file()
    assert "kubectl apply -k out" in out
    assert "tcbox worker run --kind docker" in out
    assert run("--out", "out")[1].splitlines()[0].endswith("as before")


def test_faults_are_told_at_once(run, tmp_path):
    """Every fault with its place; nothing is written."""
    code, _, err = run("--out", "out", document={"database": "postgresql://a:b@c/d"})
    assert code == 1
    assert "tcbox.yml:1:11: database: expected its password as a reference" in err
    assert all(key in err for key in ("root_url", "events", "blobs", "services.secrets.key", "export.image"))
    assert not (tmp_path / "out").exists()


def test_what_would_roll(run, tmp_path):
    """With --diff nothing is written; the exit code tells whether anything would change, or that there is nothing to compare with."""
    (tmp_path / "empty").mkdir()
    run("--out", "out")
    assert run("--diff", "out")[:2] == (0, "out is as the configuration says: nothing would change\n")
    code, out, _ = run("--diff", "out", document=export.changed(services__queue__claim_timeout=600))
    assert code == 1
    assert "Deployment tcbox-queue rolls\n    services.queue.claim_timeout: 900 -> 600" in out
    told = json.loads(run("--diff", "out", "--json", document=export.changed(services__queue__claim_timeout=600))[1])
    assert {each["does"] for each in told} == {"rolls"}
    assert run("--diff", "nowhere")[0] == 1
    assert "out holds an export for another target" in run("--diff", "out", "--target", "helm-values", document=LOCAL)[2]
    assert "empty holds no export" in run("--diff", "empty")[2]


def test_service_monitors_on_request(run, tmp_path):
    """The flag adds what Prometheus's operator needs."""
    run("--out", "out", "--service-monitors")
    assert (tmp_path / "out" / "services" / "queue" / "monitoring.yaml").is_file()


def test_secrets_for_the_cluster(run, instance):
    """Each service's Secret holds what it needs and a token of its own, derived as the instance derives it."""
    code, out, _ = run("--secrets", "--data", str(instance), document=LOCAL)
    assert code == 0
    found = {each["metadata"]["name"]: each["stringData"] for each in yaml.safe_load_all(out)}
    key = base64.b64decode((instance / "keys" / "instance.key").read_bytes())
    assert found["tcbox-queue"] == {
        "AMQP_PASSWORD": "a", "DB_PASSWORD": SECRETS["DB_PASSWORD"], "S3_SECRET": "s",
        "TASKCLUSTER_ACCESS_TOKEN": identity.service_client(key, "queue").access_token,
    }  # fmt: skip
    assert found["tcbox-builtin"] == {"TASKCLUSTER_ACCESS_TOKEN": identity.worker_client(key).access_token}
    assert base64.b64decode(found["tcbox-auth"]["TCBOX_INSTANCE_KEY"]) == key
    assert found["tcbox-auth"]["TCBOX_ROOT_ACCESS_TOKEN"] == identity.root_client(instance / "root-client.json").access_token
    assert [value for name, value in found["tcbox-secrets"].items() if name.endswith("sealing.key")] == ["sealing\n"]


def test_secrets_for_compose_and_helm(run, instance):
    """A file .env, or lines for a shell, whose values come out as they went in."""
    lines = run("--target", "compose", "--secrets", "--data", str(instance), document=LOCAL)[1]
    assert """DB_PASSWORD="pa\\$\\$'w\\\\ord"\n""" in lines
    assert "TCBOX_QUEUE_TOKEN='" in lines
    code, out, err = run("--target", "helm-values", "--secrets", "--data", str(instance), document=LOCAL)
    assert code == 1
    assert "SES_ACCESS_KEY_ID: set this variable" in err


def test_secrets_for_helm(run, instance, monkeypatch):
    """With the mail service's key, which only the chart needs, a shell reads them all."""
    monkeypatch.setenv("SES_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("SES_SECRET_ACCESS_KEY", "y")
    out = run("--target", "helm-values", "--secrets", "--data", str(instance), document=LOCAL)[1]
    exported = dict(shlex.split(line)[1].split("=", 1) for line in out.splitlines())
    assert exported["DB_PASSWORD"] == SECRETS["DB_PASSWORD"]
    assert len(exported["TCBOX_SESSION_SECRET"]) > 30


def test_missing_secrets_are_told_at_once(run, tmp_path):
    """Each variable, file and key that is missing, with what to do; nothing of the others is shown."""
    code, out, err = run("--secrets", "--data", str(tmp_path / "none"))
    assert (code, out) == (1, "")
    for what in ("DB_PASSWORD: set this variable", "the file keys/sealing.key", "TCBOX_INSTANCE_KEY", "TCBOX_ROOT_ACCESS_TOKEN"):
        assert what in err


def test_secrets_are_not_shown_on_a_terminal(run, instance, monkeypatch):
    """Where somebody might look over the shoulder, they are refused."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = run("--secrets", "--data", str(instance), document=LOCAL)
    assert (code, out) == (1, "")
    assert "kubectl apply -f -" in err


def test_the_words_on_the_command_line():
    """One of --out, --diff and --secrets is needed."""
    done = subprocess.run([sys.executable, "-m", "tcbox", "export"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
