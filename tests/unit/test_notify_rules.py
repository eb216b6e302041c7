"""What routes ask for, what notifications say, and what is left of what others put into them."""

import asyncio
import email
import time
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcbox import clock as clocks
from tcbox.sandbox import Fault
from tcbox.services.notify import mail, markdown, messages, model, routes
from tcbox.services.notify.messages import Subject
from tcbox.services.notify.model import Delivery, Notification
from tcbox.services.notify.render import TemplateError, render
from tcbox.services.notify.routes import Route
from tcbox.services.notify.sandbox import Sandbox
from tests.support.notify import GROUP_ID, ROOT, TASK_ID, definition, task_status

EMAIL = "me@example.com"


def say(kind, state="completed", address=None, **extra):
    """The content of a task's notification of a kind."""
    address = address or {"email": EMAIL}.get(kind, "x")
    subject = Subject(definition(extra={"notify": extra}), task_status(state), ROOT)
    return messages.notifications(subject, [Route(kind, address, "any")])[0].content


@pytest.mark.parametrize(
    ("route", "asked"),
    [
        ("notify.email.me@example.com.on-failed", ("email", "me@example.com", "failed")),
        ("notify.pulse.a.b.c.on-any", ("pulse", "a.b.c", "any")),
        ("notify.matrix-room.!abc:example.com.on-resolved", ("matrix-room", "!abc:example.com", "resolved")),
        ("notify.slack-channel.C123.on-transition", ("slack-channel", "C123", "transition")),
        ("notify.irc-channel.#x.on-any", None),
        ("notify.irc-user.x.on-any", None),
        ("notify.email.me@example.com", None),
        ("notify.email.on-any", None),
        ("notify.email..on-any", None),
        ("notify.email.me@example.com.on-any.more", None),
        ("other.email.me@example.com.on-any", None),
        ("notify.email.me@example.com.failed", None),
        ("", None),
    ],
)
def test_routes_are_understood(route, asked):
    """A route names a kind, an address that may have dots, and a condition; what is not of that form asks for nothing."""
    assert routes.parse(route) == (None if asked is None else Route(*asked))


@given(st.text(max_size=40))
def test_no_route_is_too_odd(route):
    """Whatever a route is, it is understood or passed over."""
    found = routes.parse(f"notify.{route}")
    assert found is None or f"notify.{found.kind}.{found.address}.on-{found.condition}" == f"notify.{route}"


