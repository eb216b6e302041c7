"""One host: a Compose file that Compose itself takes, its proxy, and the servers beside it by choice."""

import re

import pytest
import yaml

from tcbox.export import rolls
from tests.support import export

BESIDE = export.changed(
    root_url="http://tc.example.com", database="postgresql://tcbox:${env:DB_PASSWORD}@postgres/tcbox", events="amqp://tc:${env:AMQP_PASSWORD}@rabbitmq/%2Ftc",
    blobs={"url": "s3://artifacts/x", "endpoint": "http://tc.example.com:9001", "access_key_id": "AKIA", "secret_access_key": "${env:S3_SECRET}"},
    export__compose={"postgres": True, "rabbitmq": True, "s3": True, "port": 8000},
)  # fmt: skip


def services(files):
    return yaml.safe_load(files["compose.yaml"])["services"]


@pytest.fixture
def beside(tmp_path):
    """The services of an export with all servers on the same host."""
    return services(export.tree(tmp_path, BESIDE, "compose"))


def test_each_service_waits_for_its_migration(tmp_path):
    """A migration is done with the database alone before its service starts; both are of the same release."""
    made = services(export.tree(tmp_path, export.changed(services__queue__version="9.9"), "compose"))
    assert made["queue"]["depends_on"]["queue-migration"] == {"condition": "service_completed_successfully"}
    assert made["queue-migration"]["environment"].keys() == {"DB_PASSWORD"}
    assert {made[name]["image"] for name in ("queue", "queue-migration")} == {"registry.example.com/tcbox:9.9"}
    assert made["index"]["image"] == "registry.example.com/tcbox:1.2.0"


def test_no_container_has_rights(tmp_path):
    """Services run as a user of their own, cannot write to their image and cannot gain privileges."""
    made = services(export.tree(tmp_path, target="compose"))
    for name, service in made.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "proxy" or service["user"] == "10001:10001"


def test_secrets_come_from_the_file_env(tmp_path):
    """Each variable is filled in from .env, tokens under names of their own, and .env.example names all of them."""
    files = export.tree(tmp_path, target="compose")
    made = services(files)
    assert made["queue"]["environment"]["TASKCLUSTER_ACCESS_TOKEN"] == "${TCBOX_QUEUE_TOKEN:?is missing in .env}"
    asked = {name for text in files.values() for name in re.findall(r"\$\{(\w+):\?", text)}
    assert asked == {line.removesuffix("=") for line in files[".env.example"].splitlines() if line.endswith("=")}
    assert files[".gitignore"].endswith("\n.env\n")
    source = made["secrets"]["secrets"][0]["source"]
    assert yaml.safe_load(files["compose.yaml"])["secrets"][source]["file"] == str(tmp_path / "keys" / "sealing.key")


def test_servers_beside_the_services(beside):
    """PostgreSQL, RabbitMQ and the S3 server are made with what the URLs say, and the services wait for them."""
    assert beside["postgres"]["environment"] == {
        "POSTGRES_USER": "tcbox", "POSTGRES_PASSWORD": "${DB_PASSWORD:?is missing in .env}", "POSTGRES_DB": "tcbox",
    }  # fmt: skip
    assert beside["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_USER"] == "tc"
    assert beside["rabbitmq"]["environment"]["RABBITMQ_DEFAULT_VHOST"] == "/tc"
    assert beside["s3-bucket"]["entrypoint"] == ["mkdir", "-p", "/data/artifacts"]
    assert (beside["s3"]["ports"], beside["s3"]["environment"]["ROOT_ACCESS_KEY"]) == (["9001:9000"], "AKIA")
    assert beside["queue-migration"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert set(beside["queue"]["depends_on"]) == {"queue-migration", "rabbitmq", "s3"}


def test_servers_elsewhere(tmp_path):
    """Without a choice none of them is there."""
    assert not {"postgres", "rabbitmq", "s3"} & services(export.tree(tmp_path, target="compose")).keys()


def test_the_proxy_knows_each_path(tmp_path):
    """Each service has its path, the rest leads to one of them, and what is for this host alone leads nowhere."""
    text = export.tree(tmp_path, BESIDE, "compose")["proxy/nginx.conf"]
    routes = dict(re.findall(r"location (\S+) \{\n\s+set \$to http://([a-z-]+):8080;", text))
    assert routes["/api/purge-cache/"] == "purge-cache"
    assert "/" in routes
    assert "location /metrics { return 404; }" in text
    assert "X-Forwarded-Proto http;" in text


def test_a_change_of_one_service_touches_it_alone(tmp_path):
    """Another setting changes its file and its container, another release its image; Compose leaves the others running."""
    before = export.tree(tmp_path, target="compose")
    after = export.tree(tmp_path, export.changed(services__queue__claim_timeout=600, services__secrets__version="1.2.1"), "compose")
    assert {path for path in before if before[path] != after[path]} == {"compose.yaml", "settings/queue.yml"}
    one, other = services(before), services(after)
    assert {name for name in one if one[name] != other[name]} == {"queue", "secrets", "secrets-migration"}
    told = {change.what: change.why for change in rolls.changes(before, after)}
    assert told["service queue"] == ("settings.services.queue.claim_timeout: 900 -> 600",)
    assert told["service secrets"] == ("image: registry.example.com/tcbox:1.2.0 -> registry.example.com/tcbox:1.2.1",)
