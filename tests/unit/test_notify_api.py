"""Sending by call: who may, what is passed over, what is refused and in which words; and the denylist."""

import asyncio

import pytest

from tcbox import clock as clocks
from tcbox.events import bus as buses
from tcbox.services.notify.channels import Later, Refused, Rejected, Unreachable
from tcbox.services.notify.model import Limits
from tcbox.services.notify.outbox import Missing
from tcbox.services.notify.store import migrations as own
from tests.support.databases import database  # noqa: F401
from tests.support.notify import Notify

migrations = [buses.migrations, own]
EMAIL = {"address": "me@example.com", "subject": "s", "content": "c"}
PULSE = {"routingKey": "a.b", "message": {"z": 1, "a": [1.0, None, 2**70]}}
MATRIX = {"roomId": "!r:example.com", "body": "b"}
SLACK = {"channelId": "C1", "text": "t"}
CALLS = [("email", EMAIL), ("pulse", PULSE), ("matrix", MATRIX), ("slack", SLACK)]


@pytest.fixture
def notify(database, clock):
    return Notify(database, clock)


@pytest.fixture
def call(notify):
    return notify.call


async def test_everything_is_sent(call, notify):
    """Each method answers once its server has the message, with what was asked for and defaults filled in; nothing is left waiting."""
    for method, payload in CALLS:
        answer = await call(method, payload=payload)
        assert (answer.status, answer.body) == (200, {})
    assert notify.mail.contents == [{"subject": "s", "content": "c", "template": "simple"}]
    assert notify.matrix.contents == [{"body": "b", "msgtype": "m.notice"}]
    assert notify.slack.contents == [{"text": "t", "unfurlLinks": False, "unfurlMedia": False}]
    assert notify.mail.addresses + notify.matrix.addresses + notify.slack.addresses == ["me@example.com", "!r:example.com", "C1"]
    assert await notify.waiting() == 0


async def test_a_pulse_message(call, notify):
    """A pulse message is published under its routing key, and as a route, exactly as it was given."""
    await call("pulse", payload=PULSE)
    [event] = await notify.published()
    assert event.exchange == "exchange/taskcluster-notify/v1/notification"
    assert (event.routing_key, event.cc) == ("primary.a.b", ("a.b",))
    assert repr(event.payload) == repr({"message": PULSE["message"], "version": 1})


@pytest.mark.parametrize(("method", "payload"), CALLS)
@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("notify:email:me@example.com", "email"),
        ("notify:pulse:a.*", "pulse"),
        ("notify:matrix-room:!r:example.com", "matrix"),
        ("notify:slack-channel:C1", "slack"),
    ],
)
async def test_scopes(call, notify, method, payload, scope, status):
    """Each method needs the scope for just its address, and sends nothing without."""
    call.scopes = (scope,)
    assert (await call(method, payload=payload)).status == (200 if method == status else 403)
    sent = len(notify.mail.taken + notify.matrix.taken + notify.slack.taken) + len(await notify.published())
    assert sent == (1 if method == status else 0)


@pytest.mark.parametrize(("method", "payload"), CALLS)
async def test_the_same_again(call, notify, clock, method, payload):
    """What equals a notification sent before is answered 204 and not sent, until a day has passed."""
    statuses = [(await call(method, payload=payload)).status for _ in range(3)]
    clock.advance(clocks.DAY - clocks.MINUTE)
    statuses.append((await call(method, payload=payload)).status)
    clock.advance(2 * clocks.MINUTE)
    statuses.append((await call(method, payload=payload)).status)
    assert statuses == [200, 204, 204, 204, 200]
    assert len(notify.mail.taken + notify.matrix.taken + notify.slack.taken) + len(await notify.published()) == 2


async def test_the_same_at_once(call, notify):
    """Of the same mail asked for many times at once, one is sent."""
    statuses = [answer.status for answer in await asyncio.gather(*(call("email", payload=EMAIL) for _ in range(10)))]
    assert sorted(statuses) == [200] + [204] * 9
    assert len(notify.mail.taken) == 1


async def test_no_limit_to_the_same(database, clock):
    """With a time of zero for duplicates all of them are sent, up to the rate limit."""
    notify = Notify(database, clock, limits=Limits(same=0, count=3))
    assert [(await notify.call("email", payload=EMAIL)).status for _ in range(5)] == [200, 200, 200, 204, 204]


