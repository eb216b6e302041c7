"""Worker pools: what goes in comes out, launch configurations get their ids, and every change is announced."""

import msgspec
import pytest
import pytest_asyncio

from tcbox import clock as clocks
from tests.support.databases import database  # noqa: F401
from tests.support.worker_manager import MIGRATIONS, POOL, cloud_pool, launch_config, started, static_pool

migrations = MIGRATIONS

ODD = '{"z":1,"a":[1.0,1e3,123456789012345678901234567890,null,"\\u0000é"],"":{"b":{},"a":[]}}'
AWS = (
    '{"minCapacity":0,"maxCapacity":5,"scalingRatio":0.5,"lifecycle":{"reregistrationTimeout":86400,"registrationTimeout":1800},"launchConfigs":['
    '{"region":"us-west-2","workerConfig":' + ODD + ',"capacityPerInstance":1,"launchConfig":{"ImageId":"ami-1","z":1,"a":1.0}},'
    '{"workerManager":{"maxCapacity":3,"initialWeight":0.25,"launchConfigId":"mine"},"launchConfig":{"ImageId":"ami-2"},"region":"eu-1"}]}'
)
AZURE = (
    '{"maxCapacity":5,"minCapacity":0,"launchConfigs":[{"subnetId":"s","location":"north","workerConfig":' + ODD + ',"hardwareProfile":{"vmSize":"x"},'
    '"storageProfile":{"osDisk":{"b":1,"a":2}},"capacityPerInstance":2}]}'
)
GOOGLE = (
    '{"lifecycle":{"queueInactivityTimeout":3600},"maxCapacity":5,"minCapacity":0,"launchConfigs":[{"zone":"z","workerConfig":' + ODD + ',"region":"r",'
    '"machineType":"m","scheduling":{},"networkInterfaces":[{}],"disks":[{"b":1,"a":2}],"labels":{"z":"1","a":"2"}}]}'
)
CONFIGS = {
    "static": '{"workerConfig":' + ODD + ',"lifecycle":{"reregistrationTimeout":3600}}',
    "null-provider": ODD,
    "aws": AWS,
    "azure": AZURE,
    "cloud": GOOGLE,
}


@pytest_asyncio.fixture
async def manager(database, clock):
    async with started(database, clock) as made:
        yield made


@pytest.mark.parametrize("provider", CONFIGS)
async def test_a_config_comes_back_as_it_was_given(manager, provider):
    """A pool's configuration of each provider type comes back from every method byte for byte: order, numbers, nulls and all."""
    text = msgspec.json.encode(msgspec.json.decode(CONFIGS[provider]))
    body = msgspec.json.encode({**static_pool(providerId=provider), "config": msgspec.Raw(text)})
    replies = [
        await manager.call("createWorkerPool", POOL, payload=body), await manager.call("updateWorkerPool", POOL, payload=body),
        await manager.call("workerPool", POOL), await manager.call("listWorkerPools"),
    ]  # fmt: skip
    for reply in replies:
        assert reply.status == 200, reply.body
        assert b'"config":' + text + b"," in reply.raw
    listed = (await manager.call("listWorkerPoolLaunchConfigs", POOL)).raw
    for one in msgspec.json.decode(text).get("launchConfigs", []):
        assert b'"configuration":' + msgspec.json.encode(one) + b"," in listed
    assert b"123456789012345678901234567890" in text and b"1.0" in text


@pytest.mark.parametrize(
    ("provider", "config", "told"),
    [
        ("static", {"maxCapacity": 1}, "/config/maxCapacity: is not known here"),
        ("aws", {"minCapacity": 0, "maxCapacity": 1}, "/config/launchConfigs: is missing"),
        ("cloud", {"minCapacity": -1, "maxCapacity": 1, "launchConfigs": []}, "/config/minCapacity"),
        ("static", {"lifecycle": {"reregistrationTimeout": 2592001}}, "/config/lifecycle/reregistrationTimeout"),
    ],
)
async def test_a_config_must_fit_its_provider(manager, provider, config, told):
    """A configuration that does not fit its provider's published schema is refused with every fault, and nothing is kept."""
    refused = await manager.call("createWorkerPool", POOL, payload=static_pool(providerId=provider, config=config))
    assert (refused.status, refused.code) == (400, "InputValidationError")
    assert told in refused.message
    assert (await manager.call("workerPool", POOL)).status == 404
    assert await manager.events() == []


