"""The hooks service's methods: hooks come back as they came in, to those who may, and fire for those who may."""

from __future__ import annotations

import json
import logging

import pytest

from tcbox import clock as clocks
from tcbox import db, errors, ids
from tests.support import hooks as support
from tests.support.databases import database  # noqa: F401
from tests.support.hooks import EMPTY, METADATA, Hooks, clock, hook, hooks, task  # noqa: F401

migrations = support.MIGRATIONS
FREE = {"type": "object", "additionalProperties": True}
RAW = (
    '{"hookId":"h","schedule":["0 0 1 1 *"],"metadata":{"owner":"o@example.com","name":"n","description":"d"},'
    '"task":{"z":{"$eval":"payload.x"},"a":[1.0,123456789012345678901234567890,null,{"$if":"true","then":{}}],"":{"b":1,"a":2}},'
    '"triggerSchema":{"type":"object","properties":{"x":{"default":1.0}},"additionalProperties":false},'
    '"bindings":[{"routingKeyPattern":"#","exchange":"exchange/x/y"}]}'
)


async def test_a_hook_comes_back_as_it_went_in(hooks: Hooks) -> None:
    """Templates, schemas and metadata come back key for key, with large numbers, `1.0`, nulls and empty keys."""
    made = await hooks("createHook", "g", "h", payload=RAW.encode())
    assert made.status == 200, made.body
    for answer in (made, await hooks("hook", "g", "h"), await hooks("listHooks", "g")):
        text = answer.raw.decode()
        for part in (
            '"task":{"z":{"$eval":"payload.x"},"a":[1.0,123456789012345678901234567890,null,{"$if":"true","then":{}}],"":{"b":1,"a":2}}',
            '"triggerSchema":{"type":"object","properties":{"x":{"default":1.0}},"additionalProperties":false}',
            '"metadata":{"owner":"o@example.com","name":"n","description":"d","emailOnError":true}',
            '"bindings":[{"routingKeyPattern":"#","exchange":"exchange/x/y"}]',
            '"schedule":["0 0 1 1 *"]',
        ):
            assert part in text
    assert json.loads(made.raw) == (await hooks("hook", "g", "h")).body
    changed = await hooks("updateHook", "g", "h", payload=RAW.replace("1.0,", "2.0,").encode())
    assert '"a":[2.0,' in changed.raw.decode()


async def test_what_is_left_out_has_its_default(hooks: Hooks) -> None:
    """A hook of metadata and a task alone has no schedule, no bindings, takes no payload, and mails its owner."""
    assert await hooks.create() == {
        "hookGroupId": "g", "hookId": "h", "metadata": {**METADATA, "emailOnError": True}, "task": support.TASK,
        "bindings": [], "schedule": [], "triggerSchema": EMPTY,
    }  # fmt: skip
    assert (await hooks("getHookStatus", "g", "h")).body == {"lastFire": {"result": "no-fire"}}


async def test_groups_and_hooks_are_listed_in_order(hooks: Hooks) -> None:
    """Groups with hooks are listed, and the hooks of one; a group is gone with its last hook."""
    assert (await hooks("listHookGroups")).body == {"groups": []}
    for group, name in (("b", "1"), ("a", "2"), ("a", "1/x"), ("c-_", "x")):
        await hooks.create(group, name)
    assert (await hooks("listHookGroups")).body == {"groups": ["a", "b", "c-_"]}
    assert [each["hookId"] for each in (await hooks("listHooks", "a")).body["hooks"]] == ["1/x", "2"]
    await hooks("removeHook", "b", "1")
    assert (await hooks("listHookGroups")).body == {"groups": ["a", "c-_"]}
    assert (await hooks("listHooks", "b")).code == "ResourceNotFound"


