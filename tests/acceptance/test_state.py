"""`tcbox state` and `tcbox up --seed`: an instance's set-up saved, copied to others, compared."""

import json
import stat
from pathlib import Path

import pytest
import taskcluster

from tests.support.box import Box

FAR = "2099-01-01T00:00:00.000Z"
OFF = "workers: {docker: {enabled: false}, host: {enabled: false}, builtin: {enabled: false}}\n"
CLOUD = OFF + "providers: {aws-main: {type: aws}}\n"
TASK = {
    "zeta": [1.0, 2**70, None, True], "alpha": {"on": "off", "1": "0x1F", "d": "2020-01-01", "e": "1e3"}, "payload": {"$eval": "payload"},
    "metadata": {"name": "${firedBy}"},
}  # fmt: skip
CONFIG = {
    "scalingRatio": 1.0,
    "minCapacity": 2,
    "maxCapacity": 5,
    "launchConfigs": [{"region": "a", "launchConfig": {"ImageId": "ami", "A": {"z": 1, "b": []}}}],
}


def fill(box: Box) -> None:
    """Things of all kinds, with all that may be said of them."""
    auth, hooks, secrets, pools = (kind(box.options) for kind in (taskcluster.Auth, taskcluster.Hooks, taskcluster.Secrets, taskcluster.WorkerManager))
    auth.createRole("project:x:*", {"description": "Of `x`.\n\n* a\n", "scopes": ["queue:create-task:low:proj-<..>/*", "assume:project:base"]})
    auth.createRole("project:base", {"description": "", "scopes": ["queue:status:*", "secrets:get:project/x/*"]})
    auth.createRole("hook-id:project-x/nightly", {"description": "", "scopes": ["assume:project:x:y"]})
    auth.createClient("project/x/ci", {"description": "CI", "expires": FAR, "scopes": ["assume:project:base"], "deleteOnExpiration": True})
    auth.createClient("project/x/old", {"description": "", "expires": FAR, "scopes": []})
    auth.disableClient("project/x/old")
    about = {"name": "nightly", "description": "…", "owner": "ci@example.com", "emailOnError": False}
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    bindings = [{"exchange": "exchange/taskcluster-queue/v1/task-failed", "routingKeyPattern": "route.x.#"}]
    hook = {"metadata": about, "task": TASK, "schedule": ["0 * * * * *"], "triggerSchema": schema, "bindings": bindings}
    hooks.createHook("project-x", "nightly", hook)
    pool = {"providerId": "aws-main", "description": "A pool.", "owner": "ci@example.com", "emailOnError": True, "config": CONFIG}
    pools.createWorkerPool("proj-x/linux", pool)
    pools.createWorkerPool("proj-x/own", {**pool, "providerId": "static", "config": {"workerConfig": {"a": 1}}})
    pools.createWorkerPool("proj-x/gone", {**pool, "providerId": "static", "config": {}})
    pools.deleteWorkerPool("proj-x/gone")
    secrets.set("project/x/key", {"secret": {"token": "hunter2", "n": 2**65}, "expires": FAR})


@pytest.fixture
def source(make_box):
    """An instance that is set up for something."""
    box = make_box(CLOUD)
    fill(box)
    return box


@pytest.fixture
def saved(source, tmp_path):
    """Its state, with secrets, in a file."""
    path = tmp_path / "saved.yml"
    source.command("state", "export", "--data", str(source.data), "--secrets", "--out", str(path))
    return path


def state(box: Box, *words: str, code: int = 0):
    """Run `tcbox state`, in the folder of the instance."""
    done = box.command("state", *words, check=False, cwd=box.folder)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def as_json(box: Box, *words: str, code: int = 0) -> dict:
    return json.loads(state(box, *words, "--json", code=code).stdout)