async def test_pool_life(manager, clock):
    """A pool is made once, changed, marked to go and forgotten; each step is announced and recorded."""
    made = await manager.ok("createWorkerPool", POOL, payload=static_pool())
    assert made["workerPoolId"] == POOL and made["currentCapacity"] == 0 and made["created"] == made["lastModified"]
    assert await manager.events() == [("worker-pool-created", {"workerPoolId": POOL, "providerId": "static"})]
    assert await manager.ok("createWorkerPool", POOL, payload=static_pool()) == made
    other = await manager.call("createWorkerPool", POOL, payload=static_pool(description="other"))
    assert (other.status, other.code) == (409, "RequestConflict")
    assert other.message.startswith("Worker pool already exists")
    clock.advance(5000)
    changed = await manager.ok("updateWorkerPool", POOL, payload=static_pool(owner="b@example.com", workerPoolId=POOL))
    assert changed["owner"] == "b@example.com" and changed["created"] == made["created"] and changed["lastModified"] > made["lastModified"]
    wrong = await manager.call("updateWorkerPool", POOL, payload=static_pool(workerPoolId="proj/other"))
    assert wrong.code == "InputError" and "Incorrect workerPoolId" in wrong.message
    gone = await manager.ok("deleteWorkerPool", POOL)
    assert gone["providerId"] == "null-provider"
    assert await manager.events() == [
        ("worker-pool-updated", {"workerPoolId": POOL, "providerId": "static", "previousProviderId": "static"}),
        ("worker-pool-updated", {"workerPoolId": POOL, "providerId": "null-provider", "previousProviderId": "static"}),
    ]
    assert [entry[2] for entry in manager.audit.entries] == ["created", "updated", "deleted"]
    assert manager.audit.entries[0] == ("worker-pool", POOL, "created", "tester")
    await manager.service.expire()
    assert (await manager.call("workerPool", POOL)).status == 200, "its former provider has not been let go yet"
    await manager.provision()
    await manager.service.expire()
    missing = await manager.call("workerPool", POOL)
    assert (missing.status, missing.code) == (404, "ResourceNotFound")
    for method in ("updateWorkerPool", "deleteWorkerPool", "workerPoolStats", "listWorkerPoolLaunchConfigs", "listWorkersForWorkerPool"):
        assert (await manager.call(method, POOL, payload=static_pool() if method.startswith("update") else None)).status == 404


async def test_a_given_up_pool_can_be_taken_up_again(manager):
    """Until it is forgotten, a pool that is marked to go can be given a provider again."""
    await manager.ok("createWorkerPool", POOL, payload=static_pool())
    await manager.static_worker()
    await manager.ok("deleteWorkerPool", POOL)
    await manager.provision()
    await manager.service.expire()
    assert (await manager.ok("updateWorkerPool", POOL, payload=static_pool()))["providerId"] == "static"
    await manager.provision()
    await manager.service.expire()
    assert (await manager.ok("workerPool", POOL))["runningCount"] == 1