async def test_changes_are_announced_and_recorded(hooks: Hooks) -> None:
    """Making, changing and removing a hook is announced and recorded, each once; what changes nothing is not."""
    await hooks.create()
    await hooks.create()
    await hooks("updateHook", "g", "h", payload=hook(schedule=["@daily"]))
    assert (await hooks("removeHook", "g", "h")).body == {}
    assert (await hooks("removeHook", "g", "h")).status == 200
    assert (await hooks("updateHook", "g", "h", payload=hook())).status == 404
    words = {"hookGroupId": "g", "hookId": "h"}
    assert await hooks.announced() == [("hook-created", words), ("hook-updated", words), ("hook-deleted", words)]
    assert hooks.audit.entries == [("hook", "g/h", action, "tester") for action in ("created", "updated", "deleted")]


async def test_creating_again_is_harmless_only_with_the_same_definition(hooks: Hooks) -> None:
    """The same definition may be given again, its keys in another order; another one is a conflict."""
    first = await hooks.create(bindings=[], schedule=["@daily"])
    again = hook(schedule=["@daily"], task=dict(reversed(support.TASK.items())))
    assert (await hooks("createHook", "g", "h", payload=again)).body == first
    refused = await hooks("createHook", "g", "h", payload=hook(schedule=["@hourly"]))
    assert (refused.status, refused.code) == (409, "RequestConflict")
    assert "g/h" in refused.message and "updateHook" in refused.message


async def test_an_update_keeps_bindings_and_the_next_date_unless_it_changes_them(hooks: Hooks, clock) -> None:
    """Bindings that are left out stay; with the same schedule, a date that has come but did not fire yet is not passed over."""
    bound = [{"exchange": "exchange/x", "routingKeyPattern": "#"}]
    await hooks.create(bindings=bound, schedule=["0 * * * *"])
    due = (await hooks("getHookStatus", "g", "h")).body["nextScheduledDate"]
    clock.advance(2 * clocks.HOUR)
    changed = (await hooks("updateHook", "g", "h", payload=hook(schedule=["0 * * * *"], metadata={**METADATA, "name": "new"}))).body
    assert changed["bindings"] == bound and changed["metadata"]["name"] == "new"
    assert (await hooks("getHookStatus", "g", "h")).body["nextScheduledDate"] == due
    assert (await hooks("updateHook", "g", "h", payload=hook(bindings=[]))).body["bindings"] == []
    assert "nextScheduledDate" not in (await hooks("getHookStatus", "g", "h")).body


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"schedule": ["0 0 30 2 *"]}, "InputError", "never comes"), ({"schedule": ["@daily", "61 * * * *"]}, "InputError", "no valid minute"),
        ({"schedule": ["x"]}, "InputError", "has 1 fields"), ({"schedule": ["@daily", "@daily"]}, "InputValidationError", "/schedule"),
        ({"hookId": "other"}, "InputError", "do not match"), ({"hookGroupId": "other"}, "InputError", "do not match"),
        ({"triggerSchema": {"type": "objet"}}, "InputError", "must be an object"), ({"triggerSchema": {"$ref": "http://x.example/"}}, "InputError", "not looked up"),
        ({"bindings": [{"exchange": "exchange/taskcluster-hooks/v1/hook-created", "routingKeyPattern": "#"}]}, "InputError", "hook-created"),
        ({"bindings": [{"exchange": "exchange/denied/x", "routingKeyPattern": "#"}]}, "InputError", "denied access"),
        ({"bindings": [{"exchange": "x"}]}, "InputValidationError", "routingKeyPattern"), ({"bindings": {}}, "InputValidationError", "/bindings"),
        ({"task": "x"}, "InputValidationError", "/task"), ({"metadata": {**METADATA, "owner": "x"}}, "InputValidationError", "/metadata/owner"),
        ({"more": 1}, "InputValidationError", "/more"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["createHook", "updateHook"])
async def test_what_is_no_hook_is_refused(database: db.Database, clock, method, changes, code, words) -> None:
    """A definition that makes no sense is refused with what is wrong, and nothing is changed."""
    if "triggerSchema" in changes and changes["triggerSchema"].get("type") == "objet":
        words = "triggerSchema is not a valid JSON schema"
    async with support.started(database, clock, denied=("exchange/denied/",)) as hooks:
        if method == "updateHook":
            await hooks.create()
        await hooks.announced()
        refused = await hooks(method, "g", "h", payload=hook(**changes))
        assert (refused.status, refused.code) == (400, code)
        assert words in refused.message
        assert await hooks.announced() == []
        assert (await hooks("hook", "g", "h")).status == (200 if method == "updateHook" else 404)