@pytest.fixture
def ephemeral(make_box):
    """Starts throwaway instances."""
    box = make_box(OFF, start=False)
    started = []

    def start(*words: str) -> Box:
        done = box.command("up", "--ephemeral", "--detach", "--json", "--config", str(box.config), *words)
        copy = Box.__new__(Box)
        copy.__dict__.update(box.__dict__, info=json.loads(done.stdout))
        copy.data = Path(copy.info["data"])
        started.append(copy)
        return copy

    yield start
    for each in started:
        each.stop()


def test_a_saved_state_makes_a_copy(source, saved, ephemeral):
    """A throwaway instance seeded by a file has all that the first one has, but that hooks have no schedules and pools no minimum."""
    copy = ephemeral("--seed", str(saved))
    seed = copy.info["seed"]
    assert (seed["source"], seed["finished"], seed["notes"]) == (str(saved), True, [])
    assert seed["numbers"] == {"created": 9, "changed": 0, "deleted": 0, "same": 2, "leftOff": 2, "leftOut": 0, "others": 0}
    found = as_json(source, "diff", str(saved), str(copy.data), "--secrets", code=1)
    assert found["kinds"] == ["roles", "clients", "hooks", "worker-pools", "secrets"]
    assert [(each["kind"], each["name"], each["properties"]) for each in found["differences"]] == [
        ("hooks", "project-x/nightly", [{"path": ["schedule", 0], "before": "0 * * * * *"}]),
        ("worker-pools", "proj-x/linux", [{"path": ["config", "minCapacity"], "before": 2, "after": 0}]),
    ]
    state(source, "diff", str(source.data), str(copy.data), "--secrets", "--ignore", "schedules", "--ignore", "min-capacity")
    hook = taskcluster.Hooks(copy.options).hook("project-x", "nightly")
    assert json.dumps(hook["task"]) == json.dumps(TASK)
    assert json.dumps(taskcluster.WorkerManager(copy.options).workerPool("proj-x/linux")["config"]) == json.dumps({**CONFIG, "minCapacity": 0})
    assert taskcluster.Secrets(copy.options).get("project/x/key")["secret"] == {"token": "hunter2", "n": 2**65}


