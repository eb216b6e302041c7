"""tc-admin, unchanged, keeps an instance's roles, clients, hooks, secrets and worker pools as a repository declares them."""

import copy
import json

import pytest
import taskcluster

from tests.support import declared, proof, shared, tc_admin

pytestmark = pytest.mark.contract

MARK = "*DO NOT EDIT* - This resource is configured automatically.\n\n"
"""What tc-admin puts before descriptions."""


@pytest.fixture
def box(tmp_path):
    made = tc_admin.instance(tmp_path / "box")
    yield made
    made.stop()
    shared.restored()


@pytest.fixture
def project(tmp_path, box):
    return tc_admin.Project(tmp_path, box)


def text(value) -> str:
    """JSON with each object's keys in the order that they have."""
    return json.dumps(value)


def found(box) -> dict:
    """All that the instance has, in the words of tests/support/declared.py."""
    auth, hooks = taskcluster.Auth(box.options), taskcluster.Hooks(box.options)
    secrets, manager = taskcluster.Secrets(box.options), taskcluster.WorkerManager(box.options)

    def right(entry):
        return {"description": entry["description"].removeprefix(MARK), "scopes": entry["scopes"]}

    def hook(entry):
        told = entry["metadata"]
        return {
            "name": told["name"], "description": told["description"].removeprefix(MARK), "owner": told["owner"], "emailOnError": told["emailOnError"],
            "schedule": entry["schedule"], "bindings": entry["bindings"], "task": entry["task"], "triggerSchema": entry["triggerSchema"],
        }  # fmt: skip

    def pool(entry):
        return {
            **{name: entry[name] for name in ("description", "owner", "config", "emailOnError", "providerId")},
            "description": entry["description"].removeprefix(MARK),
        }

    groups = hooks.listHookGroups()["groups"]
    return {
        "roles": {each["roleId"]: right(each) for each in auth.listRoles()},
        "clients": {each["clientId"]: right(each) for each in auth.listClients(query={"prefix": "project/"})["clients"]},
        "hooks": {f"{group}/{each['hookId']}": hook(each) for group in groups for each in hooks.listHooks(group)["hooks"]},
        "secrets": {name: secrets.get(name)["secret"] for name in secrets.list()["secrets"]},
        "pools": {each["workerPoolId"]: pool(each) for each in manager.listWorkerPools()["workerPools"] if each["providerId"] != "null-provider"},
    }


def test_a_configuration_is_put_in_and_comes_out_unchanged(box, project, request):
    """Everything declared is made, key for key and in its order; then there is no difference; one change is one difference, and is made."""
    wanted = declared.make(declared.SMALL)
    project.declare(wanted)
    count = sum(map(len, wanted.values()))
    with proof.by("tc-admin", box.root_url, request):
        new = project.differs()
        assert len(new) == count
        assert {line for line in new if line[0] != "+"} == {f"! Role={name} (changed: description, scopes)" for name in ("anonymous", "login-identity:*")}
        assert len(project.apply()) == count
        assert project.differs() == []
        wanted["roles"]["repo:github.com/company/alpha-0:*"]["scopes"].append("zebra:*")
        project.declare(wanted)
        assert project.differs() == ["! Role=repo:github.com/company/alpha-0:* (changed: scopes)"]
        assert project.apply() == ["Updating Role=repo:github.com/company/alpha-0:*"]
        assert project.differs() == []
    there = found(box)
    for kind, entries in wanted.items():
        assert set(there[kind]) == set(entries), kind
        for name, entry in entries.items():
            assert text(there[kind][name]) == text({key: entry[key] for key in there[kind][name]}), f"{kind} {name}"


def test_what_is_no_longer_declared_goes_and_can_come_back(box, project, request):
    """Entries of each kind are changed, removed, and made again; a pool that was removed is free at once for one of the same name."""
    everything = declared.make(declared.Size(roles=12, scopes=80, clients=4, hooks=4, secrets=4, pools=6, launch_configs=20))
    project.declare(everything)
    project.apply()
    changed = copy.deepcopy(everything)
    changed["clients"]["project/alpha-0/client-0"]["scopes"] = ["queue:ping"]
    changed["hooks"]["project-alpha-0/hook-0"]["task"]["payload"] = {"b": 1, "a": 2}
    changed["secrets"]["project/alpha-0/key-0"] = {"other": "value"}
    changed["pools"]["proj-beacon-0/pool-1"]["config"]["launchConfigs"].pop()
    names = {"roles": "level:1:project:*", "clients": "project/beacon-0/client-1", "hooks": "project-beacon-0/hook-1", "secrets": "project/beacon-0/key-1"}
    pools = ("proj-alpha-0/pool-0", "proj-cobalt-0/pool-2", "proj-delta-0/pool-3", "proj-ember-0/pool-4")
    for kind, name in names.items():
        del changed[kind][name]
    for name in pools:
        del changed["pools"][name]
    project.declare(changed)
    with proof.by("tc-admin", box.root_url, request):
        assert sorted(line[0] for line in project.differs()) == ["!"] * 4 + ["-"] * 8
        said = project.apply()
        assert sum(line.startswith("Deleting ") for line in said) == 8
        assert project.differs() == []
        pool = taskcluster.WorkerManager(box.options).workerPool(pools[0])
        assert pool["providerId"] == "null-provider"
        project.declare(everything)
        assert len(project.differs()) == 12
        project.apply()
        assert project.differs() == []
    assert text(found(box)["pools"]) == text(everything["pools"])


def test_a_change_that_is_refused_says_what_is_wrong(project):
    """What the instance does not take is told in its own words, and what came before it stands."""
    everything = declared.make(declared.Size(roles=5, scopes=14, clients=0, hooks=1, secrets=0, pools=1, launch_configs=0))
    everything["pools"]["proj-alpha-0/pool-0"]["providerId"] = "elsewhere"
    project.declare(everything)
    code, said = project.run("apply")
    assert code == 1
    assert "elsewhere" in said.split("TaskclusterRestFailure", 1)[1]


def test_without_secrets(box, project):
    """Nobody needs rights to secrets to see what else differs."""
    everything = declared.make(declared.Size(roles=3, scopes=8, clients=0, hooks=0, secrets=2, pools=0, launch_configs=0))
    project.declare(everything)
    project.apply()
    code, said = project.run("diff", "--ids-only", "--without-secrets")
    assert (code, said.strip()) == (0, "")
