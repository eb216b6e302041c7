"""An index beside a queue, for tests of both."""

from __future__ import annotations

import pytest

from tcbox import clock as clocks
from tcbox import ids
from tcbox.client.local import Local
from tcbox.credentials import LazyScopes, Success
from tcbox.events import bus as event_bus
from tcbox.scopes import ScopeSet
from tcbox.services.index import store
from tcbox.services.index.service import Service
from tcbox.services.queue import store as queue_store
from tests.support.service import Caller

MIGRATIONS = [event_bus.migrations, queue_store.migrations, store.migrations]
ROOT_URL = "https://tc.example.com"
TOKEN = "s" * 44


def calls(queue, *scopes):
    """Calls the queue with these scopes."""
    who = Success("hawk", "someone", 2**52, LazyScopes(ScopeSet(scopes)))
    return Local(lambda name: queue.dispatcher, lambda: who)


def made(queue, public=("queue:get-artifact:public/*",)):
    """An index beside the queue."""
    return Service(
        database=queue.database, bus=queue.bus, clock=queue.clock, caller=calls(queue, "queue:get-task:*"), anonymous=calls(queue, *public),
        client_id="static/taskcluster/index", access_token=TOKEN, root_url=ROOT_URL,
    )  # fmt: skip


@pytest.fixture
def index(queue):
    return made(queue)


@pytest.fixture
def call(index, clock):
    return Caller(index, clock)


@pytest.fixture
def entry(clock):
    """A body of insertTask."""

    def entry(rank=0, ms=clocks.DAY, **more):
        return {"taskId": ids.slugid(), "rank": rank, "data": {}, "expires": clocks.to_wire(clock.now() + ms), **more}

    return entry