@pytest.mark.parametrize(
    ("condition", "steps"),
    [
        ("any", "completed failed exception"),
        ("resolved", "completed failed exception"),
        ("transition", "defined pending running completed failed exception"),
        *((step, step) for step in routes.STEPS),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_conditions(condition, steps):
    """Each condition holds at its steps and at no others."""
    states = {"defined": "unscheduled"}
    assert [step for step in routes.STEPS if routes.holds(condition, step, states.get(step, step))] == steps.split()


def test_a_run_that_ends_with_another_to_follow():
    """An exception after which the task runs again is a transition, and no end."""
    assert [c for c in ("exception", "any", "resolved", "pending", "transition") if routes.holds(c, "exception", "pending")] == ["transition"]


def test_each_route_is_asked_once():
    """A route that comes twice is one, and routes for other services are none."""
    keys = ["notify.pulse.a.on-any", "notify.pulse.a.on-any", "route.notify.pulse.b.on-any", "index.x", "notify.pulse.c.on-failed"]
    assert routes.asked(keys, "completed", "completed") == [Route("pulse", "a", "any")]


@pytest.mark.parametrize(("reason", "ignored"), [("canceled", True), ("deadline-exceeded", True), ("worker-shutdown", False), ("internal-error", False)])
def test_deliberate_ends_are_no_news(reason, ignored):
    """Nobody is told of a task that was cancelled, or ran into its deadline."""
    assert routes.ignored(task_status("exception", reason), {"canceled", "deadline-exceeded"}) is ignored
    assert not routes.ignored(task_status("completed"), {"completed"})
    assert not routes.ignored(task_status("exception") | {"runs": []}, {"canceled"})


def test_what_is_the_same():
    """Notifications are the same by address and content; how a mail looks and whether links unfold makes no difference."""
    first = Notification("email", EMAIL, {"subject": "s", "content": "c", "template": "simple"})
    assert first.digest() == Notification("email", EMAIL, {"content": "c", "subject": "s", "template": "fullscreen", "link": None}).digest()
    others = [
        Notification("email", "you@example.com", first.content),
        Notification("email", EMAIL, first.content | {"replyTo": "r@example.com"}),
        Notification("email", EMAIL, first.content | {"link": {"text": "a", "href": "b"}}),
        Notification("pulse", EMAIL, {"message": {}}),
    ]
    assert len({each.digest() for each in [first, *others]}) == 5


@given(st.integers(1, 10_000))
def test_pauses_grow_up_to_a_bound(attempts):
    """Each pause is at least as long as the one before, and none is longer than the bound."""
    assert model.FIRST_PAUSE <= model.pause(attempts) <= model.pause(attempts + 1) <= model.LONGEST_PAUSE


def test_the_default_mail():
    """Without wishes of its own, a task's mail says what it is, how it stands, and where it is found."""
    content = say("email", "failed")
    assert content["subject"] == f"Task failed: build <x> - {TASK_ID}"
    assert content["link"] == {"text": "Inspect Task", "href": f"{ROOT}/tasks/{TASK_ID}"}
    assert content["template"] == "simple"
    for part in (f"[`{TASK_ID}`]({ROOT}/tasks/{TASK_ID})", f"{ROOT}/tasks/groups/{GROUP_ID}/tasks", "failed (in 1 run)", "it *builds*", "o@example.com"):
        assert part in content["content"]
    assert "in 0 runs" in say("email", "unscheduled")["content"]


def test_a_mail_of_the_tasks_own():
    """Subject, content, link and look come from extra.notify.email, rendered with task, status, taskId and rootUrl."""
    content = say(
        "email",
        email={
            "subject": "${task.metadata.owner}: ${status.state}",
            "content": "see ${rootUrl}/tasks/${taskId}",
            "link": {"text": "Log of ${taskId}", "href": "https://logs.example.com/${status.taskId}"},
            "template": {"$if": "status.state == 'completed'", "then": "fullscreen", "else": "simple"},
        },
    )
    assert content == {
        "subject": "o@example.com: completed",
        "content": f"see {ROOT}/tasks/{TASK_ID}",
        "link": {"text": f"Log of {TASK_ID}", "href": f"https://logs.example.com/{TASK_ID}"},
        "template": "fullscreen",
    }


@pytest.mark.parametrize(
    ("wish", "name", "comes"),
    [
        ({"subject": ""}, "subject", f"Task completed: build <x> - {TASK_ID}"),
        ({"subject": "a\r\nBcc: evil@example.com\n\nx"}, "subject", "a Bcc: evil@example.com x"),
        ({"subject": "x" * 999}, "subject", "x" * 255),
        ({"subject": "${nope}"}, "subject", "Error parsing custom message: InterpreterError: unknown context value nope"),
        ({"content": {"$eval": "[1, 2]"}}, "content", "[1,2]"),
        ({"content": {"$eval": "1 +"}}, "content", "Error parsing custom message: SyntaxError: Unexpected end of input"),
        ({"link": {"$eval": "null"}}, "link", None),
        ({"link": {"text": "x", "href": "javascript:alert(1)"}}, "link", {"text": "Inspect Task", "href": f"{ROOT}/tasks/{TASK_ID}"}),
        ({"link": {"text": "x"}}, "link", {"text": "Inspect Task", "href": f"{ROOT}/tasks/{TASK_ID}"}),
        ({"link": "${nope}"}, "link", {"text": "Inspect Task", "href": f"{ROOT}/tasks/{TASK_ID}"}),
        ({"template": "evil"}, "template", "simple"),
        ({"template": {"$eval": "x"}}, "template", "simple"),
    ],
)
def test_odd_wishes_for_mail(wish, name, comes):
    """A wish that comes to nothing usable never keeps the mail from being sent."""
    assert say("email", email=wish)[name] == comes


@pytest.mark.parametrize("extra", [None, [], "x", {"notify": None}, {"notify": "x"}, {"notify": {"email": "x", "slackBlocks": 3, "matrixMsgtype": 7}}])
def test_extra_of_any_form(extra):
    """extra may hold anything; what is of no known form counts for nothing."""
    subject = Subject(definition(extra=extra), task_status("completed"), ROOT)
    made = messages.notifications(subject, [Route("email", EMAIL, "any"), Route("slack-channel", "C", "any"), Route("matrix-room", "!r", "any")])
    assert made[0].content["subject"].startswith("Task completed")
    assert len(made[1].content["blocks"]) == 2
    assert made[2].content["msgtype"] == "m.notice"


def test_matrix_messages():
    """The default names task and state; wishes replace each part."""
    assert say("matrix-room") == {"body": f"'build <x>' resolved as 'completed': {ROOT}/tasks/{TASK_ID}", "msgtype": "m.notice"}
    own = say("matrix-room", matrixBody="${taskId}", matrixFormattedBody="<b>${taskId}</b>", matrixFormat="matrix.foo", matrixMsgtype="m.text")
    assert own == {"body": TASK_ID, "formattedBody": f"<b>{TASK_ID}</b>", "format": "matrix.foo", "msgtype": "m.text"}


def test_slack_messages():
    """The default has the task's name as a link in which Slack sees no markup; wishes replace text, blocks and attachments."""
    content = say("slack-channel", "failed")
    assert content["text"] == f":x: *<{ROOT}/tasks/{TASK_ID}|build &lt;x&gt;>* transitioned to _failed_"
    assert content["blocks"][0]["text"]["text"] == content["text"]
    assert GROUP_ID in content["blocks"][1]["elements"][0]["text"]
    assert (content["unfurlLinks"], content["unfurlMedia"], content["attachments"]) == (False, False, [])
    own = say("slack-channel", slackText="hey ${taskId}", slackBlocks=[{"type": "divider"}], slackAttachments=[{"text": "${rootUrl}"}], slackUnfurlLinks=True)
    assert own == {"text": f"hey {TASK_ID}", "blocks": [{"type": "divider"}], "attachments": [{"text": ROOT}], "unfurlLinks": True, "unfurlMedia": False}
    assert say("slack-channel", slackText="hey")["blocks"][0]["text"]["text"] == "hey"
    broken = say("slack-channel", slackBlocks=[{"$eval": "nope"}])["blocks"]
    assert "unknown context value nope" in broken[2]["text"]["text"]


@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "a@b@c",
        "a b@example.com",
        "a@example.com\nBcc: x@example.com",
        "a@example.com,b@example.com",
        "<a@example.com>",
        "=?utf-8?q?a=0A?=@example.com",
    ],
)
def test_routes_to_what_is_no_address(address):
    """A route whose address is none of e-mail sends nothing, and keeps the others from nothing."""
    subject = Subject(definition(), task_status("completed"), ROOT)
    made = messages.notifications(subject, [Route("email", address, "any"), Route("email", EMAIL, "any")])
    assert [each.address for each in made] == [EMAIL]


