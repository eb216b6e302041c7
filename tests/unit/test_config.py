"""Configuration: what is read, from where, and what is said about mistakes."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tcbox import config
from tcbox.config import checks, describe

TOKEN = "a-token-of-at-least-22-letters"


@pytest.fixture
def write(tmp_path):
    """Write a tcbox.yml and give its path."""

    def write(text):
        path = tmp_path / "tcbox.yml"
        path.write_text(text)
        return path

    return write


def faults(path, env=None, **flags):
    with pytest.raises(config.ConfigError) as caught:
        config.load(path, flags, env or {})
    return caught.value.faults


def test_nothing_need_be_configured():
    """Without a file every key has its default: this machine alone, state kept in the XDG data folder."""
    settings = config.load(None, {}, {"XDG_DATA_HOME": "/xdg", "HOME": "/home/me"})
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8090, Path("/xdg/tcbox/default"))
    assert settings.services.queue.claim_timeout == 1200
    assert config.load(None, {}, {"HOME": "/home/me"}).data == Path("/home/me/.local/share/tcbox/default")


def test_a_relative_data_home_is_ignored():
    """XDG_DATA_HOME counts only as an absolute path, as its specification says."""
    assert config.load(None, {}, {"XDG_DATA_HOME": "xdg", "HOME": "/h"}).data == Path("/h/.local/share/tcbox/default")


def test_every_kind_of_value_is_read(write):
    """Texts, numbers, lists, mappings, sections and the short form of blobs become typed values."""
    path = write(f"""
root_url: https://tc.example.com
data: state
database: postgresql://tcbox:pw@db/tcbox
blobs: s3://bucket/prefix
log: {{level: debug, format: json}}
services:
  secrets: {{version: 1.10}}
  queue: {{claim_timeout: 30}}
  auth:
    static_clients:
      - {{client_id: static/ci, access_token: {TOKEN}, scopes: [queue:*], description: 007}}
    github: {{apps: {{bot: {{app_id: 12, private_key: "-----BEGIN PRIVATE KEY-----"}}}}}}
workers:
  docker: {{serve: [proj-*/b-linux, x/y], enabled: false}}
