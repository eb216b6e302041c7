"""Mail, Matrix and Slack over the wire: what arrives, and how each refusal is told apart."""

import logging

from types import SimpleNamespace

import pytest

from tcbox import clock as clocks
from tcbox.box.making import notify as making
from tcbox.config.instance import Instance
from tcbox.config.services.notify import Email
from tcbox.services.notify.channels import Later, Refused, Rejected, Unreachable
from tcbox.services.notify.channels.folder import Folder
from tcbox.services.notify.channels.matrix import Matrix, content
from tcbox.services.notify.channels.matrix import Settings as MatrixSettings
from tcbox.services.notify.channels.slack import Settings as SlackSettings
from tcbox.services.notify.channels.slack import Slack
from tcbox.services.notify.channels.smtp import Settings as SmtpSettings
from tcbox.services.notify.channels.smtp import Smtp
from tcbox.services.notify.model import Delivery, Notification
from tcbox.services.notify.outbox import Missing
from tcbox.services.notify.sandbox import Sandbox
from tests.simulators import matrix, slack
from tests.simulators.serving import served
from tests.support.mail_server import PASSWORD, USER, mail_server, self_signed

CLOCK = clocks.VirtualClock()
ROOM, CHANNEL = "!room:example.com", "C0PUBLIC"
TOKEN = "xoxb-1234-secret"
MAIL = {"subject": "Grüße", "content": "**hi**", "link": None}


def delivery(kind, address, name="delivery-1", **content):
    return Delivery(name, Notification(kind, address, content), 5, CLOCK.now())


@pytest.fixture
async def sandbox():
    made = Sandbox()
    yield made
    await made.close()


@pytest.fixture
def smtp(sandbox):
    return lambda server, **settings: _smtp(server, sandbox, **settings)


def _smtp(server, sandbox, **settings):
    made = {"host": "127.0.0.1", "port": server.port, "source": "tc <tc@example.com>", "security": "none", "certificates": server.certificate} | settings
    return Smtp(SmtpSettings(**made), CLOCK, sandbox)


@pytest.mark.parametrize(("tls", "sign_in"), [("none", False), ("starttls", False), ("starttls", True), ("tls", True)])
async def test_a_mail_arrives(tls, sign_in, smtp):
    """A mail arrives in the clear, by STARTTLS or by TLS, with a sign-in or without, at its one recipient."""
    async with mail_server(tls=tls, sign_in=sign_in) as server:
        account = {"user": USER, "password": PASSWORD} if sign_in else {}
        await smtp(server, security=tls, **account).deliver(delivery("email", "me@example.com", **MAIL))
        [(address, message)] = server.mails
        assert (address, message["To"], message["From"], message["Subject"]) == ("me@example.com", "me@example.com", "tc <tc@example.com>", "Grüße")
        assert "<strong>hi</strong>" in message.get_body(("html",)).get_content()
        assert server.private == [tls != "none"]
        assert server.users == ([USER] if sign_in else [])


@pytest.mark.parametrize(
    ("served_tls", "settings", "answers", "fault", "says"),
    [
        ("none", {"security": "starttls"}, {}, Rejected, "STARTTLS"),
        ("none", {"security": "tls"}, {}, Unreachable, ""),
        ("starttls", {"security": "none"}, {}, Rejected, "530 Must issue a STARTTLS command first"),
        ("starttls", {"security": "starttls", "certificates": ""}, {}, Unreachable, "certificate verify failed"),
        ("starttls", {"security": "starttls", "certificates": "other"}, {}, Unreachable, "certificate verify failed"),
        ("tls", {"security": "tls", "certificates": ""}, {}, Unreachable, "certificate verify failed"),
        ("none", {}, {"me@example.com": "550 5.1.1 no such user here"}, Refused, "550 5.1.1 no such user here"),
        ("none", {}, {"me@example.com": "450 4.2.0 greylisted, come back"}, Later, "450 4.2.0 greylisted"),
        ("none", {}, {"data": "554 5.7.1 spam"}, Refused, "554 5.7.1 spam"),
        ("none", {}, {"data": "452 4.3.1 disk full"}, Later, "452 4.3.1 disk full"),
        ("none", {}, {"me@example.com": "421 4.3.2 going down"}, Unreachable, "421"),
    ],
)
async def test_a_mail_that_is_not_taken(served_tls, settings, answers, fault, says, smtp):
    """What the server says is told, and whether it is about the mail, about us, or about the server."""
    if settings.get("certificates") == "other":
        settings = settings | {"certificates": self_signed()[0]}
    async with mail_server(tls=served_tls) as server:
        server.answers = answers
        with pytest.raises(fault) as caught:
            await smtp(server, **settings).deliver(delivery("email", "me@example.com", **MAIL))
        assert type(caught.value) is fault
        assert says in str(caught.value)
        assert server.mails == []


