"""An instance whose services have all that they call: clouds, GitHub, Sentry, mail, Matrix and Slack, simulated in this process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.simulators import tokens
from tests.simulators.gcp_iam import GcpIam
from tests.simulators.github_api import GithubApi, Repository
from tests.simulators.github_app import GithubApp
from tests.simulators.sentry import Sentry
from tests.simulators.serving import apart
from tests.support.messengers import Messengers

HOOK_SECRET = "a-webhook-secret"
CONFIG = """
workers: {{docker: {{enabled: false}}, host: {{enabled: false}}, builtin: {{enabled: false}}}}
providers: {{aws-main: {{type: aws}}, azure-main: {{type: azure}}, google-main: {{type: google}}}}
services:
  auth:
    websocktunnel_secret: shared
    aws_s3: {{access_key_id: AKIAEXAMPLE, secret_access_key: secret, buckets: [bucket-one], endpoint: "{aws}"}}
    gcp: {{project_id: proj, credentials: "${{file:{folder}/gcp.json}}", service_accounts: [worker@p.example], endpoint: "{gcp}"}}
    sentry: {{url: "{sentry}", auth_token: token, organization: org, team: team}}
    github: {{endpoint: "{app}", apps: {{app: {{app_id: "12345", private_key: "${{file:{folder}/key.pem}}"}}}}}}
  github:
    app_id: "4711"
    private_key: "${{file:{folder}/key.pem}}"
    webhook_secrets: [{secret}]
    endpoint: "{hub}"
    status_context: Our CI
"""


@dataclass(frozen=True)
class Vendors:
    """What is there: the settings that name it, GitHub with a repository on it, and where notifications go."""

    config: str
    hub: GithubApi
    repo: Repository
    messengers: Messengers


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Vendors]:
    """All of them, with their keys in a folder."""
    from moto.server import ThreadedMotoServer

    pem, public = tokens.key_pair()
    (folder / "key.pem").write_text(pem)
    app, iam, hub = GithubApp("12345", public), GcpIam("creator@p.example", public, {"worker@p.example"}), GithubApi("4711", public)
    app.orgs, app.repositories = {"org": 1}, {1: {"bar"}}
    (repo,) = hub.install("octo", 5808, "hello")
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    with contextlib.ExitStack() as stack:
        stack.callback(moto.stop)
        messengers = Messengers(stack, folder)
        host, port = moto.get_host_and_port()
        iam.url = stack.enter_context(apart(iam.app))
        (folder / "gcp.json").write_text(json.dumps({"client_email": iam.email, "private_key": pem, "token_uri": f"{iam.url}/token"}))
        config = CONFIG.format(
            folder=folder, aws=f"http://{host}:{port}", gcp=iam.url, secret=HOOK_SECRET, sentry=stack.enter_context(apart(Sentry("token", "org", "team").app)),
            app=stack.enter_context(apart(app.app)), hub=stack.enter_context(apart(hub.app)),
        )  # fmt: skip
        yield Vendors(config + messengers.config.partition("services:\n")[2], hub, repo, messengers)
