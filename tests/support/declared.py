"""The configuration of an imagined company's CI: roles, clients, hooks, secrets and worker pools, of any size, the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

REGIONS = {
    "aws": [f"{area}-{side}-{n}" for area in ("ca", "eu", "us") for side in ("east", "west") for n in (1, 2)],
    "google": [f"{area}-{side}{n}-{zone}" for area in ("europe", "us") for side in ("central", "west") for n in (1, 2) for zone in "abc"],
    "azure": ["canadacentral", "centralindia", "centralus", "eastus", "eastus2", "northcentralus", "northeurope", "southindia", "uksouth", "westus", "westus2"],
}
WORDS = "alpha beacon cobalt delta ember fjord garnet harbor iris juniper kelp lumen maple nova onyx pebble quartz river sable topaz".split()


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each there is."""

    roles: int
    scopes: int
    clients: int
    hooks: int
    secrets: int
    pools: int
    launch_configs: int


SMALL = Size(roles=120, scopes=1500, clients=60, hooks=40, secrets=40, pools=40, launch_configs=200)
LARGE = Size(roles=849, scopes=15_553, clients=259, hooks=154, secrets=0, pools=384, launch_configs=2_427)
"""As many as the largest configuration that tc-admin is publicly used for."""


def make(size: Size) -> dict[str, dict[str, Any]]:
    """Everything by kind and name, in the words of tc-admin's resources."""
    dice = random.Random(7)
    return {
        "roles": dict(_roles(size, dice)),
        "clients": dict(_clients(size, dice)),
        "hooks": dict(_hooks(size, dice)),
        "secrets": dict(_secrets(size)),
        "pools": dict(_pools(size, dice)),
    }


def _project(n: int) -> str:
    return f"{WORDS[n % len(WORDS)]}-{n // len(WORDS)}"


