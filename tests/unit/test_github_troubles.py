"""What becomes of events when GitHub is slow, down or late, and when the process ends in the middle."""

from __future__ import annotations

from tcbox import clock as clocks
from tests.support import github as support
from tests.support.databases import database  # noqa: F401
from tests.unit.test_github_building import CREATE, ROLE, config, world  # noqa: F401

migrations = support.MIGRATIONS


async def test_the_commit_may_come_later_than_its_event(world):
    """When GitHub does not know a commit yet it is asked again; when it never does, the event is let be."""
    await world.grant(ROLE, *CREATE)
    body = world.push(config("one"))
    text = world.repo.files.pop(body["after"])
    await world.webhook("push", body)
    await world.settle()
    assert await world.builds() == []
    world.repo.files[body["after"]] = text
    world.clock.advance(clocks.MINUTE)
    await world.settle()
    assert len(await world.builds()) == 1
    await world.webhook("push", {**body, "after": "a" * 40})
    for _ in range(8):
        await world.settle()
        world.clock.advance(clocks.MINUTE)
    assert await world.waiting() == []


async def test_github_is_down(world):
    """While GitHub fails, webhooks are taken all the same; the tasks are made when it is back."""
    await world.grant(ROLE, *CREATE)
    world.hub.broken = {"/"}
    assert (await world.webhook("push", world.push(config("one")))).status == 204
    await world.settle()
    assert await world.builds() == [] and "503" in world.service.fault()
    world.hub.broken = set()
    world.clock.advance(clocks.MINUTE)
    await world.settle()
    assert len(await world.builds()) == 1 and world.service.fault() is None


async def test_one_repositorys_trouble_is_not_anothers(world):
    """While one installation is limited, another's events are handled; its own when the limit is over, without asking before."""
    (other,) = world.hub.install("acme", 99, "rocket")
    await world.grant(ROLE, *CREATE)
    await world.grant("repo:github.com/acme/rocket:*", *CREATE)
    reset = world.clock.now() // 1000 + 900
    world.hub.blocked[support.INSTALLATION] = (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}, "API rate limit exceeded")
    for number in range(5):
        assert (await world.webhook("push", world.push(config("one"), branch=f"b{number}"))).status == 204
    mine = world.push(config("two"))
    there = {**mine, "after": other.commit(config("two")), "installation": {"id": 99}}
    there["repository"] = {**there["repository"], "name": "rocket", "full_name": "acme/rocket", "owner": {"login": "acme", "name": "acme"}}
    await world.deliver("push", there)
    assert [(build["organization"], build["repository"]) for build in await world.builds()] == [("acme", "rocket")]
    asked = sum(world.hub.asked.values())
    world.clock.advance(5 * clocks.MINUTE)
    await world.settle()
    assert sum(world.hub.asked.values()) == asked, "nobody asks while the limit holds"
    world.hub.blocked.clear()
    await world.grant("repo:github.com/octo/hello.world:*", *CREATE)
    world.clock.advance(11 * clocks.MINUTE)
    await world.settle()
    assert len(await world.builds()) == 6


async def test_events_of_one_branch_are_handled_in_order(world):
    """A later push to a branch waits for an earlier one that is tried again; pushes to others do not."""
    await world.grant("repo:github.com/octo/hello.world:*", *CREATE)
    first, second = world.push(config("first")), world.push(config("second"))
    text = world.repo.files.pop(first["after"])
    for body in (first, second, world.push(config("third"), branch="other")):
        assert (await world.webhook("push", body)).status == 204
    await world.settle()
    names = [(await world.group(build["taskGroupId"]))[0]["task"]["metadata"]["name"] for build in await world.builds()]
    assert names == ["third"]
    world.repo.files[first["after"]] = text
    world.clock.advance(clocks.MINUTE)
    await world.settle()
    names = [(await world.group(build["taskGroupId"]))[0]["task"]["metadata"]["name"] for build in await world.builds()]
    assert sorted(names) == ["first", "second", "third"]


async def test_tokens_are_kept_and_renewed(world):
    """One token serves an installation for most of an hour; a revoked one is replaced at once."""
    await world.grant(ROLE, *CREATE)
    path = f"POST /app/installations/{support.INSTALLATION}/access_tokens"
    await world.deliver("push", world.push(config("one")))
    await world.deliver("push", world.push(config("two")))
    assert world.hub.asked[path] == 1
    world.hub.access_tokens.clear()
    await world.deliver("push", world.push(config("three")))
    assert world.hub.asked[path] == 2
    world.clock.advance(55 * clocks.MINUTE)
    await world.deliver("push", world.push(config("four")))
    assert world.hub.asked[path] == 3 and len(await world.builds()) == 4


async def test_a_crash_in_the_middle(world, database, clock):  # noqa: F811
    """What was taken on and not finished is done by whoever comes next, and nothing is made twice."""
    await world.grant(ROLE, *CREATE)
    body = world.push(config("one", "two"))
    real, calls = world.service.jobs._handlers["event"], []

    async def crash(job):
        calls.append(job.key)
        await real(job)
        raise SystemError("as if the power went")

    world.service.jobs._handlers = {**world.service.jobs._handlers, "event": crash}
    await world.webhook("push", body)
    await world.settle()
    world.service.jobs._handlers = {**world.service.jobs._handlers, "event": real}
    world.clock.advance(clocks.MINUTE)
    await world.settle()
    (build,) = await world.builds()
    assert len(await world.group(build["taskGroupId"])) == 2 and len(calls) == 1 and await world.waiting() == []