async def test_rate_limit(call, notify, clock):
    """An address gets 50 mails within ten minutes, each saying how many are left; others are not affected, nor other kinds."""

    async def mail(number, address="me@example.com"):
        return (await call("email", payload=EMAIL | {"subject": str(number), "address": address})).status

    assert [await mail(number) for number in range(52)] == [200] * 50 + [204] * 2
    assert [delivery.remaining for delivery in notify.mail.taken] == list(range(50, 0, -1))
    assert await mail(0, "you@example.com") == 200
    clock.advance(599 * clocks.SECOND)
    assert await mail(60) == 204
    clock.advance(2 * clocks.SECOND)
    assert await mail(61) == 200
    assert [(await call("slack", payload=SLACK | {"text": str(number)})).status for number in range(60)] == [200] * 60


async def test_what_failed_counts_for_nothing(call, notify):
    """A mail that the server did not take is neither a duplicate nor one of the limit when it is sent again, and is not sent by itself."""
    notify.mail.fault = Unreachable("connection refused")
    for _ in range(60):
        assert (await call("email", payload=EMAIL)).status == 503
    assert await notify.waiting() == 0
    notify.mail.fault = None
    assert (await call("email", payload=EMAIL)).status == 200
    assert notify.mail.taken[0].remaining == 50


@pytest.mark.parametrize(
    ("fault", "code", "status", "says"),
    [
        (Refused("550 no such user"), "InputError", 400, "mail.example.com:587 refused it: 550 no such user"),
        (Later("450 greylisted"), "ServiceUnavailable", 503, "450 greylisted. Try again."),
        (Unreachable("no route"), "ServiceUnavailable", 503, "no route"),
        (Rejected("535 bad password"), "InternalServerError", 500, "535 bad password. An administrator must look at services.notify"),
    ],
)
async def test_a_server_that_does_not_take_it(call, notify, fault, code, status, says):
    """The answer says which server, what it said, and whose turn it is."""
    notify.mail.fault = fault
    answer = await call("email", payload=EMAIL)
    assert (answer.code, answer.status) == (code, status)
    assert says in answer.message


async def test_a_channel_that_breaks(call, notify):
    """A fault of our own is answered 500 without its details, and the notification can be sent again."""
    notify.mail.fault = KeyError("boom")
    answer = await call("email", payload=EMAIL)
    assert answer.status == 500 and "boom" not in answer.message
    notify.mail.fault = None
    assert (await call("email", payload=EMAIL)).status == 200


async def test_not_configured(database, clock):
    """Who sends to a server that is not configured is told which settings are missing."""
    missing = {kind: Missing(kind.title(), f"services.notify.{kind}.x") for kind in ("email", "matrix-room", "slack-channel")}
    notify = Notify(database, clock, channels=missing)
    for method, kind in (("email", "email"), ("matrix", "matrix-room"), ("slack", "slack-channel")):
        answer = await notify.call(method, payload=dict(CALLS)[method])
        assert (answer.code, answer.status) == ("InputError", 400)
        assert answer.message == f"{kind.title()} is not configured: an administrator can set services.notify.{kind}.x in tcbox.yml."


@pytest.mark.parametrize(
    ("method", "payload", "code"),
    [
        ("email", EMAIL | {"address": "nobody"}, "InputValidationError"),
        ("email", EMAIL | {"address": "a@example.com\nBcc: b@example.com"}, "InputValidationError"),
        ("email", EMAIL | {"address": "=?utf-8?q?a=0A?=@example.com"}, "InputError"),
        ("email", EMAIL | {"replyTo": "=?utf-8?q?a=0A?=@example.com"}, "InputError"),
        ("email", EMAIL | {"replyTo": "x"}, "InputValidationError"),
        ("email", EMAIL | {"link": {"text": "x", "href": "javascript:alert(1)"}}, "InputError"),
        ("email", EMAIL | {"link": {"text": "x", "href": "data:text/html,x"}}, "InputError"),
        ("email", EMAIL | {"template": "other"}, "InputValidationError"),
        ("email", EMAIL | {"subject": "x" * 256}, "InputValidationError"),
        ("email", EMAIL | {"content": "x" * 102_401}, "InputValidationError"),
        ("pulse", PULSE | {"routingKey": "é" * 124}, "InputError"),
        ("pulse", PULSE | {"routingKey": "a\0"}, "InputError"),
        ("pulse", PULSE | {"message": []}, "InputValidationError"),
        ("matrix", MATRIX | {"msgtype": "m.image"}, "InputValidationError"),
        ("matrix", MATRIX | {"roomId": "!\0"}, "InputError"),
        ("slack", SLACK | {"blocks": "x"}, "InputValidationError"),
        ("addDenylistAddress", {"notificationType": "email", "notificationAddress": "a\0"}, "InputError"),
        ("addDenylistAddress", {"notificationType": "irc-user", "notificationAddress": "a"}, "InputValidationError"),
    ],
)
async def test_what_makes_no_sense(call, notify, method, payload, code):
    """What cannot be sent, or must not, is refused, and nothing is sent."""
    answer = await call(method, payload=payload)
    assert (answer.status, answer.code) == (400, code)
    assert not notify.mail.tried + notify.matrix.tried + notify.slack.tried
    assert await notify.published() == []