shutdown: {{drain_seconds: 2}}
""")
    settings = config.load(path, {}, {})
    assert settings.data == path.parent / "state"
    assert settings.blobs.url == "s3://bucket/prefix"
    assert settings.services.secrets.version == "1.10"
    client = settings.services.auth.static_clients[0]
    assert (client.client_id, client.access_token.reveal(), client.scopes, client.description) == ("static/ci", TOKEN, ("queue:*",), "007")
    assert settings.services.auth.github.apps["bot"].app_id == "12"
    assert settings.workers.docker.serve == ("proj-*/b-linux", "x/y")
    assert settings.shutdown.drain_seconds == 2.0
    assert settings.log.format == "json"


def test_flags_win_over_the_file_and_say_so(write):
    """A flag replaces what the file says; one that was not given changes nothing."""
    settings = config.load(write("port: 1\nhost: 10.0.0.1\n"), {"port": 2, "host": None, "log.level": "debug"}, {})
    assert (settings.port, settings.host, settings.log.level) == (2, "10.0.0.1", "debug")
    assert str(settings.origins["port"]) == "--port"
    assert str(settings.origins["host"]).endswith("tcbox.yml:2:7")


def test_paths_of_flags_start_from_the_current_folder(write, tmp_path, monkeypatch):
    """--data DIR means the folder seen from where the command is given, not from where the file lies."""
    path = write("{}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert config.load(path, {"data": Path("d")}, {}).data == tmp_path / "elsewhere" / "d"


def test_references_are_filled_in(write, tmp_path):
    """Variables and files stand for their contents anywhere in a text, also where a number is wanted."""
    (tmp_path / "pw").write_text("hunter2\n")
    path = write('port: ${env:PORT}\ndatabase: "postgresql://u:${file:pw}@db/x"\nworkers: {host: {enabled: "${env:HOST}"}}\nhost: $${x}\n')
    settings = config.load(path, {}, {"PORT": "8123", "HOST": "false"})
    assert (settings.port, settings.database, settings.workers.host.enabled, settings.host) == (8123, "postgresql://u:hunter2@db/x", False, "${x}")
    assert str(settings.origins["port"]).endswith("tcbox.yml:1:7, from env PORT")


@pytest.mark.parametrize(
    ("text", "line", "key", "expected", "hint"),
    [
        ("prot: 80", 1, "prot", "one of the keys", "did you mean port?"),
        ("claim_timeout: 80", 1, "claim_timeout", "one of the keys", "did you mean services.queue.claim_timeout?"),
        ("services: {queue: {claimTimeout: 1}}", 1, "services.queue.claimTimeout", "one of the keys", "did you mean claim_timeout?"),
        ("port: http", 1, "port", "a whole number from 0 to 65535", ""),
        ("port: 70000", 1, "port", "a whole number from 0 to 65535", ""),
        ("port: 80.5", 1, "port", "a whole number", ""),
        ("port: true", 1, "port", "a whole number", ""),
        ('port: "80"', 1, "port", "a whole number", "leave the quotes out"),
        ("port:", 1, "port", "a whole number", ""),
        ("shutdown: {drain_seconds: .nan}", 1, "shutdown.drain_seconds", "a number from 0", ""),
        ("log:\n  level: verbose", 2, "log.level", "debug or info or warning or error", ""),
        ("events: rabbit", 1, "events", "local, or amqp://user:password@host:port/vhost", ""),
        ("events: amqps://u:p@mq/v/w", 1, "events", "local, or amqp://user:password@host:port/vhost", ""),
        ("services: {object: {enabled: false}, queue: {enabled: true}}", 1, "services.object.enabled", "true", "queue needs object"),
        ("root_url: https://x/y", 1, "root_url", "a root URL", ""),
        ("database: mysql://db/x", 1, "database", "postgresql://user:password@host/name", ""),
        ("services: {auth: {enabled: false}}", 1, "services.auth.enabled", "no such key", "auth always runs"),
        (
            "services: {login: {enabled: true}}",
            1,
            "services.login",
            "a service of this version (auth, queue, secrets, object, index, hooks, notify, purge_cache, worker_manager, github, web_server)",
            "remove it",
        ),
        ("services: {object: {enabled: false}}", 1, "services.object.enabled", "true", "queue needs object"),
        ("services: []", 1, "services", "the keys auth, queue, secrets, object", ""),
        ("workers: {docker: {serve: proj/x}}", 1, "workers.docker.serve", "a list", "write [value]"),
        ("workers: {docker: {queue: local/host}}", 1, "workers.docker.queue", "a queue of its own", "different payloads"),
        ("blobs: {url: 's3://b', access_key_id: x}", 1, "blobs.access_key_id", "secret_access_key beside it", "add secret_access_key"),
        ("blobs: {region: eu-west-1}", 1, "blobs.region", "no such key", "it is for S3 alone"),
        ("services: {auth: {sentry: {url: 'https://s'}}}", 1, "services.auth.sentry.url", "auth_token and organization and team beside it", ""),
        ("services: {auth: {gcp: {project_id: p, credentials: x}}}", 1, "services.auth.gcp.credentials", "a service account's key as JSON", ""),
        ("services: {notify: {email: {host: m}}}", 1, "services.notify.email.host", "source beside it", "say from whom"),
        ("services: {notify: {email: {user: u}}}", 1, "services.notify.email.user", "host beside it", "name the mail server"),
        ("services: {notify: {email: {host: m, source: a@b, user: u}}}", 1, "services.notify.email.user", "password beside it", "add password"),
        ("services: {notify: {email: {source: nobody}}}", 1, "services.notify.email.source", "an address such as", ""),
        ('services: {notify: {email: {source: "a@b\\nBcc: c@d"}}}', 1, "services.notify.email.source", "an address such as", ""),
        (
            "services: {notify: {email: {host: m, source: a@b, user: u, password: p, tls: none}}}",
            1,
            "services.notify.email.tls",
            "starttls or tls",
            "in the clear",
        ),
        (
            "services: {notify: {email: {host: m, source: a@b, certificates: x}}}",
            1,
            "services.notify.email.certificates",
            "certificates in PEM",
            "${file:path}",
        ),
        ("services: {notify: {matrix: {base_url: 'https://m'}}}", 1, "services.notify.matrix.base_url", "access_token beside it", "add access_token"),
        ('services: {notify: {slack: {access_token: "a\\nb"}}}', 1, "services.notify.slack.access_token", "a token of printable ASCII", "line break"),
        ("services: {secrets: {key: c2hvcnQ=}}", 1, "services.secrets.key", "32 bytes in base64", "openssl rand -base64 32"),
        ("services: {auth: {static_clients: [{access_token: t}]}}", 1, "services.auth.static_clients.0", "the key client_id", "add client_id"),
        ("host: ${env:NOPE}", 1, "host", "a reference to something that is there", "set NOPE"),
        ("host: ${file:nope}", 1, "host", "a reference to something that is there", "make it readable"),
        ("host: ${vault:x}", 1, "host", "a reference to something that is there", "a reference is ${env:NAME} or ${file:path}"),
        ("port: !env PORT", 1, "port", "a plain value", "variables are written ${env:NAME}"),
        ("port: 1\nport: 2", 2, "port", "each key once", "remove one of them"),
        ("port: [1", 2, "", "YAML", "indent with spaces"),
        ("\tport: 1", 1, "", "YAML", "indent with spaces"),
        ("[]", 1, "", "keys with values", "port: 8090"),
        ("log: {<<: 5}", 1, "log", "an alias of keys with values", "<<: *shared"),
        ("port: 1\n---\nport: 2", 2, "", "YAML", "indent with spaces"),
        ("log: &x {level: *x}", 1, "log.level", "a value", "write the value out"),
    ],
)
def test_a_mistake_is_told_with_its_place(write, text, line, key, expected, hint):
    """A mistake is told with file, line, key, what was expected, and what to do about it."""
    fault = faults(write(text + "\n"))[0]
    assert (fault.line, fault.key) == (line, key)
    assert fault.file.endswith("tcbox.yml")
    assert expected in fault.expected
    assert hint in fault.hint
    assert fault.column >= 1
    assert f"tcbox.yml:{line}:" in str(fault)


def test_all_mistakes_are_told_at_once(write):
    """Mistakes of every kind come in one report, in the order of the file."""
    told = faults(write("prot: 1\nlog: {level: x}\nservices:\n  object: {enabled: false}\n  queue: {claim_timeout: 0}\nhost: ${env:A}${env:B}\n"))
    assert [fault.key for fault in told] == ["prot", "log.level", "services.object.enabled", "services.queue.claim_timeout", "host", "host"]


def test_one_mistake_is_told_once(write):
    """What follows from a mistake is not told as another."""
    assert len(faults(write("workers: {docker: {queue: local/host, url: []}}\nservices: {object: {enabled: maybe}}\n"))) == 3


def test_no_secret_is_told(write):
    """Neither mistakes nor the settings' own text show a token, a key or a password."""
    text = f"""
database: postgresql://u:hunter2@db
services:
  auth:
    websocktunnel_secret: [hunter2]
    static_clients: [{{client_id: static/a, access_token: hunter2}}, {{client_id: b, access_token: {TOKEN}}}]
    github: {{apps: {{x: {{app_id: 1, private_key: hunter2}}}}}}
"""
    assert "hunter2" not in "".join(map(str, faults(write(text))))
    settings = config.load(write(f"database: postgresql://u:hunter2@db/x\nservices: {{auth: {{websocktunnel_secret: {TOKEN}}}}}\n"), {}, {})
    assert "hunter2" not in repr(settings)
    assert TOKEN not in repr(settings)
    shown = json.dumps(describe.describe(settings))
    assert "hunter2" not in shown
    assert TOKEN not in shown
    assert settings.services.auth.websocktunnel_secret.reveal() == TOKEN