@pytest.mark.parametrize(("group", "name"), [("a/b", "x"), ("a b", "x"), ("a", "x y"), ("x" * 1001, "x"), ("a", "é"), ("a", "x\n")])
async def test_names_have_a_form(hooks: Hooks, group, name) -> None:
    """Names have letters, digits, dashes, underscores, and hook ids slashes."""
    assert (await hooks("createHook", group, name, payload=hook())).code == "InvalidRequestArguments"


MODIFY = ("hooks:modify-hook:g/h", "assume:hook-id:g/h")


@pytest.mark.parametrize(
    ("method", "scopes", "missing"),
    [
        ("createHook", MODIFY, None), ("createHook", MODIFY[:1], MODIFY[1]), ("createHook", MODIFY[1:], MODIFY[0]), ("createHook", ("hooks:modify-hook:g/*", "assume:*"), None),
        ("updateHook", MODIFY, None), ("updateHook", MODIFY[:1], MODIFY[1]), ("updateHook", ("hooks:modify-hook:g/x", "assume:hook-id:g/h"), MODIFY[0]),
        ("removeHook", MODIFY[:1], None), ("removeHook", ("hooks:modify-hook:x/*",), MODIFY[0]),
        ("hook", ("hooks:get:g:h",), None), ("hook", ("hooks:get:g/h",), "hooks:get:g:h"), ("getHookStatus", ("hooks:status:g/h",), None), ("getHookStatus", (), "hooks:status:g/h"),
        ("listHooks", ("hooks:list-hooks:g",), None), ("listHooks", ("hooks:list-hooks:",), "hooks:list-hooks:g"), ("listHookGroups", ("hooks:list-hooks:",), None),
        ("listHookGroups", ("hooks:list-hooks:g",), "hooks:list-hooks:"), ("triggerHook", ("hooks:trigger-hook:g/h",), None), ("triggerHook", ("hooks:trigger-hook:x/*",), "hooks:trigger-hook:g/h"),
        ("getTriggerToken", ("hooks:get-trigger-token:g/h",), None), ("getTriggerToken", (), "hooks:get-trigger-token:g/h"),
        ("resetTriggerToken", ("hooks:reset-trigger-token:g/h",), None), ("resetTriggerToken", ("hooks:get-trigger-token:g/h",), "hooks:reset-trigger-token:g/h"),
        ("listLastFires", ("hooks:list-last-fires:g/h",), None), ("listLastFires", (), "hooks:list-last-fires:g/h"),
    ],
)  # fmt: skip
async def test_scopes(hooks: Hooks, method, scopes, missing) -> None:
    """Each method needs its scopes, and a refusal names those that are missing."""
    if method != "createHook":
        await hooks.create()
    if method == "listLastFires":
        await hooks("triggerHook", "g", "h", payload={})
    hooks.caller.scopes = scopes
    parameters = {"listHookGroups": (), "listHooks": ("g",)}.get(method, ("g", "h"))
    payload = {"createHook": hook(), "updateHook": hook(), "triggerHook": {}}.get(method)
    answer = await hooks(method, *parameters, payload=payload)
    if missing is None:
        assert answer.status == 200, answer.body
    else:
        assert (answer.status, answer.code) == (403, "InsufficientScopes")
        named = answer.message.partition("missing the following scopes")[2].partition("requires the client")[0]
        assert missing in named
        assert not any(scope in named.replace('"', " ").split() for scope in scopes)


