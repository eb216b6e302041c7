"""Profiles of task groups and of tasks' logs, as the Firefox Profiler reads them."""

import gzip
import io
import json
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from aiohttp import web as http
from hypothesis import given
from hypothesis import strategies as st

from tcbox import clock as clocks
from tcbox import errors
from tcbox.credentials import LazyScopes, Success
from tcbox.scopes import ScopeSet
from tcbox.services.web_server import durations, logs
from tcbox.services.web_server.api import Profiles
from tcbox.services.web_server.declarations import Monitoring, api
from tcbox.services.web_server.logs import Logs
from tcbox.services.web_server.outgoing import Outgoing
from tcbox.services.web_server.profiles import groups
from tcbox.services.web_server.profiles.logs import LogProfile, packed
from tests.simulators.serving import served
from tests.support.service import Caller

GROUP, TASK = "dSlITZ4yQgmvxxAi4A8fHQ", "YsJwVJjqTN2a2sSeawNFQw"
ROOT = "https://tc.example.com"
META = {"name": "Build", "description": "d", "owner": "o@example.com", "source": "https://example.com/"}
DEFINITION = {"metadata": META, "retries": 5, "taskGroupId": GROUP, "expires": "2030-01-01T00:00:00.000Z", "created": "2026-01-01T00:00:00.000Z"}
AT = "2026-01-01T10:00:0{}.000Z"


def ms(text):
    return clocks.from_wire(text)


def run(number=0, state="completed", started=0, resolved=5, **more):
    made = {"runId": number, "state": state, "reasonCreated": "scheduled", **more}
    if started is not None:
        made["started"] = AT.format(started)
    if resolved is not None:
        made |= {"resolved": AT.format(resolved), "reasonResolved": more.get("reasonResolved", state)}
    return made


def task(*runs, task_id=TASK, name="Build", state=None):
    return {
        "task": {**DEFINITION, "metadata": {**META, "name": name}},
        "status": {"taskId": task_id, "state": state or (runs[-1]["state"] if runs else "pending"), "runs": list(runs)},
    }


def marks(profile):
    """The markers of a profile's only thread, as rows of name, start, end, and data."""
    (thread,) = profile["threads"]
    columns = thread["markers"]
    assert {len(columns[key]) for key in ("data", "name", "startTime", "endTime", "phase", "category")} == {columns["length"]}
    kinds = profile["meta"]["categories"]
    assert all(0 <= category < len(kinds) for category in columns["category"])
    schemas = {each["name"] for each in profile["meta"]["markerSchema"]}
    assert {data["type"] for data in columns["data"]} <= schemas
    for end, phase in zip(columns["endTime"], columns["phase"], strict=True):
        assert (end is None) == (phase in (0, 2))
    names = [thread["stringArray"][name] for name in columns["name"]]
    return list(zip(names, columns["startTime"], columns["endTime"], columns["data"], strict=True))


def test_a_group_as_a_profile():
    """The group and each run of its tasks are marked from their beginning to their end, relative to the first."""
    tasks = [task(run(started=2, resolved=5)), task(run(state="failed", started=1, resolved=3), run(1, started=4, resolved=6), task_id="b")]
    profile = json.loads(json.dumps(groups.build(GROUP, tasks, ROOT, ms(AT.format(9)))))
    assert profile["meta"]["startTime"] == ms(AT.format(1))
    assert (profile["meta"]["version"], profile["meta"]["preprocessedProfileVersion"]) == (27, 47)
    assert [mark[:3] for mark in marks(profile)] == [
        ("TaskGroup", 0, 5000), ("TaskGroup (no actions)", 0, 5000), ("Task (failed)", 0, 2000), ("Task", 1000, 4000), ("Task", 3000, 5000),
    ]  # fmt: skip
    data = marks(profile)[2][3]
    assert (data["name"], data["retries"], data["taskURL"]) == ("Build (run 1/5)", "1 / 5", f"{ROOT}/tasks/b/runs/0")
    assert data["taskGroup"] == f"{ROOT}/tasks/groups/{GROUP}"
    assert marks(profile)[3][3]["name"] == "Build"


def test_groups_that_are_not_done():
    """Runs under way end now, runs that have not begun are left out, actions are left out of the second mark, and nothing at all is a profile too."""
    tasks = [
        task(run(state="running", started=1, resolved=None)),
        task(run(state="pending", started=None, resolved=None)),
        task(),
        task(run(started=3, resolved=4), name="Action: retrigger"),
    ]
    profile = groups.build(GROUP, tasks, ROOT, ms(AT.format(7)))
    assert [mark[:3] for mark in marks(profile)] == [
        ("TaskGroup", 0, 3000), ("TaskGroup (no actions)", 0, None), ("Task (running)", 0, 6000), ("Task", 2000, 3000),
    ]  # fmt: skip
    assert marks(groups.build(GROUP, [], ROOT, 0)) == []
    expired = run(state="exception", started=None, resolved=4)
    assert marks(groups.build(GROUP, [task(expired)], ROOT, 0))[0][:3] == ("TaskGroup", 0, 0)
    assert not groups.resolved(tasks)
    assert groups.resolved([task(run())])


