"""Methods by which machines become workers."""

from __future__ import annotations

from typing import Any

from tcbox.api.call import Call
from tcbox.services.worker_manager.declarations import api
from tcbox.services.worker_manager.registration import Registration

_CATEGORY = "Worker Interface"


class RegistrationMethods:
    """Registers workers."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration

    @api.post("/worker/register", name="registerWorker", category=_CATEGORY, input="register-worker-request", output="register-worker-response", conceal=True)
    async def register_worker(self, call: Call) -> dict[str, Any]:
        """Register a running worker

        A machine says which worker it is, and proves it in the way of its provider: with its `staticSecret`, or with a
        document that its cloud has signed. It gets the credentials for its work, its configuration, and a secret with
        which to ask for fresh credentials.
        """
        return await self._registration.register(call.payload)

    @api.post(
        "/worker/reregister", name="reregisterWorker", category=_CATEGORY, input="reregister-worker-request", output="reregister-worker-response", conceal=True,
        scopes="worker-manager:reregister-worker:<workerPoolId>/<workerGroup>/<workerId>", stability="experimental",
    )  # fmt: skip
    async def reregister_worker(self, call: Call) -> dict[str, Any]:
        """Reregister a Worker

        Fresh credentials for a running worker, and a new secret for the next time; the one that is sent works once. The
        credentials hold for the pool's `lifecycle.reregistrationTimeout`, and the machine is kept for as long.
        """
        payload = call.payload
        await call.authorize(workerPoolId=payload["workerPoolId"], workerGroup=payload["workerGroup"], workerId=payload["workerId"])
        return await self._registration.reregister(payload)
