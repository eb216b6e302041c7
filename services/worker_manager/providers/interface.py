"""What a provider of machines must do. The worker manager decides; a provider knows one kind of place and its API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tcbox.services.worker_manager.model import LaunchConfig, Pool, Worker
from tcbox.services.worker_manager.verdicts import Machine


class Trouble(Exception):
    """Something that the owner of a pool must learn: it becomes an error of the pool, word for word.

    Args:
        kind: small letters, digits and dashes, such as "creation-error".
        title: in one line, at most 128 characters.
        description: what is wrong and what to do; never a secret, for errors can be read by many.
        extra: details; `code`, where the place gives one, is what errors are counted by.
    """

    def __init__(self, kind: str, title: str, description: str, extra: Mapping[str, Any] | None = None) -> None:
        self.kind = kind
        self.title = title
        self.description = description
        self.extra = dict(extra or {})
        super().__init__(f"{title}: {description}")


class Refused(Exception):
    """A worker's proof of who it is does not hold; the message goes back to whoever sent it, so it tells nothing of the right one."""


@dataclass(frozen=True, slots=True)
class Order:
    """Machines that are asked for, all by one launch configuration.

    Attributes:
        token: names the order; the same one is asked for under the same token again until it is known what became of it.
        capacity: how many tasks at once each machine runs.
        created: when it was first asked for, in ms.
    """

    token: str
    pool: Pool
    launch_config: LaunchConfig
    machines: int
    capacity: int
    created: int


@dataclass(frozen=True, slots=True)
class Launched:
    """A machine that is coming.

    Attributes:
        worker_group, worker_id: at most 38 letters, digits, dashes and underscores each; together they name one machine of
            the provider.
        provider_data: what the provider needs to find it again and to know it when it registers; JSON, without secrets.
        worker_config: what the worker gets when it registers, as JSON; None for the pool's `workerConfig`.
    """

    worker_group: str
    worker_id: str
    provider_data: Mapping[str, Any] = field(default_factory=dict)
    worker_config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a worker's machine is.

    Attributes:
        provider_data: what replaces the worker's, when something in it has changed.
        troubles: what went wrong with it, each told once.
    """

    machine: Machine
    provider_data: Mapping[str, Any] | None = None
    troubles: tuple[Trouble, ...] = ()


class Provider(Protocol):
    """One provider of an instance, such as an account at a cloud.

    The provisioner asks every provider to `prepare`, then takes each pool's orders to `launch` and has those that a pool
    no longer belongs to `deprovision` it. The scanner has every machine looked at (`look`), removes (`remove`) what is
    to go, and ends with `sweep`. The API asks to `verify` who registers. All of these may be called by several processes
    at the same time, though for one pool only by one at a time, and every call is cut off after two minutes; none may
    keep anything in memory that a restart would miss.

    What a method raises is the failure of this provider, or of this pool or worker, alone: it is logged, told in the
    status, and tried again in the next round, while all others go on. `Trouble` tells the pool's owner too.

    Attributes:
        provider_id: as pools name it.
        provider_type: as `listProviders` tells it.
        schema: the published schema that the configuration of its pools must fit, such as "config-aws".
        by_hand: workers are made by `createWorker`, and nothing else is ever done for them.
        idle: why it gives no machines, for people; empty when it does, or is not meant to.
    """

    provider_id: str
    provider_type: str
    schema: str
    by_hand: bool
    idle: str

    async def prepare(self) -> None:
        """Make sure that the place can be reached with the credentials there are; called ahead of every round.

        Implementers must return soon when all is well, and raise, with what to do about it, when it is not.
        """
        ...

    async def launch(self, order: Order) -> list[Launched]:
        """Ask for machines; all that are coming.

        Implementers must make no second lot when they are asked under the same token again, for instance after a crash
        or a lost reply: they hand the token to the place as its idempotency key, or name machines by it, and give the
        machines of the first time. They must mark machines as this provider's own, so that `sweep` finds them. They
        must raise Trouble when it is certain that nothing is coming, and any other error when it is not.
        """
        ...

    async def look(self, worker: Worker) -> Sighting:
        """How a worker's machine is.

        Implementers must say "gone" only when the place says so, and raise when it does not answer.
        """
        ...

    async def remove(self, worker: Worker) -> None:
        """Have a worker's machine removed, with all that was made for it.

        Implementers must succeed when it is gone or going already: this is called again in every round for as long as
        the machine is there.
        """
        ...

    async def sweep(self, known: Callable[[str, str], Awaitable[bool]]) -> None:
        """Remove machines that are marked as this provider's own and stand for no worker; called at the end of a round.

        Implementers must leave machines alone that are younger than ten minutes: their order may not be settled yet.

        Args:
            known: whether there is a worker of that group and id which has not stopped.
        """
        ...

    async def deprovision(self, pool: Pool) -> None:
        """Give up what was made for a pool as a whole, which belongs to another provider now; called until it has no workers here."""
        ...

    async def verify(self, worker: Worker, proof: Mapping[str, Any]) -> None:
        """Check that who registers is that worker.

        Implementers must compare secrets in constant time, must check signatures against the place's own keys and what
        is signed against `worker.provider_data`, and must raise Refused unless all of it holds.
        """
        ...