async def test_launch_configs(manager, clock):
    """Each launch configuration has an id, made or given; those left out are archived, come back, and go when nothing was launched by them."""
    one, two = launch_config("zone-a"), launch_config("zone-b", launchConfigId="mine", maxCapacity=5)
    await manager.ok("createWorkerPool", POOL, payload=cloud_pool(0, 1, one, two))
    listed = (await manager.ok("listWorkerPoolLaunchConfigs", POOL))["workerPoolLaunchConfigs"]
    ids = {each["configuration"]["zone"]: each["launchConfigId"] for each in listed}
    assert ids["zone-b"] == "mine" and ids["zone-a"].startswith("lc-") and len(ids["zone-a"]) == 23
    assert [each["configuration"] for each in sorted(listed, key=lambda each: each["configuration"]["zone"])] == [one, two]
    assert await manager.exchanges() == ["worker-pool-created", "launch-config-created", "launch-config-created"]
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool(0, 2, one, two))
    assert await manager.exchanges() == ["worker-pool-updated"], "nothing about them has changed"
    clock.advance(1000)
    lighter = launch_config("zone-a", initialWeight=0.5)
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool(0, 2, lighter))
    found = await manager.events()
    assert found[1:] == [
        ("launch-config-updated", {"workerPoolId": POOL, "providerId": "cloud", "launchConfigId": ids["zone-a"]}),
        ("launch-config-archived", {"workerPoolId": POOL, "providerId": "cloud", "launchConfigId": "mine"}),
    ]
    active = (await manager.ok("listWorkerPoolLaunchConfigs", POOL))["workerPoolLaunchConfigs"]
    assert [(each["launchConfigId"], each["configuration"]) for each in active] == [(ids["zone-a"], lighter)]
    every = (await manager.ok("listWorkerPoolLaunchConfigs", POOL, includeArchived="true"))["workerPoolLaunchConfigs"]
    assert {each["launchConfigId"]: each["isArchived"] for each in every} == {ids["zone-a"]: False, "mine": True}
    changed = launch_config("zone-c", launchConfigId="mine")
    refused = await manager.call("updateWorkerPool", POOL, payload=cloud_pool(0, 2, changed))
    assert (refused.status, refused.code) == (409, "RequestConflict")
    assert "Launch config with ID `mine` already exists with different configuration" in refused.message
    await manager.events()
    await manager.ok("updateWorkerPool", POOL, payload=cloud_pool(0, 2, lighter, two))
    assert await manager.exchanges() == ["worker-pool-updated", "launch-config-updated"]
    gone = await manager.ok("deleteWorkerPool", POOL)
    assert gone["config"]["launchConfigs"] == []
    await manager.service.expire()
    assert (await manager.ok("listWorkerPoolLaunchConfigs", POOL, includeArchived="true"))["workerPoolLaunchConfigs"] == []


async def test_two_of_a_request_with_one_id(manager):
    """Two different launch configurations under one id are refused, also within one request, and no pool is made."""
    refused = await manager.call(
        "createWorkerPool", POOL, payload=cloud_pool(0, 1, launch_config("a", launchConfigId="x"), launch_config("b", launchConfigId="x"))
    )
    assert refused.code == "RequestConflict"
    assert (await manager.call("workerPool", POOL)).status == 404


async def test_ids_that_cannot_be_one(manager):
    """Where a configuration is free of form, what is no id is none, and nothing breaks by it."""
    configs = ["text", 5, None, {"workerManager": {"launchConfigId": "a.b/c"}}, {"workerManager": {"launchConfigId": "x" * 39}}, {"workerManager": 1}]
    await manager.ok("createWorkerPool", POOL, payload=static_pool(providerId="null-provider", config={"launchConfigs": configs}))
    listed = (await manager.ok("listWorkerPoolLaunchConfigs", POOL))["workerPoolLaunchConfigs"]
    assert all(each["launchConfigId"].startswith("lc-") for each in listed)
    assert (await manager.ok("workerPool", POOL))["config"] == {"launchConfigs": configs}
    assert await manager.exchanges() == ["worker-pool-created", *["launch-config-created"] * len(listed)]
    await manager.ok("updateWorkerPool", POOL, payload=static_pool(providerId="null-provider", config={"launchConfigs": {"no": "list"}}))


async def test_unknown_provider(manager):
    """A provider that the instance has not is refused, and the refusal names those there are."""
    refused = await manager.call("createWorkerPool", POOL, payload=static_pool(providerId="none"))
    assert (refused.status, refused.code) == (400, "InputError")
    assert "static, cloud, aws, azure, null-provider" in refused.message


async def test_a_provider_that_does_not_work(manager):
    """While a provider does not work, calls that need it are answered 503 with the reason; the others go on, and so does it later."""
    await manager.ok("createWorkerPool", "proj/a", payload=static_pool())
    manager.provider.sick = RuntimeError("the credentials have expired: renew them")
    await manager.provision()
    refused = await manager.call("createWorkerPool", POOL, payload=cloud_pool())
    assert (refused.status, refused.code) == (503, "ProviderSetupFailed")
    assert "renew them" in refused.message
    assert manager.service.providers.fault == "cloud: the credentials have expired: renew them"
    assert (await manager.call("createWorkerPool", "proj/b", payload=static_pool())).status == 200
    manager.provider.sick = None
    await manager.provision()
    assert manager.service.providers.fault is None
    assert (await manager.call("createWorkerPool", POOL, payload=cloud_pool())).status == 200


