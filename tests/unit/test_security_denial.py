"""No single request, by anybody, keeps all others waiting for long."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time

import pytest

from tcbox import errors, log
from tcbox.api import schemas
from tcbox.api.declare import pattern
from tcbox.cli import logs, terminal
from tcbox.credentials import hawk
from tcbox.scopes import RoleGrowth, Roles
from tcbox.services.auth.declarations import api as auth
from tcbox.services.github import logs as github_logs
from tcbox.services.github import refusals, webhooks
from tcbox.services.github.declarations import api as github
from tcbox.services.hooks import cron
from tcbox.services.hooks.declarations import api as hooks
from tcbox.services.index.declarations import api as index
from tcbox.services.notify.declarations import api as notify
from tcbox.services.object.declarations import api as objects
from tcbox.services.purge_cache import times
from tcbox.services.purge_cache.declarations import api as purge_cache
from tcbox.services.queue.declarations import api as queue
from tcbox.services.secrets.declarations import api as secrets
from tcbox.services.web_server import durations
from tcbox.services.web_server.declarations import api as web_server
from tcbox.services.web_server.profiles import logs as profile_logs
from tcbox.services.worker_manager.declarations import api as worker_manager
from tests.support.service import SERVICES

APIS = (auth, queue, secrets, objects, index, purge_cache, hooks, github, notify, worker_manager, web_server)
TASK = {"metadata": {"name": "n"}, "taskGroupId": "g", "created": "2026-01-31T12:00:00.000Z"}
LONG = 60_000
"""Characters, about as many as a request line can have."""
PARTS = ("1", "0", "a", "-", "a-", "a/", ".", "a.", "*", "%", " ", "A", "_")


@contextlib.contextmanager
def in_proportion():
    """Fails when what is done takes this thread far longer than work in proportion to its input does, which is some hundredths of a second."""
    started = time.thread_time()
    yield
    assert time.thread_time() - started < 4


def forms():
    """All patterns that parameters of routes and queries are held against."""
    found = {form.pattern: form for api in APIS for form in api.params.values()}
    found |= {form.pattern: form for api in APIS for method in api.methods.values() for form in method.query.values()}
    return sorted(found)


@pytest.mark.parametrize("text", forms())
def test_no_parameter_takes_long_to_check(text):
    """The patterns of parameters take time in proportion to what they are held against, whatever it is."""
    form = pattern(text.replace(r"\Z", "$"))
    for part in PARTS:
        for end in ("", "!", "\n", "\0", "/"):
            value = (part * LONG)[:LONG] + end
            with in_proportion():
                form.search(value)


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": ["a\0"] * 200_000}, {"scopes": [[]] * 200_000}, {f"k{number}": 1 for number in range(200_000)}, {"scopes": ["a"] * 200_000},
        {"scopes": [{"a": 1}] * 100_000 + ["a"] * 100_000},
    ],
    ids=["patterns", "kinds", "names", "twice", "mixed"],
)  # fmt: skip
def test_faults_of_a_large_body_are_found_soon(body):
    """A large body with very many faults is refused about as fast as a good one is taken, and the refusal is short."""
    validator = schemas.SchemaSet({"auth": SERVICES / "auth" / "schemas"}).validator("auth", "scopeset")
    validator.check({"scopes": []})
    with in_proportion():
        faults = validator.check(json.loads(json.dumps(body)), brief=True)
    assert 1 <= len(faults) <= schemas.MOST_FAULTS


LONG_TEXTS = [
    ("a line of a log", lambda: profile_logs.LogProfile("t", TASK, "http://x").add("[" + "1" * 2_000_000)),
    ("how long credentials are to last", lambda: durations.parse(" " * LONG + "x")),
    ("a comment on GitHub", lambda: webhooks.command("\n" * LONG + "x")),
    ("scopes that are missing", lambda: refusals.missing_scopes(errors.InsufficientScopes("is missing the following scopes: ```a" + " " * 1_000_000 + "b"))),
    ("a time in a query", lambda: times.moment(" (" * LONG)),
    ("a header", lambda: hawk.parse_authorization("Hawk " + "a" * 4000)),
    ("a schedule", lambda: cron.check(("0 0 0 30 2 *",) * 20, 0, "a/b")),
    ("a log with colours", lambda: github_logs.plain("\x1b[1" * LONG)),
]


@pytest.mark.parametrize(("name", "work"), LONG_TEXTS, ids=[name for name, _ in LONG_TEXTS])
def test_no_text_takes_long_to_read(name, work):
    """What strangers write is read in time in proportion to its length, whatever it is."""
    with in_proportion(), contextlib.suppress(ValueError, errors.TcboxError, hawk.HawkError, cron.CronError):
        work()


def test_no_roles_take_long_to_expand():
    """Roles that double at each step are neither expanded to the end nor compared for long, and what anybody may ask is not kept whatever its size."""
    roles = Roles({f"p/{n}-*": [f"assume:p/{n + 1}-<..>x", f"assume:p/{n + 1}-<..>y"] for n in range(60)})
    with in_proportion(), pytest.raises(RoleGrowth):
        roles.expand(["assume:p/0-a"])
    with in_proportion(), pytest.raises(RoleGrowth):
        roles.replace("p/60-*", ["x<..>"]).replace("p/1-*", ["assume:p/2-<..>", "assume:p/3-<..>"])
    kept = len(roles._expanded) + len(roles._walked)
    roles.expand([f"assume:{n}" for n in range(50_000)])
    assert len(roles._expanded) + len(roles._walked) == kept


def test_a_profile_of_very_many_lines_is_refused(monkeypatch):
    """A log of more lines than there is memory for is refused before it has taken that."""
    monkeypatch.setattr(profile_logs, "MOST_LINES", 10)
    assert profile_logs.packed("t", TASK, "http://x", io.BytesIO(b"x\n" * 10))
    with pytest.raises(errors.InputTooLarge, match="more than 10 lines"):
        profile_logs.packed("t", TASK, "http://x", io.BytesIO(b"x\n" * 11))


def test_nothing_that_is_told_commands_a_terminal(tmp_path):
    """What others wrote reaches terminals by the log, as lines or read from the file, without what those would obey."""
    evil = "\x1b]52;c;ZXZpbA==\x07\x9b2J\rfaked"
    record = logging.makeLogRecord({"name": "tcbox.x", "levelno": logging.ERROR, "levelname": "ERROR", "msg": evil, "worker": evil})
    record.exc_info = (ValueError, ValueError(evil), None)
    shown = [log.Lines().format(record), terminal.Calm(tmp_path).format(record), logs._readable(log.Json().format(record))]
    assert [text for text in shown if any(bad in text for bad in ("\x1b]", "\x07", "\x9b", "\r"))] == []
    assert all(text.count("52;c;ZXZpbA==") >= 2 for text in shown)