async def test_a_trigger_creates_the_task(hooks: Hooks) -> None:
    """A trigger's payload fills the template in; the task is there when the answer is, and the firing is listed."""
    schema = {"type": "object", "properties": {"who": {"type": "string"}, "n": {"type": "integer", "default": 3}}, "required": ["who"]}
    extra = {"for": "${payload.who} ${payload.n}", "by": "${firedBy} ${clientId}", "id": "${taskId}", "at": "${now}"}
    await hooks.create(triggerSchema=schema, task=task(extra=extra))
    answer = await hooks("triggerHook", "g", "h", payload={"who": "me"})
    task_id = answer.body["taskId"]
    assert answer.body == {"taskId": task_id, "status": {"taskId": task_id}}
    made = await hooks.task(task_id)
    assert made["extra"] == {"for": "me 3", "by": "triggerHook tester", "id": task_id, "at": made["created"]}
    assert made["taskGroupId"] == task_id
    assert clocks.from_wire(made["deadline"]) - clocks.from_wire(made["created"]) == clocks.HOUR
    assert await hooks.fires() == [
        {
            "hookGroupId": "g", "hookId": "h", "firedBy": "triggerHook", "taskId": task_id, "taskCreateTime": made["created"],
            "result": "success", "error": "", "taskState": "pending",
        }
    ]  # fmt: skip
    assert (await hooks("getHookStatus", "g", "h")).body == {"lastFire": {"result": "success", "taskId": task_id, "time": made["created"]}}
    await hooks.queue.run(task_id)
    assert (await hooks.fires())[0]["taskState"] == "completed"


async def test_times_and_group_are_the_templates_own_when_it_has_them(hooks: Hooks) -> None:
    """Without times a task is created now, due in a day, and kept 30; a group of the template's own stays."""
    group = ids.slugid()
    bare = {key: value for key, value in support.TASK.items() if key not in ("created", "deadline", "expires")}
    await hooks.create(task={**bare, "taskGroupId": group})
    made = await hooks.task((await hooks("triggerHook", "g", "h", payload={})).body["taskId"])
    created = clocks.from_wire(made["created"])
    assert created == pytest.approx(hooks.clock.now(), abs=10_000)
    assert (clocks.from_wire(made["deadline"]) - created, clocks.from_wire(made["expires"]) - created) == (clocks.DAY, 30 * clocks.DAY)
    assert made["taskGroupId"] == group


async def test_a_template_that_comes_to_nothing_creates_nothing(hooks: Hooks) -> None:
    """A template may decline: the answer is empty, and nothing is listed."""
    await hooks.create(triggerSchema=FREE, task={"$if": "payload.go", "then": support.TASK})
    answer = await hooks("triggerHook", "g", "h", payload={"go": False})
    assert (answer.status, answer.body) == (200, {})
    assert await hooks.fires() == [] and await hooks.tasks() == []
    assert "taskId" in (await hooks("triggerHook", "g", "h", payload={"go": True})).body


@pytest.mark.parametrize("method", ["triggerHook", "triggerHookWithToken"])
async def test_payloads_must_satisfy_the_schema(hooks: Hooks, method) -> None:
    """A payload that the schema refuses fires nothing; without a schema of its own, a hook takes none."""
    await hooks.create()
    token = [(await hooks("getTriggerToken", "g", "h")).body["token"]] if method == "triggerHookWithToken" else []
    refused = await hooks(method, "g", "h", *token, payload={"a": 1})
    assert (refused.code, "must be empty" in refused.message) == ("InputError", True)
    await hooks("updateHook", "g", "h", payload=hook(triggerSchema={"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a", "b"]}))
    refused = await hooks(method, "g", "h", *token, payload={"a": 1})
    assert refused.code == "InputError" and "/a must be" in refused.message and "/b is missing" in refused.message
    assert await hooks.tasks() == [] and await hooks.fires() == []


