"""A saved state: what is written is read again exactly, is fit for people, and is told what is wrong in it."""

import json
import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings

from tcbox import errors
from tcbox.state import files, reading
from tcbox.state.comparing import differences
from tcbox.state.model import KINDS, ROLES, SECRETS, Client, Hook, Metadata, Role, Secret, State, plain
from tests.support import state as made

WHOLE = State(
    providers={"aws-main": "aws"},
    roles={"project:x": Role(description="Rights of x.\n\n- a\n", scopes=("assume:y", "queue:*")), "all": Role(scopes=("*",))},
    clients={"project/x": Client(expires=made.FAR, scopes=("queue:ping",), disabled=True)},
    hooks={"x/nightly": made.hook()},
    workerPools={"x/linux": made.pool()},
)
TEXT = """\
# Written by `tcbox state export`.
# From https://tc.example.com.
version: 1
providers:
  aws-main: aws
roles:
  all:
    scopes:
      - "*"
  project:x:
    description: |
      Rights of x.

      - a
    scopes:
      - assume:y
      - queue:*
clients:
  project/x:
    expires: "2099-01-01T00:00:00.000Z"
    disabled: true
    scopes:
      - queue:ping
hooks:
  x/nightly:
    metadata:
      name: nightly
      description: Runs at night.
      owner: ci@company.example
    schedule:
      - "0 0 4 * * *"
    task:
      payload: {}
    triggerSchema:
      type: object
      additionalProperties: false
workerPools:
  x/linux:
    owner: ci@company.example
    providerId: aws-main
    config:
      minCapacity: 2
      maxCapacity: 5
      launchConfigs:
        - region: a
          launchConfig:
            ImageId: ami-1
"""


def everything(state: State) -> str:
    """All of a state as text, in which the order of keys and the form of numbers count."""
    return json.dumps([{name: plain(thing) for name, thing in sorted((state.things(kind) or {}).items())} for kind in state.kinds])


@settings(max_examples=300, deadline=None)
@given(made.states)
def test_what_is_written_is_read_again_exactly(tmp_path_factory, state):
    """Key order, large and pointed numbers, nulls and all texts that YAML has other ideas about come back as they were."""
    path = tmp_path_factory.getbasetemp() / "state.yml"
    path.write_text(files.text(state), encoding="utf-8")
    found = files.load(path)
    assert everything(found) == everything(state)
    assert (found.kinds, found.prefixes) == (state.kinds, state.prefixes)
    assert differences(state, found) == []
    assert files.text(found) == files.text(state)


@settings(max_examples=100, deadline=None)
@given(made.objects)
def test_other_readers_of_yaml_read_the_same(value):
    """What a hook's task holds is the same to any reader of YAML, in whose eyes keys have types too."""
    text = files.text(State(hooks={"a/b": made.hook(task=value)}))
    assert json.dumps(yaml.safe_load(text)["hooks"]["a/b"]["task"]) == json.dumps(value)


def test_a_state_is_written_for_people(tmp_path):
    """Blocks, sorted names, long texts as they are, and nothing that is as it would be anyway."""
    files.save(tmp_path / "state.yml", WHOLE, ["From https://tc.example.com."])
    assert (tmp_path / "state.yml").read_text() == TEXT
    assert differences(WHOLE, files.load(tmp_path / "state.yml")) == []