async def test_a_wrong_password(caplog, smtp):
    """A sign-in that fails is a fault of the settings, and the password stands in no message and no log."""
    caplog.set_level(logging.DEBUG)
    async with mail_server(tls="starttls", sign_in=True) as server:
        with pytest.raises(Rejected, match="535") as caught:
            await smtp(server, security="starttls", user=USER, password="wr0ng-pass").deliver(delivery("email", "me@example.com", **MAIL))
        with pytest.raises(Rejected, match="530"):
            await smtp(server, security="starttls").deliver(delivery("email", "me@example.com", **MAIL))
    assert "wr0ng-pass" not in str(caught.value) + "".join(record.getMessage() for record in caplog.records if record.name.startswith("tcbox"))


async def test_no_mail_server(smtp):
    """A server that is not there, or whose name is none, is unreachable."""
    async with mail_server() as server:
        pass
    for host in ("127.0.0.1", "no-such-host.invalid"):
        with pytest.raises(Unreachable):
            await smtp(server, host=host).deliver(delivery("email", "me@example.com", **MAIL))


async def test_the_mail_folder(tmp_path, sandbox):
    """Without a server mails are files for their owner alone, readable by mail programs, and only the latest are kept."""
    folder = Folder(tmp_path / "mail", "tcbox@localhost", CLOCK, sandbox, keep=3)
    for number in range(5):
        await folder.deliver(delivery("email", "me@example.com", f"id{number}", **MAIL | {"subject": f"n{number}"}))
        CLOCK.advance(1000)
    files = sorted((tmp_path / "mail").iterdir())
    assert [file.suffix for file in files] == [".eml"] * 3
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert (tmp_path / "mail").stat().st_mode & 0o777 == 0o700
    assert [f"Subject: n{number}" in file.read_text() for number, file in zip((2, 3, 4), files, strict=True)] == [True] * 3


async def test_a_mail_folder_that_cannot_be_written(tmp_path, sandbox):
    """A folder that cannot be made is told of like a server that does not answer."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable, match="cannot be written"):
        await Folder(tmp_path / "file" / "mail", "tcbox@localhost", CLOCK, sandbox, keep=3).deliver(delivery("email", "me@example.com", **MAIL))


@pytest.mark.parametrize(
    ("settings", "kind", "server"),
    [
        ({}, Folder, "mail"),
        ({"keep": 0}, Missing, ""),
        ({"host": "m.example.com", "source": "a@b"}, Smtp, "m.example.com:587"),
        ({"host": "m.example.com", "source": "a@b", "tls": "tls"}, Smtp, "m.example.com:465"),
        ({"host": "m.example.com", "source": "a@b", "tls": "none"}, Smtp, "m.example.com:25"),
        ({"host": "m.example.com", "source": "a@b", "port": 2525}, Smtp, "m.example.com:2525"),
    ],
)
def test_by_which_way_mail_goes(tmp_path, settings, kind, server):
    """By the server that is set, on the port that its kind of TLS is usual on; else into the folder; else not at all."""
    shared = SimpleNamespace(folder=Instance(tmp_path), clock=CLOCK, apart=False)
    made = making._email(shared, Email(**settings), Sandbox())
    assert type(made) is kind
    assert getattr(made, "server", "").endswith(server)


def test_processes_without_a_folder_in_common_keep_no_mail(tmp_path):
    """Where services run as processes of their own, mail without a server is missing rather than in a folder that nobody sees."""
    made = making._email(SimpleNamespace(folder=Instance(tmp_path), clock=CLOCK, apart=True), Email())
    assert type(made) is Missing


@pytest.fixture
async def homeserver():
    simulated = matrix.Matrix(TOKEN)
    async with served(simulated.app) as url:
        simulated.url = url
        yield simulated


@pytest.fixture
async def room(homeserver):
    made = Matrix(MatrixSettings(f"{homeserver.url}/", TOKEN, matrix.ME))
    yield made
    await made.close()


async def test_a_matrix_message(homeserver, room):
    """Once invited, the first message joins the room; each message is there once, however often it is sent."""
    with pytest.raises(Refused, match=f"{matrix.ME} must be invited to {ROOM}"):
        await room.deliver(delivery("matrix-room", ROOM, body="b"))
    homeserver.invited.add(ROOM)
    for name in ("1", "1", "2"):
        await room.deliver(delivery("matrix-room", ROOM, name, body="b", msgtype="m.text", format="matrix.foo", formattedBody="<b>b</b>"))
    event = {"body": "b", "msgtype": "m.text", "format": "matrix.foo", "formatted_body": "<b>b</b>"}
    assert homeserver.rooms[ROOM] == [event, event]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"body": "b"}, {"body": "b", "msgtype": "m.notice"}),
        ({"body": "b", "formattedBody": "f"}, {"body": "b", "msgtype": "m.notice", "format": "org.matrix.custom.html", "formatted_body": "f"}),
        ({"body": "b", "format": "f", "msgtype": "m.emote"}, {"body": "b", "msgtype": "m.emote", "format": "f"}),
    ],
)
def test_what_a_matrix_message_holds(asked, sent):
    """The form of a formatted body is HTML unless said otherwise, and a message is a notice."""
    assert content(asked) == sent


@pytest.mark.parametrize(
    ("address", "fault", "says"),
    [("room", Refused, "M_INVALID_PARAM"), ("!none:example.com", Refused, "M_NOT_FOUND"), ("!../../x?y#z", Refused, "M_NOT_FOUND")],
)
async def test_matrix_rooms_that_are_none(homeserver, room, address, fault, says):
    """A room that is none is refused in the server's words, and no room id leads to another end-point."""
    with pytest.raises(fault, match=says):
        await room.deliver(delivery("matrix-room", address, body="b"))


