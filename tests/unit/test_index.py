"""The index: names are given by calls and by tasks that complete, ranks decide who keeps them, and they end."""

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox import errors, ids
from tcbox.client.local import Local
from tcbox.events import Event
from tcbox.services.index import store
from tests.support import outbox
from tests.support.databases import database  # noqa: F401
from tests.support.index import MIGRATIONS, call, entry, index, made  # noqa: F401
from tests.support.queue import clock, queue  # noqa: F401

migrations = MIGRATIONS


async def listed(call, method, namespace="", **query):
    """The names of all pages, and how many pages those were."""
    names, pages, token = [], 0, {}
    while True:
        page = (await call(method, namespace, **query, **token)).body
        names += [row["namespace"] for row in page["tasks" if "asks" in method else "namespaces"]]
        pages += 1
        if "continuationToken" not in page:
            return names, pages
        token = {"continuationToken": page["continuationToken"]}


# -- calls


async def test_insert_find_remove(call, entry):
    """What is inserted is found by its name until it is removed, which can be done twice."""
    body = entry(rank=1)
    assert (await call("insertTask", "a.b.c", payload=body)).body == {"namespace": "a.b.c", **body}
    assert (await call("findTask", "a.b.c")).body == {"namespace": "a.b.c", **body}
    for path in ("a.b", "a", "a.b.c.d", "c"):
        missing = await call("findTask", path)
        assert (missing.status, missing.code) == (404, "ResourceNotFound"), path
        assert missing.message.startswith("Indexed task not found") and path in missing.message
    for _ in range(2):
        assert (await call("deleteTask", "a.b.c")).body == {}
    assert (await call("findTask", "a.b.c")).status == 404
    assert (await listed(call, "listNamespaces"))[0] == ["a"]


async def test_a_name_at_the_root(call, entry):
    """A name without a dot is in no namespace."""
    body = entry()
    await call("insertTask", "solo", payload=body)
    assert (await call("findTask", "solo")).body["taskId"] == body["taskId"]
    assert (await listed(call, "listTasks"))[0] == ["solo"]
    assert (await listed(call, "listNamespaces"))[0] == []
    assert [task["namespace"] for task in (await call("findTasksAtIndex", payload={"indexes": ["solo"]})).body["tasks"]] == ["solo"]


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [(0, 0, "second"), (1, 2, "second"), (2, 1, "first"), (-1, -2, "first"), (1.5, 1, "first"), (1, 1.5, "second"), (2**60, 2**60 + 1, "second"), (2**60 + 1, 2**60, "first")],
)  # fmt: skip
async def test_rank(call, entry, first, second, stays):
    """An entry is replaced by one of the same or a higher rank; else the reply is the one that stays, and no error."""
    bodies = {"first": entry(rank=first), "second": entry(rank=second, data={"n": 2})}
    await call("insertTask", "x.y", payload=bodies["first"])
    replied = await call("insertTask", "x.y", payload=bodies["second"])
    assert (replied.status, replied.body) == (200, {"namespace": "x.y", **bodies[stays]})
    assert (await call("findTask", "x.y")).body == {"namespace": "x.y", **bodies[stays]}


async def test_an_expired_entry_keeps_nobody_out(call, entry, clock):
    """Once an entry has expired one of any rank takes its place, whether or not it was swept."""
    await call("insertTask", "x.y", payload=entry(rank=9, ms=1000))
    clock.advance(2000)
    body = entry(rank=1)
    assert (await call("insertTask", "x.y", payload=body)).body["taskId"] == body["taskId"]
    assert (await call("findTask", "x.y")).body["taskId"] == body["taskId"]


async def test_data_and_rank_come_back_exactly(call):
    """Key order, integers beyond 64 bits, 1.0 and nulls come back as they were sent."""
    text = '{"taskId":"%s","rank":123456789012345678901234567890,"data":{"z":1,"a":12345678901234567890123,"f":1.0,"n":null,"":{"b":[],"a":"\\u0000é"}},"expires":"2099-01-01T00:00:00.000Z"}'
    body = (text % ids.slugid()).encode()
    inserted = await call("insertTask", "x.y", payload=body)
    assert inserted.status == 200
    for raw in (inserted.raw, (await call("findTask", "x.y")).raw, (await call("listTasks", "x")).raw):
        assert b'"data":{"z":1,"a":12345678901234567890123,"f":1.0,"n":null,"":{"b":[],"a":"\\u0000' in raw
        assert b'"rank":123456789012345678901234567890' in raw