def test_settings_of_a_github_app(write):
    """A GitHub App's settings are complete, of the right form, and none of its secrets is shown."""
    text = "services: {{github: {{app_id: {}, private_key: {}, webhook_secrets: [{}]}}}}\n"
    good = text.format('"12"', '"-----BEGIN RSA PRIVATE KEY----- hunter2"', "hunter2")
    settings = config.load(write(good), {}, {})
    assert settings.services.github.webhook_secrets[0].reveal() == "hunter2"
    assert "hunter2" not in repr(settings) + json.dumps(describe.describe(settings)) + repr(list(describe.in_force(settings)))
    told = faults(write(text.format("my-app", "hunter2", "hunter2")))
    assert [fault.key for fault in told] == ["services.github.app_id", "services.github.private_key"] and "hunter2" not in "".join(map(str, told))
    (fault,) = faults(write('services: {github: {app_id: "12"}}\n'))
    assert "private_key and webhook_secrets" in str(fault)


def test_a_flag_with_a_mistake_is_named():
    """A mistake in a flag is told with the flag instead of a file."""
    (fault,) = faults(None, port=99999)
    assert str(fault).startswith("--port: expected a whole number from 0 to 65535, found 99999")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A file that is not there, or is no text, is one clear mistake."""
    assert "No such file" in faults(tmp_path / "none.yml")[0].found
    (tmp_path / "bytes.yml").write_bytes(b"host: \xff\n")
    assert faults(tmp_path / "bytes.yml")[0].expected == "UTF-8"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "services:\n", "services: {queue: }\n"])
def test_empty_sections_are_defaults(write, text):
    """An empty file, or a section with nothing in it, is as if it were not there."""
    assert config.load(write(text), {}, {}) == config.load(None, {}, {})


def test_merge_keys_and_aliases_work(write):
    """What YAML lets a person share between sections is shared."""
    settings = config.load(write("workers:\n  docker: &d {capacity: 5}\n  host: {<<: *d, enabled: false}\n"), {}, {})
    assert (settings.workers.host.capacity, settings.workers.host.enabled) == (5, False)


def test_describe_says_where_each_value_came_from(write):
    """Each key is there with its value and with default, file and line, or flag."""
    found = describe.describe(config.load(write("\nport: 5\nworkers: {docker: {serve: [a/b]}}\n"), {"host": "h"}, {}))
    assert found["port"]["value"] == 5
    assert found["port"]["origin"].endswith("tcbox.yml:2:7")
    assert found["host"] == {"value": "h", "origin": "--host"}
    assert found["services.queue.claim_timeout"] == {"value": 1200, "origin": "default"}
    assert found["workers.docker.serve"]["value"] == ["a/b"]
    assert "origins" not in found


def test_settings_do_not_change():
    """Settings are values: a changed copy is made, the original stays."""
    settings = config.load(None, {}, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1
    assert dataclasses.replace(settings, port=1).port == 1
    assert settings.port == 8090


def test_every_key_is_described():
    """The reference and the schema have a text for every key, and each default that a text states is the real one."""
    page, schema = describe.reference(), describe.json_schema()
    for key in describe.describe(config.Settings()):
        assert f"- `{key}` (" in page or f"- `{key}.<name>` (" in page or f"- `{key}[]` (" in page or f"- `{key}` " in page, key

    def walk(found, path):
        for name, below in found.get("properties", {}).items():
            assert below.get("description"), f"{path}.{name}"
            walk(below, f"{path}.{name}")
            for each in below.get("anyOf", []):
                walk(each, f"{path}.{name}")

    walk(schema, "")


def test_the_schema_agrees_with_the_loader(write):
    """What the schema allows is loaded, and what it forbids is refused."""
    validator = jsonschema_rs.validator_for(describe.json_schema())
    good = "port: ${env:PORT}\nblobs: s3://b/p\nlog: {level: debug}\nservices:\n  auth: {static_clients: [{client_id: static/x, access_token: '${env:T}'}]}\n"
    assert validator.is_valid(yaml.safe_load(good))
    config.load(write(good), {}, {"PORT": "1", "T": TOKEN})
    for bad in ("prot: 1", "port: 70000", "log: {level: x}", "events: amqp:/x", "services: {auth: {static_clients: [{client_id: static/x}]}}"):
        assert not validator.is_valid(yaml.safe_load(bad)), bad
        assert config.check(write(bad), {}, {}), bad


def test_the_example_of_the_documentation_is_valid(write):
    """A configuration with a database, blobs, a switched-off worker and a release loads without a mistake."""
    example = "root_url: https://tc.example.com\ndatabase: postgresql://tcbox@db/tcbox\nblobs: s3://tc-artifacts/prod\nservices:\n  secrets: {version: 1.2.1}\n"
    assert config.check(write(example), {}, {}) == ()


def test_yaml_is_loaded_only_for_a_file():
    """Starting without a file does not pay for the YAML library, nor for what describes settings."""
    code = "import sys; from tcbox import config; config.load(None, {'port': 0}, {}); print([m for m in ('yaml', 'ast', 'difflib', 'tcbox.config.describe') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "yaml" not in found
    assert "difflib" not in found
    assert "describe" not in found


def test_events_may_go_to_an_amqp_server(write):
    """An AMQP server's URL is taken whole, and shown without its password."""
    settings = config.load(write("events: ${env:MQ}"), {}, {"MQ": "amqps://tcbox:hu%2Fsh@mq.example:5671/%2Ftc?heartbeat=20"})
    assert settings.events == "amqps://tcbox:hu%2Fsh@mq.example:5671/%2Ftc?heartbeat=20"
    shown = describe.describe(settings)["events"]
    assert shown["value"] == "amqps://tcbox:***@mq.example:5671/%2Ftc?heartbeat=20" and "hu%2Fsh" not in repr(settings)
    assert config.load(write("events: local")).events == config.Settings().events == "local"
    (fault,) = config.check(write("events: amqp://u:hush@/x y"), {}, {})
    assert "hush" not in str(fault)