def test_clients_of_a_copy_have_tokens_of_their_own(source, saved, ephemeral):
    """Each new client's token is in a file for the owner alone, works with another client library, and opens nothing at the source."""
    assert "ccessToken" not in saved.read_text()
    copy = ephemeral("--seed", str(saved))
    path = Path(copy.info["seed"]["tokens"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tokens = json.loads(path.read_text())
    assert sorted(tokens) == ["project/x/ci", "project/x/old"]
    ours = {"rootUrl": copy.root_url, "credentials": tokens["project/x/ci"]}
    assert taskcluster.Secrets(ours).get("project/x/key")["secret"]["token"] == "hunter2"
    for options in ({**ours, "rootUrl": source.root_url}, {**ours, "credentials": tokens["project/x/old"]}):
        with pytest.raises(taskcluster.exceptions.TaskclusterAuthFailure):
            taskcluster.Auth(options).currentScopes()


def test_an_instance_is_read_at_its_root_url(source, ephemeral, tmp_path):
    """A copy is made straight from a root URL, of what its caller may read there; secrets are no part of it."""
    copy = ephemeral("--seed", source.root_url)
    assert copy.info["seed"]["source"] == source.root_url
    assert copy.info["seed"]["numbers"]["created"] == 8
    done = state(source, "diff", source.root_url, str(copy.data), "--ignore", "schedules", "--ignore", "min-capacity")
    assert done.stdout == "no difference (compared: roles, clients, hooks, worker-pools)\n"
    auth = taskcluster.Auth(source.options)
    scopes = [scope for scope in auth.role("anonymous")["scopes"] if scope != "auth:list-clients"]
    auth.updateRole("anonymous", {"description": "", "scopes": scopes})
    done = state(source, "export", source.root_url)
    assert f"left out of {source.root_url}: clients: the caller lacks auth:list-clients" in done.stderr
    assert "# Left out: clients: the caller lacks auth:list-clients\n" in done.stdout
    assert "clients:\n" not in done.stdout
    done = state(source, "export", source.root_url, "--only", "roles,clients", "--secrets", code=1)
    assert "clients: the caller lacks auth:list-clients\n  secrets: the caller lacks secrets:list-secrets" in done.stderr


def test_an_export_is_the_same_each_time(source):
    """What was exported twice is the same text, and a folder has a file for each kind that is read as a whole."""
    first = state(source, "export", "--data", str(source.data)).stdout
    taskcluster.Auth({"rootUrl": source.root_url}).ping()
    assert state(source, "export", "--data", str(source.data)).stdout == first
    assert "gone" not in first
    assert "static/" not in first
    done = state(source, "export", "--data", str(source.data), "--secrets", "--out", "copy/")
    assert "in it in clear" in done.stderr
    folder = source.folder / "copy"
    assert sorted(path.name for path in folder.iterdir()) == ["clients.yml", "hooks.yml", "roles.yml", "secrets.yml", "worker-pools.yml"]
    state(source, "diff", str(folder), str(source.data), "--secrets")


def test_an_import_tells_makes_and_is_done_once(source, saved, make_box):
    """A dry run does nothing; the import makes what is missing; once more there is nothing to do; flags put in what was left off."""
    target = make_box(CLOUD)
    words = ("import", str(saved), "--data", str(target.data))
    told = state(target, *words, "--dry-run").stdout
    assert "+ role project:x:*  (2 scopes)" in told
    assert 'hook project-x/nightly: schedule is ["0 * * * * *"] there, and is [] here; --schedules sets it' in told
    assert told.endswith("9 to create, 2 the same, 1 schedule left off, 1 minimum capacity left off; nothing was done\n")
    assert "hunter2" not in told
    assert taskcluster.WorkerManager(target.options).listWorkerPools()["workerPools"] == []
    done = state(target, *words)
    assert done.stdout.endswith("9 created, 2 the same, 1 schedule left off, 1 minimum capacity left off\n")
    assert f"access tokens of 2 new clients: {target.data / 'access-tokens.json'}" in done.stderr
    assert state(target, *words).stdout.endswith("nothing to change, 11 the same, 1 schedule left off, 1 minimum capacity left off\n")
    assert as_json(target, *words, "--schedules", "--min-capacity")["numbers"]["changed"] == 2
    assert as_json(target, *words)["numbers"] == {"created": 0, "changed": 0, "deleted": 0, "same": 11, "leftOff": 0, "leftOut": 0, "others": 0}
    state(target, "diff", str(saved), str(target.data), "--secrets")


def test_what_is_not_in_the_source_goes_only_when_asked(source, make_box):
    """With --prune what is not in the file is deleted, within its kinds and prefixes; what was deleted can come back."""
    target = make_box(CLOUD)
    fill(target)
    path = target.folder / "part.yml"
    path.write_text("prefixes: [project, proj-]\nroles: {}\nclients: {}\nhooks: {}\nworkerPools: {}\n")
    words = ("import", str(path), "--data", str(target.data))
    assert as_json(target, *words)["numbers"]["others"] == 7
    found = as_json(target, *words, "--prune")
    assert [f"{each['change']} {each['name']}" for each in found["differences"]] == [
        "removed project:base", "removed project:x:*", "removed project/x/ci", "removed project/x/old", "removed project-x/nightly",
        "removed proj-x/linux", "removed proj-x/own",
    ]  # fmt: skip
    assert taskcluster.Auth(target.options).role("hook-id:project-x/nightly")["scopes"] == ["assume:project:x:y"]
    assert taskcluster.Secrets(target.options).list()["secrets"] == ["project/x/key"]
    assert as_json(target, *words, "--prune")["numbers"]["deleted"] == 0
    whole = ("import", str(source.data), "--data", str(target.data), "--schedules", "--min-capacity", "--only", "roles,clients,hooks,worker-pools")
    assert "is no state" not in state(target, "export", "--data", str(source.data), "--out", "whole.yml").stdout
    whole = ("import", "whole.yml", *whole[2:])
    assert as_json(target, *whole)["numbers"]["created"] == 7
    state(target, "diff", str(source.data), str(target.data))


def test_too_few_scopes_are_told_before_anything_is_changed(source, saved, make_box):
    """Every change that the caller may not make is named with the scopes that it takes, and none is made."""
    target = make_box(CLOUD)
    auth = taskcluster.Auth(target.options)
    scopes = ["auth:create-role:project:*", "queue:status:*", "hooks:modify-hook:*", "secrets:*", "worker-manager:*"]
    client = auth.createClient("me", {"description": "", "expires": FAR, "scopes": scopes})
    me = {"TASKCLUSTER_ROOT_URL": target.root_url, "TASKCLUSTER_CLIENT_ID": "me", "TASKCLUSTER_ACCESS_TOKEN": client["accessToken"]}
    target.__class__ = type("Limited", (Box,), {"env": property(lambda self: {**Box.env.fget(self), **me})})
    done = state(target, "import", str(saved), "--into", target.root_url, code=1)
    assert f"{target.root_url} refuses 5 changes; nothing was changed, since the caller lacks scopes:" in done.stderr
    for line in (
        "create role hook-id:project-x/nightly: it takes the scopes auth:create-role:hook-id:project-x/nightly, assume:project:x:y",
        "create client project/x/ci: it takes the scopes auth:create-client:project/x/ci, assume:project:base",
        "create hook project-x/nightly: it takes the scopes assume:hook-id:project-x/nightly",
    ):
        assert line in done.stderr, line
    assert [role["roleId"] for role in auth.listRoles()] == ["anonymous", "login-identity:*"]
    assert not (target.folder / "access-tokens.json").exists()


def test_what_an_instance_refuses_is_told_and_the_rest_is_done(quiet_box):
    """All that the target refuses is listed with its words; what else there is has been done; a change of roles that turns round succeeds."""
    auth = taskcluster.Auth(quiet_box.options)
    auth.createRole("a", {"description": "", "scopes": ["assume:b"]})
    auth.createRole("b", {"description": "", "scopes": []})
    path = quiet_box.folder / "state.yml"
    path.write_text('roles: {a: {scopes: [x]}, b: {scopes: ["assume:a"]}, c: {scopes: ["d**"]}, e: {scopes: ["assume:e"]}}\n')
    done = state(quiet_box, "import", str(path), "--data", str(quiet_box.data), code=1)
    assert "refuses 2 changes; the other 2 are done, and will not be done again:\n  create role c: The scope d** ends with" in done.stderr
    assert "  create role e: Roles must not assume each other in a circle" in done.stderr
    assert auth.role("b")["scopes"] == ["assume:a"]
    path.write_text('roles: {a: {scopes: ["assume:b"]}, b: {scopes: [x]}}\n')
    assert as_json(quiet_box, "import", str(path), "--data", str(quiet_box.data))["numbers"]["changed"] == 2


def test_a_pool_without_its_provider_is_left_out(saved, quiet_box):
    """It is told what makes the provider known; another one can stand for it."""
    words = ("import", str(saved), "--data", str(quiet_box.data), "--only", "worker-pools")
    done = state(quiet_box, *words)
    assert "worker pool proj-x/linux is left out: the target has no provider aws-main" in done.stdout
    assert "add to the target's tcbox.yml: providers: {aws-main: {type: aws}}" in done.stdout
    assert done.stdout.endswith("1 created, 1 left out\n")
    state(quiet_box, *words, "--provider", "aws-main", code=2)
    assert "/config" in state(quiet_box, *words, "--provider", "aws-main=static", code=1).stderr


def test_an_instance_is_seeded_once(saved, make_box):
    """A later start has the same providers, puts in nothing, and says by what the instance was seeded; another seed is not taken."""
    box = make_box(OFF, "--seed", str(saved))
    assert box.info["seed"]["now"]
    taskcluster.Auth(box.options).deleteRole("project:base")
    box.stop()
    box.start("--seed", str(saved))
    assert (box.info["seed"]["now"], box.info["seed"]["source"], box.info["seed"]["unused"]) == (False, str(saved), "")
    with pytest.raises(taskcluster.exceptions.TaskclusterRestFailure):
        taskcluster.Auth(box.options).role("project:base")
    pool = taskcluster.WorkerManager(box.options).workerPool("proj-x/linux")
    body = {key: pool[key] for key in ("providerId", "description", "owner", "emailOnError", "config")}
    assert taskcluster.WorkerManager(box.options).updateWorkerPool("proj-x/linux", {**body, "description": "changed"})["description"] == "changed"
    box.stop()
    other = box.folder / "other.yml"
    other.write_text("roles: {}\n")
    told = box.command("up", "--data", str(box.data), "--port", "0", "--detach", "--seed", str(other)).stdout
    box.info["pid"] = json.loads((box.data / "run" / "instance.json").read_text())["pid"]
    assert f"seed      {saved}, at the first start" in told
    assert f"{other} is not put in, for that was it; to have it: tcbox state import {other} --data {box.data}" in told


def test_an_instance_that_was_begun_is_not_seeded(quiet_box, saved):
    """A seed that comes too late keeps the instance from starting, and it is told what to do instead."""
    quiet_box.stop()
    done = quiet_box.command("up", "--data", str(quiet_box.data), "--port", "0", "--seed", str(saved), check=False)
    assert done.returncode == 1
    assert f"tcbox state import {saved} --data {quiet_box.data}" in done.stderr


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9 does not answer"),
        ("nothing.yml", "nothing.yml: give a file that 'tcbox state export' wrote"),
        ("bad.yml", "bad.yml:2:14: roles.b.scope: expected one of the keys description, scopes, found the unknown key scope; did you mean scopes?"),
    ],
)
def test_a_seed_that_cannot_be_read_starts_nothing(make_box, seed, expected):
    """The start fails with what is wrong, nothing is begun, and the next start is a first one."""
    box = make_box(OFF, start=False)
    (box.folder / "bad.yml").write_text("roles:\n  b: {scope: []}\n")
    words = ("up", "--data", str(box.data), "--port", "0", "--detach", "--config", str(box.config))
    done = box.command(*words, "--seed", seed, check=False, cwd=box.folder)
    assert done.returncode == 1
    assert expected in done.stderr
    assert not (box.data / "tcbox.db").exists()
    (box.folder / "bad.yml").write_text("roles:\n  b: {scopes: []}\n")
    box.start("--seed", str(box.folder / "bad.yml"))
    assert box.info["seed"]["numbers"]["created"] == 1