@pytest.mark.parametrize("path", ["a..b", "a.", ".a", "a/b", "a b", "ä", "a\0"])
async def test_what_is_no_name(call, entry, path):
    """A name that is none is refused with the form that it must have."""
    for method, payload in (("findTask", None), ("insertTask", entry()), ("deleteTask", None)):
        refused = await call(method, path, payload=payload)
        assert (refused.status, refused.code) == (400, "InvalidRequestArguments")


async def test_a_name_that_is_too_long(call, entry):
    """A name of more than 255 characters, which no reply could hold, is refused; one of 255 is not."""
    assert (await call("insertTask", "x" * 255, payload=entry())).status == 200
    refused = await call("insertTask", "x" * 256, payload=entry())
    assert (refused.status, refused.code) == (400, "InputError")
    assert "255" in refused.message
    assert (await call("findTask", "x" * 256)).status == 404


@pytest.mark.parametrize("change", [{"rank": "1"}, {"data": []}, {"taskId": "x"}, {"expires": "soon"}, {"more": 1}])
async def test_malformed(call, entry, change):
    """What is no entry is refused with its faults."""
    assert (await call("insertTask", "a", payload={**entry(), **change})).code == "InputValidationError"


@pytest.mark.parametrize(
    ("scope", "method", "args", "payload"),
    [
        ("index:find-task:a.b", "findTask", ("a.b",), None),
        ("index:insert-task:a.b", "insertTask", ("a.b",), "entry"),
        ("index:delete-task:a.b", "deleteTask", ("a.b",), None),
        ("index:list-tasks:a", "listTasks", ("a",), None),
        ("index:list-tasks:", "listTasks", ("",), None),
        ("index:list-namespaces:a", "listNamespaces", ("a",), None),
        ("index:list-namespaces:", "listNamespaces", ("",), None),
        ("index:find-task:a.*", "findTasksAtIndex", (), {"indexes": ["a.b", "a.c"]}),
        ("queue:get-artifact:public/x", "findArtifactFromTask", ("a.b", "public/x"), None),
    ],
)
async def test_scopes(call, entry, scope, method, args, payload):
    """Each method needs its own scope, for just this name."""
    await call("insertTask", "a.b", payload=entry())
    payload = entry() if payload == "entry" else payload
    for scopes, allowed in (((scope,), True), ((), False), ((f"{scope.rstrip('*')}other",), False)):
        call.scopes = scopes
        assert ((await call(method, *args, payload=payload)).status < 400) == allowed


async def test_several_names_at_once(call, entry, clock):
    """Those that stand for a task come in the order that was asked for, each once, in pages; the others are left out."""
    made = [f"ns{number % 3}.n{number}" for number in range(8)]
    for path in made:
        await call("insertTask", path, payload=entry())
    await call("insertTask", "gone.x", payload=entry(ms=1000))
    clock.advance(2000)
    asked = [made[5], "gone.x", made[0], "no.such", "not/one", "a\0b", made[5], *made]
    names, token = [], {}
    while True:
        page = (await call("findTasksAtIndex", payload={"indexes": asked}, limit="3", **token)).body
        names.append([task["namespace"] for task in page["tasks"]])
        if "continuationToken" not in page:
            break
        token = {"continuationToken": page["continuationToken"]}
    assert names == [[made[5], made[0], made[1]], made[2:5], made[6:8]]
    assert (await call("findTasksAtIndex", payload={})).body == {"tasks": []}
    assert (await call("findTasksAtIndex", payload={"indexes": ["x"]}, continuationToken="W10")).code == "InputError"
    call.scopes = ("index:find-task:ns0.*",)
    assert (await call("findTasksAtIndex", payload={"indexes": [made[0], made[1]]})).code == "InsufficientScopes"


async def test_very_many_names_at_once(call, entry):
    """Names beyond the first thousand are looked up, too."""
    await call("insertTask", "late.name", payload=entry())
    asked = [f"no.such.{number}" for number in range(2500)] + ["late.name"]
    assert [task["namespace"] for task in (await call("findTasksAtIndex", payload={"indexes": asked})).body["tasks"]] == ["late.name"]


