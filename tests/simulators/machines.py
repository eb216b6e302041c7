"""A cloud for tests: machines that are launched under tokens, start, stop and vanish; and the provider that speaks to it.

The provider keeps to `tcbox.services.worker_manager.providers.interface` as one of a real cloud has to.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from dataclasses import dataclass, field

from tcbox.services.worker_manager.providers.interface import Launched, Refused, Sighting, Trouble


@dataclass
class Machine:
    group: str
    name: str
    secret: str
    state: str = "there"


@dataclass
class Cloud:
    """The place itself. It refuses a token with other contents than the first time, and unknown machines."""

    machines: dict[str, Machine] = field(default_factory=dict)
    tokens: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    broken: Exception | None = None
    lose_replies: int = 0
    refuse_removal: bool = False
    delay: float = 0.0

    async def launch(self, token: str, count: int, group: str) -> list[Machine]:
        self.calls["launch"] += 1
        if self.broken:
            raise self.broken
        await asyncio.sleep(self.delay)
        if token not in self.tokens:
            names = [f"i-{len(self.machines) + number}" for number in range(count)]
            for name in names:
                self.machines[name] = Machine(group, name, f"secret of {name}")
            self.tokens[token] = (count, names)
        asked, names = self.tokens[token]
        assert asked == count, "the token was used for another order"
        if self.lose_replies:
            self.lose_replies -= 1
            raise ConnectionResetError("the reply got lost")
        return [self.machines[name] for name in names]

    def live(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.state == "there"]


class CloudProvider:
    """A provider of that cloud; pools have the configuration of Google's."""

    provider_type = "google"
    schema = "config-google"
    by_hand = False
    idle = ""

    def __init__(self, cloud: Cloud, provider_id: str = "cloud") -> None:
        self.provider_id = provider_id
        self.cloud = cloud
        self.sick: Exception | None = None
        self.deprovisioned: list[str] = []

    async def prepare(self) -> None:
        if self.sick:
            raise self.sick

    async def launch(self, order) -> list[Launched]:
        zone = order.launch_config.settings["zone"]
        made = await self.cloud.launch(order.token, order.machines, zone)
        config = order.launch_config.settings["workerConfig"]
        return [Launched(machine.group, machine.name, {"zone": zone}, config) for machine in made]

    async def look(self, worker) -> Sighting:
        self.cloud.calls["look"] += 1
        if self.cloud.broken:
            raise self.cloud.broken
        machine = self.cloud.machines.get(worker.worker_id)
        return Sighting("gone" if machine is None else machine.state)

    async def remove(self, worker) -> None:
        self.cloud.calls["remove"] += 1
        if self.cloud.refuse_removal:
            raise Trouble("termination-error", "Instance Termination Error", "The cloud is busy.", {"code": "busy"})
        machine = self.cloud.machines.get(worker.worker_id)
        if machine is not None and machine.state == "there":
            machine.state = "going"

    async def sweep(self, known) -> None:
        for machine in self.cloud.live():
            if not await known(machine.group, machine.name):
                machine.state = "gone"

    async def deprovision(self, pool) -> None:
        self.deprovisioned.append(pool.worker_pool_id)

    async def verify(self, worker, proof) -> None:
        machine = self.cloud.machines.get(worker.worker_id)
        if machine is None or not hmac.compare_digest(str(proof.get("token", "")), machine.secret):
            raise Refused("the token is not signed by the cloud")