def test_what_goes_missing_is_said_in_words(write):
    """Each service that is switched off is named with its key, and with what the others then go without; all on, nothing is said."""
    assert checks.notes(config.Settings()) == []
    (note,) = checks.notes(config.load(write("services: {secrets: {enabled: false}}")))
    assert note.startswith("secrets is switched off (services.secrets.enabled)") and "proxy" in note
    off = {"queue", "object"}
    while more := {name for name, needs in checks.REQUIRES.items() if off & set(needs)} - off:
        off |= more
    alone = config.load(write("services:\n" + "".join(f"  {name.replace('-', '_')}: {{enabled: false}}\n" for name in off)))
    assert {note.split()[0] for note in checks.notes(alone)} >= {"object", "queue"}
    assert any("workers inside do not run" in note for note in checks.notes(alone))


def test_both_tables_name_services_that_there_are():
    """What is needed and what is missed are services, and each can be switched off but auth."""
    known = {field.name.replace("_", "-") for field in dataclasses.fields(config.Settings().services)}
    assert set(checks.REQUIRES) <= known and set(checks.MISSES) <= known | {"workers"}
    for name, missed in checks.MISSES.items():
        assert set(missed) <= known - {"auth", name}
    for name in known - {"auth"}:
        assert getattr(config.Settings().services, name.replace("-", "_")).enabled is True