async def test_lists(call, entry):
    """Namespaces and entries come in order, those straight in the namespace alone, in pages whose tokens lead on."""
    for number in range(5):
        await call("insertTask", f"top.n{number}.x", payload=entry())
        await call("insertTask", f"top.t{number}", payload=entry())
    assert await listed(call, "listNamespaces") == (["top"], 1)
    assert await listed(call, "listNamespaces", "top", limit="2") == ([f"top.n{number}" for number in range(5)], 3)
    assert await listed(call, "listTasks", "top", limit="1") == ([f"top.t{number}" for number in range(5)], 5)
    assert await listed(call, "listTasks", "top.n3") == (["top.n3.x"], 1)
    assert await listed(call, "listTasks", "none") == ([], 1)
    assert [row["name"] for row in (await call("listNamespaces", "top", limit="2")).body["namespaces"]] == ["n0", "n1"]
    assert (await call("listTasks", "top", continuationToken="WzFd")).code == "InputError"
    for path in ("/namespaces", "/namespaces/", "/tasks", "/tasks/"):
        assert (await call.request("GET", path)).status == 200


async def test_old_clients_list_by_post(call, entry):
    """Clients of long ago list by POST, with limit and token in the body; the references do not tell of it."""
    for number in range(3):
        await call("insertTask", f"top.n{number}.x", payload=entry())
    page = (await call.request("POST", "/namespaces/top", {"limit": 2})).body
    assert [row["name"] for row in page["namespaces"]] == ["n0", "n1"]
    rest = (await call.request("POST", "/namespaces/top", {"continuationToken": page["continuationToken"]})).body
    assert [row["name"] for row in rest["namespaces"]] == ["n2"]
    assert [row["namespace"] for row in (await call.request("POST", "/tasks/top.n1", {})).body["tasks"]] == ["top.n1.x"]
    assert (await call.request("POST", "/tasks/", {})).body == {"tasks": []}
    await call("insertTask", "top.n1.y", payload=entry())
    for body, most in (({"limit": 1}, 1), ({"limit": "1", "more": [1]}, 2), ([], 2), ({"limit": True}, 2)):
        assert len((await call.request("POST", "/tasks/top.n1", body)).body["tasks"]) == most
    call.kind = None
    assert len((await call.request("POST", "/tasks/top.n1")).body["tasks"]) == 2
    from tcbox.api.references import reference

    assert not [entry["name"] for entry in reference(call.service.api)["entries"] if "Post" in entry["name"]]


async def test_namespaces_last_as_long_as_what_is_in_them(call, entry, clock, index):
    """A namespace, and all above it, is listed to the end of the day on which its last entry expires, then forgotten."""
    await call("insertTask", "a.b.x", payload=entry(ms=10 * clocks.DAY))
    await call("insertTask", "a.b.y", payload=entry(ms=1 * clocks.DAY))
    await call("insertTask", "a.c.z", payload=entry(ms=1 * clocks.DAY))
    shown = {row["namespace"]: row["expires"] for row in (await call("listNamespaces", "a")).body["namespaces"]}
    assert {expires[10:] for expires in shown.values()} == {"T00:00:00.000Z"}
    assert shown["a.b"] > shown["a.c"]
    clock.advance(3 * clocks.DAY)
    assert (await listed(call, "listNamespaces", "a"))[0] == ["a.b"]
    assert (await listed(call, "listTasks", "a.b"))[0] == ["a.b.x"]
    await index.expire()
    assert (await listed(call, "listNamespaces", "a"))[0] == ["a.b"]
    assert (await call("findTask", "a.b.x")).status == 200
    assert await index.store.get(store.Path("a.b", "y")) is None
    await call("insertTask", "a.b.x", payload=entry(ms=30 * clocks.DAY))
    clock.advance(20 * clocks.DAY)
    await index.expire()
    assert (await listed(call, "listNamespaces"))[0] == ["a"]
    clock.advance(20 * clocks.DAY)
    await index.expire()
    assert (await listed(call, "listNamespaces"))[0] == []