async def test_a_task_id_may_be_given(hooks: Hooks) -> None:
    """With taskId in the payload the task has that id; another task of that id is a conflict, and success stays recorded."""
    await hooks.create(triggerSchema=FREE)
    task_id = ids.slugid()
    assert (await hooks("triggerHook", "g", "h", payload={"taskId": task_id})).body["taskId"] == task_id
    hooks.clock.advance(1500)
    again = await hooks("triggerHook", "g", "h", payload={"taskId": task_id})
    assert again.code == "InputError" and "While calling createTask: RequestConflict" in again.message
    assert [fire["result"] for fire in await hooks.fires()] == ["success"]
    for odd in ("x", "A" * 22, 7):
        assert "Invalid taskId format" in (await hooks("triggerHook", "g", "h", payload={"taskId": odd})).message


async def test_a_trigger_waits_for_nobody_with_the_same_task_id(hooks: Hooks) -> None:
    """While a firing with a task id is under way, another with the same id is refused."""
    await hooks.create(triggerSchema=FREE)
    task_id = ids.slugid()
    hooks.others.after.append(KeyboardInterrupt())  # as if the process had ended
    with pytest.raises(KeyboardInterrupt):
        await hooks("triggerHook", "g", "h", payload={"taskId": task_id})
    refused = await hooks("triggerHook", "g", "h", payload={"taskId": task_id})
    assert (refused.status, refused.code) == (409, "RequestConflict")


async def test_tokens(hooks: Hooks, caplog) -> None:
    """A token fires without credentials, until it is replaced; it stands in no table and no log."""
    caplog.set_level(logging.DEBUG)
    await hooks.create(triggerSchema=FREE, task=task(extra={"by": "${firedBy}", "q": {"$eval": "defined('clientId')"}}))
    token = (await hooks("getTriggerToken", "g", "h")).body["token"]
    hooks.caller.scopes = ()
    answer = await hooks("triggerHookWithToken", "g", "h", token, payload={})
    assert (await hooks.task(answer.body["taskId"]))["extra"] == {"by": "triggerHookWithToken", "q": False}
    wrong = await hooks("triggerHookWithToken", "g", "h", token[:-1] + "é", payload={})
    assert (wrong.status, wrong.code) == (401, "AuthenticationFailed") and "invalid hook token" in wrong.message
    assert (await hooks("triggerHookWithToken", "g", "none", token, payload={})).status == 404
    hooks.caller.scopes = ("*",)
    fresh = (await hooks("resetTriggerToken", "g", "h")).body["token"]
    assert fresh != token and (await hooks("getTriggerToken", "g", "h")).body["token"] == fresh
    assert (await hooks("triggerHookWithToken", "g", "h", token, payload={})).status == 401
    assert (await hooks("triggerHookWithToken", "g", "h", fresh, payload={})).status == 200
    await hooks("updateHook", "g", "h", payload=hook())
    assert (await hooks("triggerHookWithToken", "g", "h", fresh, payload={})).status == 200
    for name in ("getTriggerToken", "resetTriggerToken"):
        assert (await hooks(name, "g", "none")).status == 404
    from tcbox.services.hooks.store import sql

    stored = bytes((await hooks.database.point(sql.get_hook, hook_group_id="g", hook_id="h"))["token"])
    assert fresh.encode() not in stored
    assert all(each not in f"{record.getMessage()} {vars(record)}" for record in caplog.records for each in (token, fresh))


