"""Settings from variables of the environment."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tcbox import config
from tcbox.cli import main
from tcbox.config import variables
from tcbox.config.settings import Settings


def load(path: Path | None = None, overrides: dict | None = None, **env: str) -> Settings:
    return config.load(path, overrides, {"HOME": "/home/u", **env})


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("TCBOX_PORT", "81", "port", 81),
        ("TCBOX_DATABASE", "postgresql://u:1234@h/n", "database", "postgresql://u:1234@h/n"),
        ("TCBOX_SERVICES_QUEUE_CLAIM_TIMEOUT", "600", "services.queue.claim_timeout", 600),
        ("TCBOX_SERVICES__QUEUE__CLAIM_TIMEOUT", "600", "services.queue.claim_timeout", 600),
        ("TCBOX_SERVICES_WEB_SERVER_ENABLED", "false", "services.web_server.enabled", False),
        ("TCBOX_SHUTDOWN_DRAIN_SECONDS", "2.5", "shutdown.drain_seconds", 2.5),
        ("TCBOX_BLOBS", "s3://bucket/prefix", "blobs.url", "s3://bucket/prefix"),
        ("TCBOX_WORKERS_HOST_SERVE", "a/b", "workers.host.serve", ("a/b",)),
        ("TCBOX_WORKERS_HOST_SERVE", '["a/b", "c/*"]', "workers.host.serve", ("a/b", "c/*")),
        ("TCBOX_SERVE_URLS", '{"queue": "http://q"}', "serve.urls", {"queue": "http://q"}),
        ("TCBOX_SERVE_URLS__worker-manager", "http://w", "serve.urls", {"worker-manager": "http://w"}),
        ("TCBOX_SERVICES_NOTIFY_SLACK_ACCESS_TOKEN", "12345", "services.notify.slack.access_token", "12345"),
    ],
)
def test_a_variable_sets_what_its_name_says(name, text, key, value):
    """A key's path in capital letters is the variable that sets it, whatever the type of the key."""
    settings = load(**{name: text})
    found = settings
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value


def test_flags_win_over_variables_and_those_over_the_file(tmp_path):
    """A flag wins over a variable, a variable over the file; where a value was said is told."""
    path = tmp_path / "tcbox.yml"
    path.write_text("port: 1\nhost: here\nlog: {level: debug}\n")
    settings = load(path, {"port": 3, "host": None}, TCBOX_PORT="2", TCBOX_HOST="there")
    assert (settings.port, settings.host, settings.log.level) == (3, "there", "debug")
    assert str(settings.origins["host"]) == "TCBOX_HOST"


def test_a_reference_as_a_whole_is_filled_in(tmp_path):
    """A variable that is a reference stands for what it refers to; a `${` within a password stays as it is."""
    (tmp_path / "key").write_text("x" * 22 + "\n")
    settings = load(TCBOX_ROOT_ACCESS_TOKEN=f"${{file:{tmp_path}/key}}", TCBOX_DATABASE="postgresql://u:a${b}c@h/n")
    assert settings.root_access_token == "x" * 22
    assert settings.database == "postgresql://u:a${b}c@h/n"


def test_a_mistake_names_the_variable():
    """What does not fit is told with the variable's name, and a secret is not shown."""
    with pytest.raises(config.ConfigError) as error:
        load(TCBOX_PORT="eighty", TCBOX_INSTANCE_KEY="dGlueQ==")
    assert "TCBOX_PORT: port: expected a whole number" in str(error.value)
    assert "instance_key" in str(error.value) and "dGlueQ" not in str(error.value)


def test_json_that_is_none():
    """A variable that begins as JSON does, and is none, is told so."""
    with pytest.raises(
        config.ConfigError, match=r"TCBOX_SERVE_URLS: serve\.urls: expected JSON, since it begins as that does, found something else at column 2"
    ):
        load(TCBOX_SERVE_URLS="{bad")


def test_a_reference_that_is_missing_is_one_mistake(tmp_path):
    """Where one of two keys that go together has a mistake already, the other is not blamed for standing alone."""
    path = tmp_path / "tcbox.yml"
    path.write_text('blobs: {url: "s3://b", access_key_id: A, secret_access_key: "${env:NOT_THERE}"}\n')
    with pytest.raises(config.ConfigError) as error:
        load(path)
    assert [fault.key for fault in error.value.faults] == ["blobs.secret_access_key"]


def test_what_sets_nothing_is_known():
    """Misspelt variables are found; those of other uses, and other programs', are left alone."""
    env = {"TCBOX_PROT": "1", "TCBOX_SERVICES_QUEUE": "{}", "TCBOX_READY": "3:4", "PATH": "/bin", "TCBOX_PORT": "1", "TCBOX_SERVICES_NONE_X": ""}
    assert variables.unknown(env) == ["TCBOX_PROT", "TCBOX_SERVICES_NONE_X"]
    assert variables.told(env)[0] == "the variable TCBOX_PROT sets nothing: did you mean TCBOX_PORT? (docs/configuration.md has all keys)"
    near = variables.told({"TCBOX_SERVICES_QUEUE_CLAIMTIMEOUT": "1"})[0]
    assert "did you mean TCBOX_SERVICES_QUEUE_CLAIM_TIMEOUT?" in near


def test_what_sets_nothing_is_told(monkeypatch, capsys, tmp_path):
    """A misspelt variable is told by all commands that read the configuration, and keeps none from working."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("TCBOX_PROT", "1")
    (tmp_path / "file").write_text("")
    for words in (["config", "check"], ["doctor"], ["up", "--data", "file"]):
        with pytest.raises(SystemExit):
            main.main(words)
        out, err = capsys.readouterr()
        assert "the variable TCBOX_PROT sets nothing: did you mean TCBOX_PORT?" in out + err, words


def test_every_setting_can_be_given():
    """Each key of the settings has a variable, and no two have the same."""

    def names(kind, prefix):
        for item, hint in variables._hints(kind).items():
            name = f"{prefix}_{item.upper()}"
            yield from names(hint, name) if dataclasses.is_dataclass(hint) else [(name, hint)]

    found = [name for name, _ in names(Settings, "TCBOX")]
    assert len(found) == len(set(found)) > 80
    for name in found:
        assert variables.path(name) is not None, name