async def test_the_end_of_time(call, entry):
    """An entry may expire at the last moment that can be written, or have expired already."""
    last = "9999-12-31T23:59:59.999Z"
    assert (await call("insertTask", "a.b", payload=entry(expires=last))).body["expires"] == last
    assert (await call("listNamespaces", "")).body["namespaces"][0]["expires"] == last
    assert (await call("insertTask", "a.c", payload=entry(ms=-clocks.DAY))).status == 200
    assert (await call("findTask", "a.c")).status == 404


async def test_inserts_at_once(call, entry, index):
    """Of many inserts of one name at the same time the highest rank wins, and none fails."""
    bodies = [entry(rank=number) for number in (3, 9, 1, 7, 9, 2, 8, 0, 5, 4)]
    replies = await asyncio.gather(*(call("insertTask", "race.to.me", payload=body) for body in bodies))
    assert {reply.status for reply in replies} == {200}
    assert (await call("findTask", "race.to.me")).body["rank"] == 9


# -- tasks that complete


class Log:
    """Runs the queue's messages through the index, as often as a test wants."""

    def __init__(self, queue, index):
        self.queue, self.index = queue, index
        self.seen = 0

    async def deliver(self):
        """Hand over what is new; gives it."""
        events = [event for event in await outbox.read(self.queue.bus, self.seen) if event.exchange.endswith("/task-completed")]
        self.seen = await outbox.newest(self.queue.bus)
        for event in events:
            await self.index.completed.handle(event)
        return events

    async def complete(self, *routes, **changes):
        """Have a task complete."""
        task_id = await self.queue.create(routes=list(routes), **changes)
        await self.queue.run(task_id)
        return task_id


@pytest.fixture
def log(queue, index):
    return Log(queue, index)


async def test_a_completed_task_is_indexed_by_its_routes(call, log):
    """Each route that begins with `index.` becomes a name; others do not, and those that make no name are passed over."""
    routes = ["index.ns.a", "index", "index.ns.sub.b", "index.solo", "index.ns.with/slash", "index.ns..c", "other.ns.d", "index.ns.z"]
    task_id = await log.complete(*routes)
    await log.deliver()
    for path in ("ns.a", "ns.sub.b", "solo", "ns.z"):
        found = (await call("findTask", path)).body
        assert (found["taskId"], found["rank"], found["data"]) == (task_id, 0, {})
        assert found["expires"] == (await log.queue.call("task", task_id))["expires"]
    assert (await listed(call, "listTasks", "ns"))[0] == ["ns.a", "ns.z"]
    assert (await listed(call, "listNamespaces", "ns"))[0] == ["ns.sub"]


async def test_what_is_passed_over_is_logged(log, caplog):
    """The log says which route of which task could not be followed, and why."""
    task_id = await log.complete("index.a/b")
    await log.deliver()
    assert task_id in caplog.text and "index.a/b" in caplog.text


async def test_extra_index(call, log, clock):
    """`task.extra.index` gives rank, data and expiry."""
    expires = clocks.to_wire(clock.now() + clocks.HOUR)
    task_id = await log.complete("index.a.b", extra={"index": {"rank": 42, "data": {"z": 1, "a": 10**30}, "expires": expires}, "other": 1})
    await log.deliver()
    assert (await call("findTask", "a.b")).body == {"namespace": "a.b", "taskId": task_id, "rank": 42, "data": {"z": 1, "a": 10**30}, "expires": expires}


async def test_an_extra_that_makes_no_sense_holds_up_nobody(call, log, caplog):
    """A task whose `extra.index` is nonsense is logged and passed over, and the next one is indexed."""
    wrong = await log.complete("index.a.b", extra={"index": {"rank": "high"}})
    right = await log.complete("index.a.c")
    await log.deliver()
    assert (await call("findTask", "a.b")).status == 404
    assert (await call("findTask", "a.c")).body["taskId"] == right
    assert wrong in caplog.text and "rank" in caplog.text


async def test_tasks_of_higher_and_equal_rank_take_over(call, log):
    """Of tasks with the same route the one with the highest rank stays, and of several such the last to complete."""
    tasks = [await log.complete("index.a.b", extra={"index": {"rank": rank}}) for rank in (1, 3, 2, 3, 1)]
    await log.deliver()
    assert (await call("findTask", "a.b")).body["taskId"] == tasks[3]