def doubled(times):
    """A template that makes a text twice as long, so many times."""
    inner = "${a%d}" % times
    for step in range(times, 0, -1):
        inner = {"$let": {f"a{step}": "${a%d}${a%d}" % (step - 1, step - 1)}, "in": inner}
    return {"$let": {"a0": "x" * 100}, "in": inner}


NUMBERS = {"$eval": "range(0, 50000)"}
BOMBS = [
    {"$eval": "range(0, 1000000000)"}, {"$map": NUMBERS, "each(a)": {"$map": NUMBERS, "each(b)": 1}}, doubled(40), {"$eval": "9 ** 9 ** 9"},
    {"$eval": "'x' + str(2 ** 900000000)"},
]  # fmt: skip


async def made(template, **settings):
    """What a template comes to, made where those of tasks are."""
    sandbox = Sandbox(**settings)
    subject = Subject(definition(extra={"notify": {"email": {"content": template}}}), task_status("completed"), ROOT)
    try:
        (notification,) = await sandbox.notifications(subject, [Route("email", EMAIL, "any")])
    finally:
        await sandbox.close()
    content = notification.content["content"]
    if content.startswith("Error parsing custom message: "):
        raise TemplateError(content)
    return content


@pytest.mark.parametrize("bomb", BOMBS, ids=("range", "nested", "doubled", "power", "digits"))
async def test_templates_that_grow_without_end(bomb):
    """A template that would take all time or memory is broken off within its bounds, while the event loop goes on."""
    longest, ticks = 0.0, 0

    async def tick():
        nonlocal longest, ticks
        while True:
            before = time.process_time()
            await asyncio.sleep(0.005)
            longest = max(longest, time.process_time() - before)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises((Fault, TemplateError)):
        await made(bomb, seconds=0.3)
    ticking.cancel()
    assert ticks >= 5
    assert longest < 0.25, "this process works on it"  # of its own processor time, so that it does not matter who else is at work


async def test_what_is_within_bounds_comes_back():
    """Work within the bounds gives what it gives, and what is wrong with it is told."""
    assert await made({"$map": {"$eval": "range(0, 3)"}, "each(x)": {"$eval": "x * 2"}}) == "[0,2,4]"
    with pytest.raises(TemplateError, match="division by zero"):
        await made({"$eval": "1 / 0"})


def test_deep_templates_are_told_of():
    """A template nested deeper than can be rendered is a template error like others."""
    deep = "x"
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(TemplateError):
        render(deep, {})