async def test_the_role_s_scopes_count_and_a_refusal_names_what_it_lacks(hooks: Hooks) -> None:
    """The task is created with the scopes of the hook's role alone; what the role lacks is named with the role, and kept."""
    await hooks.create(task=task(scopes=["secrets:get:x"], priority="high"))
    hooks.others.roles = {"hook-id:g/h": ["queue:create-task:*", "queue:scheduler-id:*"], "hook-id:g/x": ["secrets:get:*"]}
    refused = await hooks("triggerHook", "g", "h", payload={})
    assert (refused.status, refused.code) == (403, "InsufficientScopes")
    assert "The role `hook-id:g/h` does not have sufficient scopes to create the task" in refused.message
    assert "secrets:get:x" in refused.message
    fire = (await hooks.fires())[0]
    assert (fire["result"], fire["taskState"]) == ("error", "unknown")
    kept = json.loads(fire["error"])
    assert (kept["code"], kept["body"]["code"]) == ("InsufficientScopes", "InsufficientScopes")
    assert "secrets:get:x" in kept["body"]["message"] and kept["body"]["message"] == kept["message"]
    status = (await hooks("getHookStatus", "g", "h")).body["lastFire"]
    assert status["result"] == "error" and status["error"]["statusCode"] == 403 and status["time"] == fire["taskCreateTime"]
    hooks.others.roles["hook-id:g/h"].append("secrets:get:*")
    assert (await hooks("triggerHook", "g", "h", payload={})).status == 200
    hooks.others.roles = {}
    assert "queue:create-task" in (await hooks("triggerHook", "g", "h", payload={})).message


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (task(extra={"x": {"$eval": "nothing"}}), "While firing hook:\n\nInterpreterError at template.extra.x: unknown context value nothing"),
        ({"$eval": "[]"}, "renders to a list"), ({"payload": {}}, "While calling createTask: InputValidationError"),
        (task(deadline={"$fromNow": "-1 day"}), "While calling createTask: InputError"), (task(dependencies=["x"]), "While calling createTask: InputValidationError"),
    ],
)  # fmt: skip
async def test_errors_of_firing_are_told_and_kept(hooks: Hooks, template, words) -> None:
    """What keeps a task from being created is told to who triggers, and kept with the firing."""
    await hooks.create(task=template)
    refused = await hooks("triggerHook", "g", "h", payload={})
    assert (refused.status, refused.code) == (400, "InputError")
    assert words in refused.message
    fire = (await hooks.fires())[0]
    assert fire["result"] == "error" and fire["error"]
    assert (await hooks("getHookStatus", "g", "h")).body["lastFire"]["error"]["message"]


async def test_a_queue_that_does_not_answer(hooks: Hooks) -> None:
    """While the queue does not answer a trigger is told to try again; the firing is not taken up later, for nobody waits for it."""
    await hooks.create()
    hooks.others.before.append(errors.Unavailable())
    refused = await hooks("triggerHook", "g", "h", payload={})
    assert (refused.status, "createTask" in refused.message) == (503, True)
    hooks.clock.advance(clocks.HOUR)
    await hooks.settle()
    assert await hooks.tasks() == [] and [fire["result"] for fire in await hooks.fires()] == ["error"]
    assert hooks.others.mails == []


async def test_last_fires_come_in_pages_and_expire(hooks: Hooks) -> None:
    """Firings are listed latest first in pages; they are forgotten with their hook, and after a year."""
    await hooks.create()
    await hooks.create("g", "other")
    made = []
    for _ in range(5):
        made.append((await hooks("triggerHook", "g", "h", payload={})).body["taskId"])
        hooks.clock.advance(1000)
    await hooks("triggerHook", "g", "other", payload={})
    listed, token = [], {}
    while True:
        page = (await hooks("listLastFires", "g", "h", limit="2", **token)).body
        listed += [fire["taskId"] for fire in page["lastFires"]]
        if "continuationToken" not in page:
            break
        token = {"continuationToken": page["continuationToken"]}
    assert listed == made[::-1]
    assert (await hooks("listLastFires", "g", "h", continuationToken="x")).code == "InputError"
    assert (await hooks("listLastFires", "g", "none")).code == "ResourceNotFound"
    await hooks("removeHook", "g", "h")
    await hooks.create()
    assert await hooks.fires() == []
    hooks.clock.advance(364 * clocks.DAY)
    await hooks.service.expire()
    assert len(await hooks.fires("g", "other")) == 1
    hooks.clock.advance(2 * clocks.DAY)
    await hooks.service.expire()
    assert await hooks.fires("g", "other") == []


async def test_a_payload_of_another_form(hooks: Hooks) -> None:
    """A payload is an object."""
    await hooks.create(triggerSchema={})
    for body in (b"[]", b'"x"', b"{"):
        assert (await hooks("triggerHook", "g", "h", payload=body)).status == 400
    assert (await hooks("triggerHook", "g", "h", payload=b"{}")).status == 200