async def test_a_failed_task_is_not_indexed(call, log):
    """Only tasks that complete are indexed."""
    task_id = await log.queue.create(routes=["index.a.b"])
    await log.queue.run(task_id, "reportFailed")
    assert await log.deliver() == []
    assert (await call("findTask", "a.b")).status == 404


async def test_a_message_that_comes_again_changes_nothing(call, log, entry):
    """What happened to the names since, by later tasks, by hand or by removal, is not undone by a message that comes twice."""
    for path in ("later", "by.hand", "removed"):
        await log.complete(f"index.{path}")
    first = await log.deliver()
    later, by_hand = await log.complete("index.later"), entry()
    await log.deliver()
    await call("insertTask", "by.hand", payload=by_hand)
    await call("deleteTask", "removed")
    for event in first * 2:
        await log.index.completed.handle(event)
    assert (await call("findTask", "later")).body["taskId"] == later
    assert (await call("findTask", "by.hand")).body["taskId"] == by_hand["taskId"]
    assert (await call("findTask", "removed")).status == 404


async def test_a_task_that_runs_again_is_indexed_again(call, log):
    """A rerun that completes is news, and takes the name back from another task of the same rank."""
    first = await log.complete("index.a")
    await log.complete("index.a")
    await log.queue.call("rerunTask", first)
    await log.queue.run(first)
    await log.deliver()
    assert (await call("findTask", "a")).body["taskId"] == first


async def test_two_processes_index_a_message_once(call, log, queue):
    """Where two processes get the same messages, each is taken in once, and the order is kept."""
    tasks = [await log.complete("index.same", f"index.own.n{number}") for number in range(5)]
    events = [event for event in await outbox.read(queue.bus) if event.exchange.endswith("/task-completed")]
    other = made(queue)

    async def run(service):
        for event in events:
            await service.completed.handle(event)

    await asyncio.gather(run(log.index), run(other))
    assert (await call("findTask", "same")).body["taskId"] == tasks[-1]
    assert len((await call("listTasks", "own")).body["tasks"]) == 5


async def test_a_queue_that_cannot_answer_is_asked_again(log, queue, index):
    """While the queue does not answer, the message is not lost: the handler fails, so that it comes again."""
    await log.complete("index.a")
    (event,) = [event for event in await outbox.read(queue.bus) if event.exchange.endswith("/task-completed")]
    absent = Local(lambda name: None, lambda: None)
    broken = type(index.completed)(index.store, absent)
    with pytest.raises(errors.Unavailable):
        await broken.handle(event)
    await index.completed.handle(event)
    assert await index.store.get(store.Path("", "a")) is not None


async def test_a_task_that_is_gone_holds_up_nobody(index, caplog):
    """A message about a task that the queue does not have any more is logged and passed over."""
    task_id = ids.slugid()
    await index.completed.handle(Event(1, "e", "k", ("index.a",), {"status": {"taskId": task_id}, "runId": 0}, 0))
    assert task_id in caplog.text


async def test_it_catches_up(queue, call, log):
    """Tasks that complete while the service does not run are indexed when it runs again."""
    from contextlib import AsyncExitStack

    service = made(queue)
    async with AsyncExitStack() as stack:
        await service.start(stack)
    tasks = [await log.complete(f"index.while.down.n{number}") for number in range(3)]
    async with AsyncExitStack() as stack:
        await service.start(stack)
        async with asyncio.timeout(20):
            while len((await call("listTasks", "while.down")).body["tasks"]) < 3:
                await asyncio.sleep(0.01)
    assert [row["taskId"] for row in (await call("listTasks", "while.down")).body["tasks"]] == tasks


async def test_what_was_taken_in_is_remembered_until_others_were(log, clock, index, database):
    """That a run was taken in is remembered however long nothing else is, and forgotten a day before the last that was."""
    first = await log.complete("index.a")
    await log.deliver()
    clock.advance(40 * clocks.DAY)
    await index.expire()
    assert await index.store.handled(first, 0)
    second = await log.complete("index.a")
    await log.deliver()
    await index.expire()
    assert not await index.store.handled(first, 0)
    assert await index.store.handled(second, 0)