async def test_links_stay_links(call, notify):
    """A link to a page goes through as it is."""
    link = {"text": "go", "href": "https://e.com/?a=1&b=<2>"}
    assert (await call("email", payload=EMAIL | {"link": link | {"href": "https://e.com/?a=1&b=2"}, "replyTo": "r@example.com"})).status == 200
    assert notify.mail.contents[0]["link"]["href"] == "https://e.com/?a=1&b=2"
    assert notify.mail.contents[0]["replyTo"] == "r@example.com"


DENIED = [("email", "me@example.com"), ("pulse", "a.b"), ("matrix-room", "!r:example.com"), ("slack-channel", "C1")]


@pytest.mark.parametrize(("called", "denied"), list(zip(CALLS, DENIED, strict=True)), ids=[method for method, _ in CALLS])
async def test_denied_addresses(call, notify, called, denied):
    """Nothing is sent to a denied address, and who tries is told so; once it is off the list, things are sent again."""
    address = dict(zip(("notificationType", "notificationAddress"), denied, strict=True))
    assert (await call("addDenylistAddress", payload=address)).body == {}
    assert (await call("addDenylistAddress", payload=address)).status == 200
    answer = await call(called[0], payload=called[1])
    assert (answer.status, answer.code) == (400, "DenylistedAddress")
    assert answer.message.endswith(f"{denied[1]} is denylisted")
    for kind, other in DENIED:
        if kind != denied[0]:
            assert (await call("addDenylistAddress", payload={"notificationType": kind, "notificationAddress": other + "x"})).status == 200
    assert not notify.mail.taken + notify.matrix.taken + notify.slack.taken + await notify.published()
    assert (await call("deleteDenylistAddress", payload=address)).body == {}
    assert (await call("deleteDenylistAddress", payload=address)).status == 200
    assert (await call(called[0], payload=called[1])).status == 200


async def test_addresses_denied_by_the_settings(database, clock):
    """An address that the settings deny is denied like one on the list, and does not stand on the list."""
    notify = Notify(database, clock, limits=Limits(denied=frozenset({"me@example.com"})))
    assert (await notify.call("email", payload=EMAIL)).code == "DenylistedAddress"
    assert (await notify.call("listDenylist")).body == {"addresses": []}


async def test_the_denylist_in_pages(call):
    """The list comes in order, in pages whose tokens lead on; each method on it needs its scope."""
    expected = sorted((kind, f"{number:03}") for kind in ("email", "pulse", "matrix-room", "slack-channel") for number in range(7))
    for kind, address in expected:
        await call("addDenylistAddress", payload={"notificationType": kind, "notificationAddress": address})
    found, query = [], {}
    while True:
        page = (await call("listDenylist", limit="5", **query)).body
        assert len(page["addresses"]) <= 5
        found += [(each["notificationType"], each["notificationAddress"]) for each in page["addresses"]]
        if "continuationToken" not in page:
            break
        query = {"continuationToken": page["continuationToken"]}
    assert found == expected
    assert len((await call("listDenylist")).body["addresses"]) == 28
    assert (await call("listDenylist", continuationToken="nonsense")).code == "InputError"
    call.scopes = ("notify:email:*", "notify:pulse:*")
    entry = {"notificationType": "email", "notificationAddress": "x@example.com"}
    for method, payload in (("listDenylist", None), ("addDenylistAddress", entry), ("deleteDenylistAddress", entry)):
        assert (await call(method, payload=payload)).status == 403
    call.scopes = ("notify:manage-denylist",)
    for method, payload in (("listDenylist", None), ("addDenylistAddress", entry), ("deleteDenylistAddress", entry)):
        assert (await call(method, payload=payload)).status == 200


async def test_a_caller_who_goes_away(call, notify):
    """A call that is cut off in the middle is finished by the outbox."""
    notify.mail.fault = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await call("email", payload=EMAIL)
    notify.mail.fault = None
    assert (await call("email", payload=EMAIL)).status == 204
    await notify.turn()
    assert len(notify.mail.taken) == 1
