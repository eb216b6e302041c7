"""The providers of an instance, and how each is doing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from tcbox import log
from tcbox.api.schemas import SchemaSet
from tcbox.services.worker_manager.declarations import ProviderSetupFailed
from tcbox.services.worker_manager.model import NULL_PROVIDER
from tcbox.services.worker_manager.providers.interface import Provider

PATIENCE = 120.0
"""Seconds after which a call of a provider is cut off."""


class Providers:
    """All providers by their ids.

    Args:
        schemas: hold the form of the configurations.

    Attributes:
        faults: what is wrong with those that do not work just now, in words.
    """

    def __init__(self, providers: Mapping[str, Provider], schemas: SchemaSet) -> None:
        self._providers = dict(providers)
        self._schemas = schemas
        self._log = log.get("worker-manager")
        self.faults: dict[str, str] = {}

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._providers.values())

    @property
    def ids(self) -> list[str]:
        """All ids that a pool may name."""
        return list(self._providers)

    @property
    def listed(self) -> list[Provider]:
        """Those that give machines, or would."""
        return [provider for key, provider in self._providers.items() if key != NULL_PROVIDER]

    def get(self, provider_id: str) -> Provider | None:
        """One provider, whether it works or not; None when there is none."""
        return self._providers.get(provider_id)

    def working(self, provider_id: str) -> Provider | None:
        """One provider; None when there is none.

        Raises ProviderSetupFailed when it does not work just now.
        """
        fault = self.faults.get(provider_id)
        if fault is not None:
            raise ProviderSetupFailed("The provider {providerId} does not work just now: {fault}. Try again later.", providerId=provider_id, fault=fault)
        return self._providers.get(provider_id)

    def misfit(self, provider: Provider, config: Any) -> str:
        """What is wrong with the configuration of one of a provider's pools, a line for each fault; empty when nothing is."""
        found = self._schemas.validator("worker-manager", provider.schema).check(config)
        return "\n".join(f"  * /config{fault.path}: {fault.message}" for fault in found)

    async def prepare(self) -> None:
        """Ask all of them whether they work; one that does not keeps none of the others waiting."""
        await asyncio.gather(*(self._prepare(provider) for provider in self._providers.values()))

    async def _prepare(self, provider: Provider) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await provider.prepare()
        except Exception as error:
            words = f"it did not answer within {PATIENCE:.0f} s" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            if self.faults.get(provider.provider_id) != words:
                self._log.exception("the provider %s does not work", provider.provider_id)
            self.faults[provider.provider_id] = words
        else:
            if self.faults.pop(provider.provider_id, None) is not None:
                self._log.info("the provider %s works again", provider.provider_id)

    @property
    def fault(self) -> str | None:
        """What is wrong, with the names of those that do not work; None when all do."""
        return "; ".join(f"{name}: {words}" for name, words in self.faults.items()) or None

    @property
    def notes(self) -> list[str]:
        """How each is doing, a line each, for the status."""
        return [f"provider {each.provider_id} ({each.provider_type}): {self._words(each)}" for each in self.listed]

    def _words(self, provider: Provider) -> str:
        return self.faults.get(provider.provider_id) or (f"nothing is provisioned: {provider.idle}" if provider.idle else "works")
