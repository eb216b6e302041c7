"""What hooks' authors wrote is carried out apart: neither its time, its memory nor its failure is the instance's."""

import asyncio
import json

import pytest

from tcbox.sandbox import Fault
from tcbox.services.hooks.sandbox import Sandbox

CONTEXT = json.dumps({"payload": {"a": "x", "list": [1, 2], "big": 123456789012345678901234567890}, "now": "2026-01-31T12:00:00.000Z"}).encode()
DEEP = '{"a":' * 300 + "1" + "}" * 300


@pytest.fixture
async def sandbox():
    made = Sandbox(patience=5)
    yield made
    await made.close()


async def fault(coroutine) -> str:
    with pytest.raises(Fault) as raised:
        await coroutine
    return str(raised.value)


@pytest.mark.parametrize(
    ("template", "task"),
    [
        ('{"b":1.0,"a":"${payload.a}","n":123456789012345678901234567890,"x":null}', '{"b":1.0,"a":"x","n":123456789012345678901234567890,"x":null}'),
        ('{"n":{"$eval":"payload.big"}}', '{"n":123456789012345678901234567890}'),
        ('{"at":{"$fromNow":"1 day 2 hours"}}', '{"at":"2026-02-01T14:00:00.000Z"}'),
        ('{"at":"${now}"}', '{"at":"2026-01-31T12:00:00.000Z"}'),
        ('{"$let":{"v":{"$eval":"payload.list"}},"in":{"m":{"$map":{"$eval":"v"},"each(x)":{"$eval":"x+1"}}}}', '{"m":[2,3]}'),
        ('{"$if":"payload.a == \'y\'","then":{"x":1}}', "null"), ('{"$eval":"null"}', "null"), ('{"$eval":"0"}', "null"), ('{}', "{}"),
    ],
)  # fmt: skip
async def test_templates_are_rendered(sandbox, template, task):
    """A template is rendered as JSON-e says, exactly; one that comes to nothing makes no task."""
    made = await sandbox.render(template, CONTEXT)
    import msgspec

    assert msgspec.json.encode(made).decode() == task


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('{"x":{"$eval":"nothing"}}', "InterpreterError at template.x: unknown context value nothing"), ('{"$eval":"1 +"}', "SyntaxError"),
        ('{"$eval":"[1]"}', "renders to a list"), ('{"$eval":"\'x\'"}', "renders to a text"), ('{"$eval":"7"}', "renders to a number"),
        ('{"x":{"$eval":"number(\'q\')"}}', "ValueError"), ('{"$map":1,"each(x)":1}', "TemplateError"), ('{"x":{"$eval":"payload"},"y":{"$eval":"len"}}', "uncalled functions"),
    ],
)  # fmt: skip
async def test_faults_of_templates_are_told(sandbox, template, words):
    """What is wrong with a template is told, with its place."""
    assert words in await fault(sandbox.render(template, CONTEXT))


async def test_bombs_are_defused():
    """A template that wants more time or memory than there is is given up with words; the next one works."""
    sandbox = Sandbox(patience=0.7)
    try:
        assert "took more than 0.7 seconds" in await fault(sandbox.render('{"x":{"$eval":"9 ** 9 ** 9"}}', CONTEXT))
        assert "memory" in await fault(sandbox.render('{"x":{"$eval":"range(0, 1000000000)"}}', CONTEXT))
        assert "nest more than" in await fault(sandbox.render(DEEP, CONTEXT))
        assert await sandbox.render('{"x":"${payload.a}"}', CONTEXT) == {"x": "x"}
    finally:
        await sandbox.close()


async def test_it_goes_on_after_its_process_was_killed_and_ends_when_idle():
    """A process that was killed is replaced; one that nobody uses for a while is ended."""
    sandbox = Sandbox(idle=0.05)
    try:
        assert await sandbox.render("{}", b"{}") == {}
        process = sandbox._pool._free[0]._process
        process.kill()
        await process.wait()
        assert await sandbox.render("{}", b"{}") == {}
        second = sandbox._pool._free[0]._process
        async with asyncio.timeout(15):
            await second.wait()
        assert await asyncio.gather(*(sandbox.render("{}", b"{}") for _ in range(5))) == [{}] * 5
        assert len(sandbox._pool._free) <= 2
    finally:
        await sandbox.close()


async def test_schemas_are_checked_without_looking_anything_up(sandbox):
    """A schema must be one, may be of a named draft, and nothing that it refers to is fetched."""
    await sandbox.check('{"type":"object","definitions":{"a":{"$ref":"#/definitions/b"},"b":{"type":"string"}},"properties":{"x":{"$ref":"#/definitions/a"}}}')
    await sandbox.check('{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","unevaluatedProperties":false}')
    await sandbox.check('{"$ref":"#"}')
    said = await fault(sandbox.check('{"type":"objet","properties":{"a":{"minLength":"1"}}}'))
    assert "/type" in said and "/properties/a/minLength must be" in said
    for schema in ('{"$ref":"http://127.0.0.1:1/x"}', '{"$schema":"http://127.0.0.1:1/x"}', '{"$ref":"file:///etc/passwd"}'):
        assert "is not looked up" in await fault(sandbox.check(schema))
    assert "does not exist" in await fault(sandbox.check('{"$ref":"#/definitions/none"}'))


async def test_payloads_are_checked_and_get_defaults(sandbox):
    """A payload that fits gets the schema's defaults; one that does not is refused with each fault."""
    schema = '{"type":"object","properties":{"where":{"type":"string","default":"here"},"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}'
    assert await sandbox.accept(schema, {"n": 10**30}) == {"n": 10**30, "where": "here"}
    said = await fault(sandbox.accept(schema, {"n": "x", "more": 1}))
    assert "/n must be an integer" in said and "/more is not known here" in said
    nothing = '{"type":"object","additionalProperties":false}'
    assert await sandbox.accept(nothing, {}) == {}
    assert "the payload must be empty" in await fault(sandbox.accept(nothing, {"a": 1}))
    choice = '{"oneOf":[{"properties":{"k":{"const":1},"z":{"default":5}}},{"properties":{"k":{"const":2}}}],"required":["k"]}'
    assert await sandbox.accept(choice, {"k": 1}) == {"k": 1, "z": 5}
    assert "must match" in await fault(sandbox.accept('{"properties":{"a":{"pattern":"^(a+)+$(?=x)"}}}', {"a": "a" * 60 + "b"}))