def test_a_file_with_secrets_is_for_its_owner_alone(tmp_path):
    """A file with secrets has mode 0600, also where another was there before; one without has not."""
    path = tmp_path / "state.yml"
    files.save(path, WHOLE)
    assert stat.S_IMODE(path.stat().st_mode) != 0o600
    files.save(path, State(secrets={"a": Secret(expires=made.FAR, secret={"b": 1})}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_has_a_file_for_each_kind(tmp_path):
    """What is written into a folder is read from there as a whole; only the secrets are closed to others."""
    state = State(roles=WHOLE.roles, hooks=WHOLE.hooks, secrets={"a": Secret(expires=made.FAR, secret={})})
    assert [path.name for path in files.save(tmp_path, state)] == ["roles.yml", "hooks.yml", "secrets.yml"]
    assert stat.S_IMODE((tmp_path / "secrets.yml").stat().st_mode) == 0o600
    found = files.load(tmp_path)
    assert found.kinds == state.kinds
    assert differences(state, found) == []


def test_files_of_a_folder_must_not_contradict_each_other(tmp_path):
    """One thing in two files is refused, and so is a folder without any."""
    with pytest.raises(errors.TcboxError, match="there is no file with a state"):
        files.load(tmp_path)
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text("roles: {all: {}}\n")
    with pytest.raises(errors.TcboxError, match="two files in .* have the role all: take it out of one"):
        files.load(tmp_path)


def faults(tmp_path, text: str) -> list[str]:
    path = tmp_path / "state.yml"
    path.write_text(text)
    with pytest.raises(reading.FileFaults) as caught:
        reading.read(path)
    return [f"{fault.line}: {fault.key}: {fault.expected}, {fault.found}; {fault.hint}" for fault in caught.value.faults]


def test_every_mistake_is_told_with_its_line(tmp_path):
    """Unknown keys, wrong types and names, forms and what is missing are listed at once."""
    found = faults(tmp_path, """\
version: 1
role: {}
roles:
  x: {scopes: [1, "é"], descripton: x}
clients:
  static/x: {expires: 2099-01-01T00:00:00Z}
  "a b": {expires: 2099-13-01T00:00:00Z}
  y: {}
hooks:
  nightly:
    metadata: {name: a, description: b}
    task: []
workerPools:
  x/Linux: {owner: a, providerId: static, config: {}}
  x/linux: {owner: a, providerId: null-provider, config: {a: .inf}}
secrets:
  a: {expires: never, secret: {}}
""")  # fmt: skip
    told = "\n".join(found)
    for part in (
        "2: role: one of the keys version, prefixes, providers, roles, clients, hooks, workerPools, secrets, the unknown key role; did you mean roles?",
        "4: roles.x.scopes.1: a scope, of printable ASCII letters, 'é'",
        "4: roles.x.descripton: one of the keys description, scopes, the unknown key descripton; did you mean description?",
        "8: clients.y: the key expires, none; add expires",
        "11: hooks.nightly.metadata: the key owner, none; add owner",
        "12: hooks.nightly.task: names, each with its keys below, a list",
        "15: workerPools.x/linux.config.a: a value that JSON has, .inf; quote it to have it as a text",
        "17: secrets.a.expires: a time with its zone",
        "6: clients.static/x: a client that does not begin with static/",
        "7: clients.a b: a client id of letters, digits and !@/:.+|_-, 'a b'",
        "7: clients.a b.expires: a time, such as 2099-01-01T00:00:00.000Z, '2099-13-01T00:00:00Z'",
        "14: workerPools.x/Linux: a worker pool's name, such as proj-x/b-linux",
        "15: workerPools.x/linux.providerId: a provider of machines, null-provider",
    ):
        assert part in told, part


def test_a_state_of_another_version_is_refused(tmp_path):
    """A file that a later version wrote is not taken for one of this."""
    assert faults(tmp_path, "version: 2\n") == ["1: version: 1, 2; it was written by another version of tcbox: use that, or export again"]


def test_what_is_no_yaml_is_refused(tmp_path):
    """The place is told; and so is a file of another sort."""
    assert "2:" in faults(tmp_path, "roles: [\n")[0]
    assert "write for example `roles: {}`" in faults(tmp_path, "- a\n")[0]


def test_references_are_texts_like_others(tmp_path):
    """What looks like a reference to a variable is none in a state, for hooks are full of it."""
    path = tmp_path / "state.yml"
    path.write_text('roles: {x: {description: "${env:HOME} ${", scopes: ["a:${b}"]}}\n')
    assert reading.read(path).roles == {"x": Role(description="${env:HOME} ${", scopes=("a:${b}",))}


def test_json_is_read_too(tmp_path):
    """A state may be written as JSON, by a program of somebody's own."""
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"roles": {"x": {"scopes": ["a"]}}}))
    assert files.load(path).roles == {"x": Role(scopes=("a",))}


def test_a_part_is_about_fewer_names():
    """A part has what begins so, remembers that it is about no other names, and cannot be about names that the whole is not about."""
    whole = State(roles={"project:x": Role(), "project:y": Role(), "repo:z": Role()}, secrets={})
    part = whole.part([ROLES], ["project:"])
    assert (list(part.roles), part.secrets, part.prefixes) == (["project:x", "project:y"], None, ("project:",))
    assert part.part([ROLES, SECRETS], ["project:x", "pro"]).prefixes == ("project:", "project:x")
    assert part.part(KINDS).prefixes == ("project:",)
    with pytest.raises(errors.TcboxError, match="it is about names that begin with project: alone"):
        part.part([ROLES], ["repo:"])


def test_a_hook_may_leave_out_what_has_a_default(tmp_path):
    """A hook by hand needs no more than the API asks for."""
    path = tmp_path / "state.yml"
    path.write_text("hooks: {a/b: {metadata: {name: n, description: d, owner: o@example.com}, task: {}}}\n")
    metadata = Metadata(name="n", description="d", owner="o@example.com")
    assert reading.read(path).hooks == {"a/b": Hook(metadata=metadata, task={}, triggerSchema={"type": "object", "additionalProperties": False})}


def test_the_example_of_the_page_is_a_state(tmp_path):
    """What docs/state.md shows can be read, and has a thing of each kind."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "state.md").read_text()
    path = tmp_path / "state.yml"
    path.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert all(reading.read(path).count().values())
    assert reading.read(path).kinds == list(KINDS)