@pytest.mark.parametrize(
    ("text", "there", "gone"),
    [
        ("# T\n\n**b** `c`\n\n* i", ["<h1>T</h1>", "<strong>b</strong>", "<code>c</code>", "<li>i</li>"], []),
        ("| a |\n|---|\n| 1 |", ["<table>", "<td>1</td>"], []),
        ("one\ntwo", ["one<br>", "two"], []),
        ("[x](https://e.com/?a=1&b=2)", ['href="https://e.com/?a=1&amp;b=2"', 'rel="noopener noreferrer"'], []),
        ("<b>kept</b>", ["<b>kept</b>"], []),
        ("<script>alert(1)</script>x", ["x"], ["script", "alert"]),
        ("<img src=x onerror=alert(1)>", [], ["img", "onerror"]),
        ("![t](https://spy.example/x.png)", [], ["spy", "img"]),
        ("<a href='javascript:alert(1)' onclick='x()'>a</a>", ["a</a>"], ["javascript", "onclick"]),
        ("[a](javascript:alert(1)) [b](data:text/html,x)", [], ['href="javascript', 'href="data']),
        ("<style>*{display:none}</style><iframe src=x></iframe><form action=x><input></form>", [], ["style", "iframe", "form", "input", "display"]),
        ("<p style='position:fixed' class='x' id='y'>t</p>", ["<p>t</p>"], ["position", "class"]),
        ("</div></body></html><body onload=x>", [], ["</div>", "</body>", "onload"]),
        ("<svg><script>alert(1)</script></svg><math><a xlink:href=javascript:x>", [], ["svg", "script", "xlink"]),
        ('<a href="https://e.com" target="_self">x', ["</a>"], ["_self"]),
    ],
)
def test_markdown_becomes_harmless_html(text, there, gone):
    """Markdown is rendered; of the HTML in it only what is harmless is left."""
    html = markdown.to_html(text)
    assert [part for part in there if part not in html] == []
    assert [part for part in gone if part in html] == []


@given(st.text(max_size=200))
def test_nothing_active_is_ever_left(text):
    """Whatever the text, no script, handler or frame is in the HTML."""
    html = markdown.to_html(f"<script {text}> {text} <img {text}><a href='{text}'>").lower()
    assert not any(bad in html for bad in ("<script", "<img", "<iframe", 'href="javascript'))


def build(**content):
    """A mail as who gets it sees it."""
    whole = {"subject": "s", "content": "c", "link": None, "template": "simple"} | content
    delivery = Delivery("GH84fFjVSrei7m6QDHVwMg", Notification("email", EMAIL, whole), 7, 0)
    source = "Task Cluster <tc@example.com>"

    async def made():
        sandbox = Sandbox()
        try:
            return await mail.build(delivery, source, 86_400_000, sandbox)
        finally:
            await sandbox.close()

    message = email.message_from_bytes(asyncio.run(made()).as_bytes(), policy=policy.default)
    return message, *(message.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))


def test_a_whole_mail():
    """A mail has plain text and HTML, a button, and the headers of an automatic mail."""
    message, plain, html = build(content="**hi** ü", link={"text": "Go <on>", "href": "https://e.com/?a&b"}, replyTo="r@example.com", subject="Grüße")
    assert (message["From"], message["To"], message["Subject"], message["Reply-To"]) == ("Task Cluster <tc@example.com>", EMAIL, "Grüße", "r@example.com")
    assert message["Date"] == "Fri, 02 Jan 1970 00:00:00 +0000"
    assert message["Message-ID"] == "<GH84fFjVSrei7m6QDHVwMg@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert plain.startswith("**hi** ü\n\nGo <on>: https://e.com/?a&b\n") and "rate limit: 6" in plain
    assert "<strong>hi</strong> ü" in html and 'href="https://e.com/?a&amp;b"' in html and "Go &lt;on&gt;" in html
    assert "max-width:600px" in html and "width:98%" in build(template="fullscreen")[2]


@pytest.mark.parametrize(
    "subject", ["a\r\nBcc: evil@example.com", "a\n\nbody", "a\0b", "</title><script>x</script>", "ü" * 255, "a\u2028b", "=?utf-8?q?a=0D=0ABcc=3A_x=40y.z?="]
)
def test_no_header_is_smuggled_in(subject):
    """A subject is one header of one line, whatever is in it, and plain text in the HTML."""
    message, plain, html = build(subject=subject)
    assert set(message.keys()) == {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert "<script>" not in html
    assert plain.startswith("c\n")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://e.com/x", True), ("HTTP://e.com", True), ("mailto:a@example.com", True), ("javascript:alert(1)", False), ("JaVaScRiPt:x", False),
        ("data:text/html,x", False), ("vbscript:x", False), ("//e.com", False), ("https://e.com/\nx", False), (" javascript:x", False), ("ftp://e.com", False),
    ],
)  # fmt: skip
def test_links(url, good):
    """A link leads to a page or a mailbox."""
    assert model.harmless(url) is good


def test_times():
    """The pauses within a day are a bounded number of attempts."""
    total = attempts = 0
    while total < clocks.DAY:
        attempts += 1
        total += model.pause(attempts)
    assert attempts < 120