def test_a_seed_that_was_refused_is_gone_on_with(make_box):
    """What an instance refuses of a seed keeps it from starting; mended, the same command makes the rest. A start without it warns."""
    box = make_box(OFF, start=False)
    seed = box.folder / "seed.yml"
    seed.write_text('roles: {a: {}, b: {scopes: ["c**"]}}\n')
    words = ("up", "--data", str(box.data), "--port", "0", "--detach", "--config", str(box.config))
    done = box.command(*words, "--seed", str(seed), check=False)
    assert done.returncode == 1
    assert "refuses a change; the other is done, and will not be done again:\n  create role b: The scope c** ends with" in done.stderr
    assert "start again in the same way, which makes what is missing" in done.stderr
    told = box.command(*words).stdout
    assert f"{seed} was put in by half: stop it, and start it with --seed {seed}" in told
    box.command("down", "--data", str(box.data))
    seed.write_text('roles: {a: {}, b: {scopes: ["c*"]}}\n')
    box.start("--seed", str(seed))
    assert box.info["seed"]["numbers"] == {"created": 1, "changed": 0, "deleted": 0, "same": 1, "leftOff": 0, "leftOut": 0, "others": 2}


def test_the_configuration_can_name_a_seed(make_box):
    """The key `seed` is a path from the configuration's own folder; services that are switched off are passed over, and that is told."""
    box = make_box(OFF + "seed: seed.yml\nservices: {secrets: {enabled: false}}\n", start=False)
    (box.folder / "seed.yml").write_text(f"roles: {{a: {{}}}}\nsecrets: {{b: {{expires: {FAR}, secret: {{}}}}}}\n")
    box.start()
    assert box.info["seed"]["source"] == str(box.folder / "seed.yml")
    assert box.info["seed"]["notes"] == ["secrets: the service is switched off here"]
    assert taskcluster.Auth(box.options).role("a")["scopes"] == []