async def test_a_matrix_server_that_does_not_take_it(homeserver, room):
    """A limit, a failing server, a wrong token and an event that is too large are told apart; the token is never told."""
    homeserver.members.add(ROOM)
    homeserver.limited = 1
    with pytest.raises(Later) as caught:
        await room.deliver(delivery("matrix-room", ROOM, body="b"))
    assert caught.value.after == 4000
    with pytest.raises(Refused, match="M_TOO_LARGE"):
        await room.deliver(delivery("matrix-room", ROOM, body="b" * 70_000))
    homeserver.broken = True
    with pytest.raises(Unreachable, match="HTTP status 502"):
        await room.deliver(delivery("matrix-room", ROOM, body="b"))
    homeserver.broken = False
    other = Matrix(MatrixSettings(homeserver.url, "wrong-token"))
    with pytest.raises(Rejected, match="M_UNKNOWN_TOKEN") as caught:
        await other.deliver(delivery("matrix-room", ROOM, body="b"))
    await other.close()
    assert "wrong-token" not in str(caught.value)
    gone = Matrix(MatrixSettings("http://127.0.0.1:1", TOKEN))
    with pytest.raises(Unreachable):
        await gone.deliver(delivery("matrix-room", ROOM, body="b"))
    await gone.close()


@pytest.fixture
async def workspace():
    simulated = slack.Slack(TOKEN, private=("G0PRIVATE",))
    async with served(simulated.app) as url:
        simulated.url = url
        yield simulated


@pytest.fixture
async def bot(workspace):
    made = Slack(SlackSettings(TOKEN, f"{workspace.url}/api/"))
    yield made
    await made.close()


async def test_a_slack_message(workspace, bot):
    """Text, blocks, attachments and unfurling arrive; what was not given is not sent."""
    await bot.deliver(delivery("slack-channel", CHANNEL, text="t", unfurlLinks=False, unfurlMedia=False))
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "é"}}]
    await bot.deliver(delivery("slack-channel", CHANNEL, text="t", blocks=blocks, attachments=[{"x": 1}], unfurlLinks=True, unfurlMedia=True))
    assert workspace.posted[CHANNEL] == [
        {"channel": CHANNEL, "text": "t", "unfurl_links": False, "unfurl_media": False},
        {"channel": CHANNEL, "text": "t", "blocks": blocks, "attachments": [{"x": 1}], "unfurl_links": True, "unfurl_media": True},
    ]


@pytest.mark.parametrize(
    ("channel", "content", "says"),
    [
        ("C0NONE", {"text": "t"}, "channel_not_found"),
        ("G0PRIVATE", {"text": "t"}, "not_in_channel"),
        (CHANNEL, {"text": ""}, "no_text"),
        (CHANNEL, {"text": "t" * 50_000}, "msg_too_long"),
        (CHANNEL, {"text": "t", "blocks": [{}]}, "invalid_blocks: .*unsupported type"),
    ],
)
async def test_what_slack_refuses(bot, channel, content, says):
    """What is wrong with a message is told in Slack's words."""
    with pytest.raises(Refused, match=says):
        await bot.deliver(delivery("slack-channel", channel, **content))


async def test_a_slack_that_does_not_take_it(workspace, bot):
    """A limit, an outage and a wrong token are told apart; the token is never told."""
    workspace.limited = 1
    with pytest.raises(Later) as caught:
        await bot.deliver(delivery("slack-channel", CHANNEL, text="t"))
    assert caught.value.after == 7000
    workspace.failing = "internal_error"
    with pytest.raises(Unreachable):
        await bot.deliver(delivery("slack-channel", CHANNEL, text="t"))
    workspace.failing = "token_revoked"
    with pytest.raises(Rejected):
        await bot.deliver(delivery("slack-channel", CHANNEL, text="t"))
    other = Slack(SlackSettings("wrong-token", f"{workspace.url}/api"))
    with pytest.raises(Rejected, match="invalid_auth") as caught:
        await other.deliver(delivery("slack-channel", CHANNEL, text="t"))
    await other.close()
    assert "wrong-token" not in str(caught.value)
    elsewhere = Slack(SlackSettings(TOKEN, workspace.url))
    with pytest.raises(Rejected, match="HTTP status 404"):
        await elsewhere.deliver(delivery("slack-channel", CHANNEL, text="t"))
    await elsewhere.close()