async def test_nothing_is_provisioned_and_why(manager, clock):
    """A pool of a cloud without credentials is kept, and says once a day among its errors, and in the status, why it has no machines; no mail is sent."""
    config = msgspec.json.decode(AWS)
    await manager.ok("createWorkerPool", POOL, payload=static_pool(providerId="aws", config=config, emailOnError=True))
    await manager.ok("createWorkerPool", "proj/none", payload=static_pool(providerId="aws", config={**config, "maxCapacity": 0}))
    for _ in range(3):
        await manager.provision()
    (error,) = await manager.errors()
    assert (error["kind"], error["title"]) == ("provisioning-off", "Nothing is provisioned")
    assert "providers.aws has no credentials" in error["description"]
    assert await manager.errors("proj/none") == []
    clock.advance(clocks.DAY + 1000)
    await manager.provision()
    assert len(await manager.errors()) == 2
    await manager.service.mails.send()
    assert manager.calls.mails == []
    assert "provider aws (aws): nothing is provisioned: providers.aws has no credentials in tcbox.yml." in manager.service.notes()
    assert "provider static (static): works" in manager.service.notes()


async def test_lists(manager):
    """Pools, their statistics and providers come in pages, in order, each once."""
    names = [f"proj/p{number}" for number in range(5)]
    for name in names:
        await manager.ok("createWorkerPool", name, payload=static_pool())
    await manager.static_worker(pool=names[2], capacity=3)
    for method, key in (("listWorkerPools", "workerPools"), ("listWorkerPoolsStats", "workerPoolsStats")):
        found, query = [], {}
        while True:
            page = await manager.ok(method, limit="2", **query)
            assert len(page[key]) <= 2
            found += page[key]
            if "continuationToken" not in page:
                break
            query = {"continuationToken": page["continuationToken"]}
        assert [each["workerPoolId"] for each in found] == names
        assert [each["runningCapacity"] for each in found] == [0, 0, 3, 0, 0]
        assert (await manager.call(method, continuationToken="nonsense")).code == "InputError"
    first = await manager.ok("listProviders", limit="3")
    rest = await manager.ok("listProviders", continuationToken=first["continuationToken"])
    assert [each["providerId"] for each in first["providers"] + rest["providers"]] == ["static", "cloud", "aws", "azure"]


@pytest.mark.parametrize(
    ("method", "args", "scopes", "missing"),
    [
        ("createWorkerPool", (POOL,), ("worker-manager:manage-worker-pool:proj/*",), "worker-manager:provider:static"),
        ("createWorkerPool", (POOL,), ("worker-manager:provider:static",), f"worker-manager:manage-worker-pool:{POOL}"),
        ("updateWorkerPool", (POOL,), ("worker-manager:manage-worker-pool:proj/*",), "worker-manager:provider:static"),
        ("deleteWorkerPool", (POOL,), ("worker-manager:provider:*",), f"worker-manager:manage-worker-pool:{POOL}"),
        ("workerPool", (POOL,), (), f"worker-manager:get-worker-pool:{POOL}"),
        ("workerPoolStats", (POOL,), (), f"worker-manager:get-worker-pool:{POOL}"),
        ("listWorkerPools", (), (), "worker-manager:list-worker-pools"),
        ("listProviders", (), (), "worker-manager:list-providers"),
        ("listWorkerPoolErrors", (POOL,), (), f"worker-manager:list-worker-pool-errors:{POOL}"),
        ("workerPoolErrorStats", (), ("worker-manager:list-worker-pool-errors:proj/*",), "worker-manager:list-worker-pool-errors:*"),
        ("worker", (POOL, "g", "w"), (), f"worker-manager:get-worker:{POOL}/g/w"),
        ("listWorkers", ("proj", "ci"), (), f"worker-manager:list-workers:{POOL}"),
    ],
)
async def test_scopes(manager, method, args, scopes, missing):
    """Each method needs its scope, and the refusal names it."""
    manager.call.scopes = scopes
    refused = await manager.call(method, *args, payload=static_pool() if method.startswith(("create", "update")) else None)
    assert (refused.status, refused.code) == (403, "InsufficientScopes")
    assert missing in refused.message