def test_hooks_of_a_copy_do_not_fire_and_a_fixture_can_be_seeded(saved):
    """Inside a test an instance begins with a saved state, or takes one later, and days pass without a task of its hooks."""
    from tcbox.testing import start

    with start(seed=saved) as copy:
        copy.advance(days=2)
        assert copy.call("hooks", "getHookStatus", "project-x", "nightly") == {"lastFire": {"result": "no-fire"}}
        assert "task-pending" not in copy.events.names()
    with start(config={"providers": {"aws-main": {"type": "aws"}}}) as copy:
        made = copy.seed(saved)
        assert sorted(made) == ["project/x/ci", "project/x/old"]
        assert copy.seed(saved) == {}
        credentials = {"clientId": "project/x/ci", "accessToken": made["project/x/ci"]}
        assert taskcluster.Secrets({"rootUrl": copy.root_url, "credentials": credentials}).get("project/x/key")["secret"]["token"] == "hunter2"
    with start() as copy, pytest.raises(Exception, match="all is put in but:\n  worker pool proj-x/linux: the target has no provider aws-main"):
        copy.seed(saved)


def test_wrong_usage_is_told(quiet_box):
    """An unknown kind, two targets, a target that is no URL, and nothing to compare."""
    assert "kinds are roles, clients" in state(quiet_box, "export", "--only", "rolls", code=2).stderr
    assert "leave out one of them" in state(quiet_box, "import", "x.yml", "--into", "http://a", "--data", "b", code=2).stderr
    assert "--into a.yml is no root URL" in state(quiet_box, "import", "x.yml", "--into", "a.yml", code=2).stderr
    for name, kind in (("a.yml", "roles"), ("b.yml", "clients")):
        (quiet_box.folder / name).write_text(f"{kind}: {{}}\n")
    assert "have no kind in common" in state(quiet_box, "diff", "a.yml", "b.yml", code=1).stderr