def _roles(size: Size, dice: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Levels, projects, repositories with their branches, hooks and pools, which take each other's rights."""
    yield "anonymous", {"description": "What everybody may do.", "scopes": ["queue:get-artifact:public/*", "queue:status:*"]}
    yield "login-identity:*", {"description": "What who signs in may do.", "scopes": ["auth:create-client:<..>/*"]}
    names = [f"level:{level}:project:*" for level in (1, 2, 3)]
    kinds = ("repo:github.com/company/{}:*", "repo:github.com/company/{}:branch:main", "repo:github.com/company/{}:pull-request", "project:{}:releng",
             "project:{}:worker", "hook-id:project-{}/*", "worker-pool:proj-{}/*", "github-team:company/{}", "project-admin:{}")  # fmt: skip
    project = 0
    while len(names) < size.roles - 2:
        names += [kind.format(_project(project)) for kind in kinds]
        project += 1
    names = names[: size.roles - 2]
    weights = [dice.paretovariate(1.1) for _ in names]
    left = size.scopes - 3 - len(names)
    counts = [1 + int(left * weight / sum(weights)) for weight in weights]
    for n in range(size.scopes - 3 - sum(counts)):
        counts[n % len(counts)] += 1
    for at, (name, count) in enumerate(zip(names, counts, strict=True)):
        below = [each.replace("*", "one") for each in names[:at]]
        yield name, {"description": f"Rights of `{name}`.", "scopes": sorted(_scopes(name, count, below, dice))}


def _scopes(name: str, count: int, below: list[str], dice: random.Random) -> set[str]:
    """Rights of a role, some of them those of roles before it, so that none leads to itself."""
    found: set[str] = set()
    if name.endswith("*"):
        found.add(("index:insert-task:company.v2.<..>.*", "secrets:get:project/<..>/*", "queue:scheduler-id:<..>-level-1")[count % 3])
    while len(found) < count:
        word, n = _project(dice.randrange(60)), dice.randrange(400)
        found.add(dice.choice((
            f"queue:create-task:{dice.choice(('highest', 'high', 'medium', 'low', 'lowest'))}:proj-{word}/pool-{n}",
            f"queue:route:index.company.v2.{word}.build-{n}.*",
            f"secrets:get:project/{word}/level-{n % 3}/key-{n}",
            f"docker-worker:cache:company-level-{n % 3 + 1}-{word}-{n}*",
            f"docker-worker:feature:allow-{word}-{n}",
            f"generic-worker:cache:{word}-{n}-*",
            f"hooks:trigger-hook:project-{word}/in-tree-action-{n}-*",
            f"project:{word}:thing:{n}",
            f"notify:email:team-{n}@company.example",
            f"assume:{dice.choice(below)}" if below and dice.random() < 0.15 else f"queue:cancel-task:company-level-{n % 3}/{word}-{n}",
        )))  # fmt: skip
    return found


def _clients(size: Size, dice: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    for n in range(size.clients):
        word = _project(n % 60)
        scopes = {f"assume:project:{word}:releng", f"assume:worker-pool:proj-{word}/pool-{n}", *(f"project:{word}:{dice.randrange(999)}" for _ in range(n % 7))}
        yield f"project/{word}/client-{n}", {"description": f"Client {n}, für *{word}* – “quoted” & <b>bold</b>\n\n- a list\n", "scopes": sorted(scopes)}


def _hooks(size: Size, dice: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    for n in range(size.hooks):
        word = _project(n % 60)
        bindings = [
            {"exchange": "exchange/taskcluster-github/v1/push", "routingKeyPattern": f"primary.company.{word}"},
            {"exchange": "exchange/taskcluster-queue/v1/task-failed", "routingKeyPattern": f"route.index.company.v2.{word}.#"},
        ]
        task = {
            "provisionerId": f"proj-{word}", "workerType": f"pool-{n}", "retries": 0, "priority": "low",
            "created": {"$fromNow": "0 seconds"}, "deadline": {"$fromNow": "1 day"}, "expires": {"$fromNow": "30 days"},
            "scopes": [f"assume:hook-id:project-{word}/hook-{n}"], "routes": [f"index.company.v2.{word}.hook-{n}"],
            "metadata": {"name": f"{word} ${{firedBy}}", "description": "…", "owner": "ci@company.example", "source": "https://company.example/ci"},
            "payload": {
                "zeta": 1, "alpha": [1, 2.5, 1e-7, 12345678901234567, None, True, {"b": {}, "a": []}], "é": "\u2028 \\ \" \x7f",
                "command": {"$if": "firedBy == 'triggerHook'", "then": ["run", "--with", {"$json": {"$eval": "payload"}}], "else": ["run"]},
                "env": {f"{'VAR'}_{at}": str(dice.random()) for at in range(n % 12)},
            },
        }  # fmt: skip
        schema = {"type": "object", "properties": {"z": {"type": "string", "default": ""}, "a": {"type": "integer"}}, "additionalProperties": n % 2 == 0}
        yield f"project-{word}/hook-{n}", {
            "name": f"{word} {n}", "description": "Runs *nightly*.", "owner": "ci@company.example", "emailOnError": n % 2 == 0,
            "schedule": [["0 0 4 * * *"], [], ["0 */30 * * * *", "0 15 10 * * 1-5"]][n % 3], "bindings": bindings[: n % 3], "task": task, "triggerSchema": schema,
        }  # fmt: skip


def _secrets(size: Size) -> Iterator[tuple[str, dict[str, Any]]]:
    for n in range(size.secrets):
        yield f"project/{_project(n)}/key-{n}", {"z": "-----BEGIN KEY-----\nabc\n", "a": {"deep": [n, n / 7, None], "ключ": "✓"}, "": [], "n": -0.0}


def _pools(size: Size, dice: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of all types, a tenth of them static; the launch configurations go to those of clouds, to some many, to some few."""
    types = [("static", "aws", "azure", "google")[0 if n % 10 == 0 else 1 + n % 3] for n in range(size.pools)]
    clouds = [n for n, kind in enumerate(types) if kind != "static"]
    counts = dict.fromkeys(clouds, 1)
    for _ in range(size.launch_configs - len(clouds)):
        counts[dice.choice(clouds)] += 1
    for n, kind in enumerate(types):
        word = _project(n % 60)
        config: dict[str, Any] = {"workerConfig": {"genericWorker": {"config": {"idleTimeoutSecs": 600, "ed25519SigningKeyLocation": "/etc/key"}}}}
        if kind != "static":
            places = sorted(REGIONS[kind][at % len(REGIONS[kind])] for at in range(counts[n]))
            config = {
                "minCapacity": n % 3, "maxCapacity": 100 + n, "scalingRatio": 0.5, "launchConfigs": [_launch(kind, place, n, at) for at, place in enumerate(places)],
                "lifecycle": {"registrationTimeout": 3600, "reregistrationTimeout": 345600, "queueInactivityTimeout": 7200},
            }  # fmt: skip
        provider = {"static": "static", "aws": "aws-main", "azure": "azure-main", "google": "google-main"}[kind]
        yield (
            f"proj-{word}/pool-{n}",
            {"description": f"Pool {n}.", "owner": "ci@company.example", "config": config, "emailOnError": n % 2 == 0, "providerId": provider},
        )


def _launch(kind: str, place: str, pool: int, at: int) -> dict[str, Any]:
    """One way to launch a machine, with the worker's configuration, as long as those of real pools."""
    worker = {"dockerConfig": {"allowPrivileged": False}, "shutdown": {"enabled": True, "afterIdleSeconds": 60 + at}, "capacity": 1,
              "genericWorker": {"config": {"livelogExecutable": "/usr/local/bin/livelog", "deploymentId": f"d{pool}", "wstServerURL": "https://wst.example",
                                           "workerTypeMetadata": {"machine-setup": {"maintainer": "ci", "script": "https://company.example/" + "x" * 60}}}}}  # fmt: skip
    if kind == "aws":
        return {
            "capacityPerInstance": 1, "region": place, "additionalUserData": {"z": 1, "a": at}, "workerManager": {"initialWeight": 0.5, "maxCapacity": 20},
            "launchConfig": {"ImageId": f"ami-{pool:08x}{at:04x}", "InstanceType": "m5.xlarge", "Placement": {"AvailabilityZone": f"{place}a"},
                             "SubnetId": f"subnet-{at:08x}", "SecurityGroupIds": ["sg-1", "sg-2"], "InstanceMarketOptions": {"MarketType": "spot"},
                             "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 75, "DeleteOnTermination": True}}]},
            "workerConfig": worker,
        }  # fmt: skip
    if kind == "google":
        disk = {
            "type": "PERSISTENT",
            "boot": True,
            "autoDelete": True,
            "initializeParams": {"sourceImage": f"projects/p/global/images/i{at}", "diskSizeGb": 75},
        }
        return {
            "capacityPerInstance": 1, "machineType": f"zones/{place}/machineTypes/n2-standard-4", "region": place[:-2], "zone": place,
            "scheduling": {"onHostMaintenance": "terminate", "provisioningModel": "SPOT"}, "disks": [disk, {**disk, "boot": False}],
            "networkInterfaces": [{"accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}], "workerConfig": worker, "workerManager": {"maxCapacity": 10 + at},
        }  # fmt: skip
    return {
        "location": place, "capacityPerInstance": 1, "hardwareProfile": {"vmSize": "Standard_F8s_v2"}, "tags": {"pool": str(pool), "z": "1", "a": "2"},
        "subnetId": f"/subscriptions/s/resourceGroups/rg-{place}/providers/Microsoft.Network/virtualNetworks/vn/subnets/sn-{at}",
        "osProfile": {"windowsConfiguration": {"provisionVMAgent": True, "enableAutomaticUpdates": False}}, "priority": "spot", "evictionPolicy": "Delete",
        "storageProfile": {"imageReference": {"id": f"/subscriptions/s/images/i-{pool}"}, "osDisk": {"osType": "Windows", "createOption": "FromImage"}},
        "billingProfile": {"maxPrice": -1}, "workerConfig": worker, "workerManager": {"initialWeight": 1, "maxCapacity": 5},
    }  # fmt: skip