LOG = f"""a line before any time
[taskcluster {AT.format(0)}] Task ID: x
[taskcluster:error] no time
plain

[setup {AT.format(1)}] [2026-01-01 10:00:01Z] twice timed
[vcs {AT.format(2)}] é [31m<b>
[unknown 2026-01-01T12:00:03+02:00] elsewhere
[vcs not-a-time-9] x
"""


def test_a_log_as_a_profile():
    """Each line is marked at its own time, or that of the line before; the first mark is the task from its first line to its last."""
    profile = json.loads(gzip.decompress(packed(TASK, DEFINITION, ROOT, io.BytesIO(LOG.encode()))))
    assert profile["meta"]["startTime"] == ms(AT.format(0))
    strings = profile["threads"][0]["stringArray"]
    (name, start, end, about), *rows = marks(profile)
    assert (name, start, end, about["taskURL"]) == ("Build", 0, 3000, f"{ROOT}/tasks/{TASK}")
    assert about["taskGroupProfile"] == f"{ROOT}/tasks/groups/{GROUP}/profiler"
    assert [(name, start, strings[data["message"]]) for name, start, _, data in rows] == [
        ("no timestamp", 0, "a line before any time"), ("taskcluster", 0, "Task ID: x"), ("no timestamp", 0, "[taskcluster:error] no time"),
        ("no timestamp", 0, "plain"), ("setup", 1000, "twice timed"), ("vcs", 2000, "é [31m<b>"), ("unknown", 3000, "elsewhere"),
        ("no timestamp", 3000, "[vcs not-a-time-9] x"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n\n", "no time at all\n", "\xff", "\r\n"])
def test_logs_without_times(text):
    """A log without a single time is a profile of the task alone."""
    profile = json.loads(gzip.decompress(packed(TASK, DEFINITION, ROOT, io.BytesIO(text.encode("latin-1")))))
    assert len(marks(profile)) == 1


@given(st.lists(st.one_of(st.text(max_size=30), st.datetimes(min_value=datetime(1971, 1, 1)).map(lambda at: f"[x {at.replace(tzinfo=UTC).isoformat()}] m"))))
def test_any_log_is_a_profile(lines):
    """Whatever a task writes, the columns of the profile stay of one length, and it is JSON."""
    made = LogProfile(TASK, DEFINITION, ROOT)
    for line in lines:
        made.add(line)
    import msgspec

    marks(json.loads(msgspec.json.encode(made.finish())))


# -- the methods


class Queue:
    """A queue that answers what it is told to, and to whom."""

    def __init__(self):
        self.tasks = [task(run())]
        self.state = "completed"
        self.artifacts = {}
        self.asked = []

    async def call(self, service, method, /, *args, payload=None, query=None):
        self.asked.append((method, *args))
        if method == "listTaskGroup":
            at = int((query or {}).get("continuationToken", 0))
            page = {"tasks": self.tasks[at : at + 2]}
            return page | ({"continuationToken": str(at + 2)} if at + 2 < len(self.tasks) else {})
        if method == "task":
            return DEFINITION
        if method == "status":
            return {"status": {"state": self.state}}
        found = self.artifacts.get(args[1])
        if found is None:
            raise errors.ResourceNotFound("no artifact")
        return found


class Callers:
    def __init__(self, queue):
        self.own = self.queue = queue
        self.scopes = []

    def restricted(self, scopes):
        self.scopes.append(tuple(scopes))
        return self.queue


class Service:
    name, api, monitoring = "web-server", api, Monitoring

    def __init__(self, profiles):
        self._profiles = profiles

    def families(self):
        return [self._profiles]


@pytest_asyncio.fixture
async def place():
    """Where logs are kept: a server."""
    app = http.Application()

    async def give(request):
        kind = request.match_info["kind"]
        if kind == "gone":
            raise http.HTTPNotFound
        if kind == "away":
            raise http.HTTPFound("/log/plain")
        return http.Response(body=b"x" * 5000 if kind == "long" else LOG.encode())

    app.router.add_get("/log/{kind}", give)
    async with served(app) as url:
        yield url


@pytest_asyncio.fixture
async def call(place):
    outgoing = Outgoing()
    callers = Callers(Queue())
    fetcher = Logs(outgoing, root_url=ROOT, local_url=place, most=4000)
    made = Caller(Service(Profiles(callers=callers, logs=fetcher, root_url=ROOT, clock=clocks.SystemClock(), most_tasks=5)), clocks.SystemClock())
    made.queue, made.callers, made.place = callers.queue, callers, place
    yield made
    await outgoing.close()


async def test_task_group_profile(call):
    """A group's profile is made of all its tasks, and may be kept for a day once they are resolved."""
    call.queue.tasks *= 5
    got = await call("taskGroupProfile", GROUP)
    assert (got.status, len(marks(got.body))) == (200, 7)
    assert got.headers["Cache-Control"] == "private, max-age=86400"
    call.queue.tasks = [task(run(state="running", resolved=None))]
    assert (await call("taskGroupProfile", GROUP)).headers["Cache-Control"] == "no-cache"
    call.queue.tasks = [task()] * 6
    assert (await call("taskGroupProfile", GROUP)).code == "InputTooLarge"
    assert (await call("taskGroupProfile", "short")).code == "InvalidRequestArguments"


async def test_profiles_show_what_the_caller_may_read(call):
    """The queue is asked with the scopes of the caller, and what was read with a signature is kept out of shared caches."""
    call.scopes = ("queue:list-task-group:x",)
    await call("taskGroupProfile", GROUP)
    assert call.callers.scopes == [("queue:list-task-group:x",)]
    call.authenticate = lambda request: Success("none", "", 2**50, LazyScopes(ScopeSet(["assume:anonymous"])))
    got = await call("taskGroupProfile", GROUP)
    assert call.callers.scopes[-1] == ("assume:anonymous",)
    assert got.headers["Cache-Control"] == "public, max-age=86400"


async def test_task_profile(call):
    """A task's profile is its log's, found under either name, fetched from where the instance reaches itself."""
    call.queue.artifacts["public/logs/live_backing.log"] = {"storageType": "object", "url": f"{ROOT}/log/plain"}
    got = await call("taskProfile", TASK)
    assert (got.status, got.headers["Content-Encoding"]) == (200, "gzip")
    assert len(marks(json.loads(gzip.decompress(got.raw)))) == 9
    call.queue.artifacts["public/logs/live.log"] = {"storageType": "s3", "url": f"{call.place}/log/gone"}
    assert (await call("taskProfile", TASK)).status == 200


@pytest.mark.parametrize("state", ["running", "pending", "unscheduled"])
async def test_tasks_that_are_not_done(call, state):
    """A task that is still to do has no profile yet."""
    call.queue.state = state
    got = await call("taskProfile", TASK)
    assert (got.status, got.code) == (404, "ResourceNotFound")
    assert state in got.message


@pytest.mark.parametrize("found", [None, {"storageType": "reference", "url": "{place}/log/plain"}, {"storageType": "error", "message": "x"}, None])
async def test_tasks_without_a_log(call, found):
    """Without a log there is no profile; an artifact that refers to a URL of the task's choice is never fetched."""
    if found:
        call.queue.artifacts["public/logs/live.log"] = {key: value.format(place=call.place) for key, value in found.items()}
    got = await call("taskProfile", TASK)
    assert (got.status, got.code) == (404, "ResourceNotFound")


async def test_logs_that_cannot_be_shown(call):
    """A log that is too long, that leads elsewhere, or whose place does not answer, is refused in words."""
    for url, code in (
        (f"{call.place}/log/long", "InputTooLarge"),
        (f"{call.place}/log/away", "ServiceUnavailable"),
        ("http://127.0.0.1:9/x?sig=hush", "ServiceUnavailable"),
    ):
        call.queue.artifacts["public/logs/live.log"] = {"storageType": "s3", "url": url}
        got = await call("taskProfile", TASK)
        assert got.code == code
        assert "hush" not in got.message
    assert logs.MOST == 200 * 2**20


@pytest.mark.parametrize(
    ("words", "milliseconds"),
    [
        ("1d", clocks.DAY), ("3 days", 3 * clocks.DAY), ("1 week", 7 * clocks.DAY), ("15 minutes", 15 * clocks.MINUTE), ("1y2mo", 425 * clocks.DAY),
        ("1 year 2 months 3 weeks 4 days 5 hours 6 minutes 7 seconds", 450 * clocks.DAY + 5 * clocks.HOUR + 6 * clocks.MINUTE + 7000), ("+ 12h", 12 * clocks.HOUR), ("0 s", 0),
    ],
)  # fmt: skip
def test_durations(words, milliseconds):
    """Durations are written as in the published clients."""
    assert durations.parse(words) == milliseconds


@pytest.mark.parametrize("words", ["", " ", "-1 day", "1", "d", "1 fortnight", "1 day ago", "2 hours 1 day", "9" * 30 + "d", "NaN"])
def test_what_is_no_duration(words):
    """What is no duration, or goes back, is refused."""
    with pytest.raises(ValueError, match="no duration"):
        durations.parse(words)
