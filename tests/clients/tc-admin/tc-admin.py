"""A project of tc-admin: what it manages stands in the file that DECLARED names, as tests/support/declared.py makes it."""

import json
import os

from tcadmin.appconfig import AppConfig
from tcadmin.resources import Binding, Client, Hook, Role, Secret, WorkerPool

appconfig = AppConfig()
with open(os.environ["DECLARED"]) as file:
    DECLARED = json.load(file)


@appconfig.generators.register
async def rights(resources):
    resources.manage("Role=.*")
    resources.manage("Client=project/.*")
    for role_id, role in DECLARED["roles"].items():
        resources.add(Role(roleId=role_id, **role))
    for client_id, client in DECLARED["clients"].items():
        resources.add(Client(clientId=client_id, **client))


@appconfig.generators.register
async def hooks(resources):
    resources.manage("Hook=.*")
    for name, hook in DECLARED["hooks"].items():
        group, _, hook_id = name.partition("/")
        bindings = [Binding(**binding) for binding in hook["bindings"]]
        resources.add(Hook(hookGroupId=group, hookId=hook_id, **{**hook, "bindings": bindings}))


@appconfig.generators.register
async def secrets(resources):
    resources.manage("Secret=project/.*")
    if appconfig.options.get("--with-secrets"):
        for name, secret in DECLARED["secrets"].items():
            resources.add(Secret(name=name, secret=secret))
    else:
        for name in DECLARED["secrets"]:
            resources.add(Secret(name=name))


@appconfig.generators.register
async def pools(resources):
    resources.manage("WorkerPool=.*")
    for name, pool in DECLARED["pools"].items():
        resources.add(WorkerPool(workerPoolId=name, **pool))