def test_a_database_is_seeded_once(make_box):
    """With a data folder of its own a database that was seeded is left alone, and one that was begun without a seed is refused."""
    keys = "instance_key: {}\nroot_access_token: {}\nservices: {{secrets: {{key: {}}}}}\n".format(*("A" * 43 + "=", "b" * 44, "C" * 43 + "="))
    seed = "roles: {a: {scopes: [b]}}\n"
    one = make_box(OFF + keys, start=False)
    path = one.folder / "seed.yml"
    path.write_text(seed)
    one.config.write_text(f"{OFF}{keys}database: sqlite:///{one.folder}/one.db\n")
    one.start("--seed", str(path))
    taskcluster.Auth(one.options).updateRole("a", {"description": "", "scopes": ["c"]})
    one.stop()
    two = make_box(one.config.read_text(), "--seed", str(path))
    assert two.info["seed"]["said"] == "put in before, as the database says"
    assert taskcluster.Auth(two.options).role("a")["scopes"] == ["c"]
    two.stop()
    one.config.write_text(one.config.read_text().replace("one.db", "two.db"))
    one.command("up", "--data", str(one.folder / "other"), "--port", "0", "--config", str(one.config), "--detach")
    one.command("down", "--data", str(one.folder / "other"))
    done = one.command("up", "--data", str(one.folder / "third"), "--port", "0", "--config", str(one.config), "--seed", str(path), check=False)
    assert done.returncode == 1
    assert "was begun without a seed, and is not seeded afterwards" in done.stderr
