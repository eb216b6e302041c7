"""The Kustomize tree: valid for the newest versions of Kubernetes, hardened, and changed no further than what changed it."""

import difflib
import re
from pathlib import Path

import pytest
import yaml

from tcbox.export import rolls
from tests.support import export, kubernetes

ELSEWHERE = ("HTTPRoute", "ServiceMonitor", "ExternalSecret")
"""Kinds that Kubernetes itself does not have."""
FULL = export.changed(
    export__service_monitors=True, export__secret_store__name="vault", export__network__sources=["ingress-nginx", "monitoring"],
    export__pull_secrets=["registry"], export__services__queue__account={"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/tc"},
    export__ingress__annotations={"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """The tree of a configuration that has all an export needs."""
    return export.tree(tmp_path)


@pytest.mark.parametrize("version", kubernetes.NEWEST)
@pytest.mark.parametrize("document", [export.WHOLE, FULL], ids=["plain", "full"])
def test_manifests_are_valid(tmp_path, document, version):
    """Each manifest fits the schema of its kind, with no key that the version does not know."""
    found = [each for each in export.manifests(export.tree(tmp_path, document)) if each["kind"] not in ELSEWHERE]
    assert [fault for manifest in found for fault in kubernetes.faults(manifest, version)] == []
    broken = {**found[-1], "spec": {**found[-1]["spec"], "replicaz": 1}}
    assert kubernetes.faults(broken, version) != []


def test_each_service_has_its_objects(files):
    """A service has its processes, a Service, budgets, an autoscaler, an account, policies and a migration."""
    kinds = [
        (each["kind"], each["metadata"]["name"]) for each in export.manifests(files) if each["metadata"]["labels"].get("app.kubernetes.io/name") == "queue"
    ]
    names = {kind: sorted(re.sub(r"-[0-9a-f]{10}$", "", name) for other, name in kinds if other == kind) for kind, _ in kinds}
    assert names == {
        "ServiceAccount": ["tcbox-queue"],
        "HorizontalPodAutoscaler": ["tcbox-queue"],
        "ConfigMap": ["tcbox-queue", "tcbox-queue-migration"],
        "Deployment": ["tcbox-queue", "tcbox-queue-loops"],
        "PodDisruptionBudget": ["tcbox-queue", "tcbox-queue-loops"],
        "Job": ["tcbox-queue-migrate"],
        "NetworkPolicy": ["tcbox-queue", "tcbox-queue-api-requests"],
        "Service": ["tcbox-queue"],
    }


def pods(files):
    """Every pod's inside with the name of what makes it."""
    for manifest in export.manifests(files):
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["metadata"]["name"], manifest["spec"]["template"]


def test_no_pod_has_rights(tmp_path):
    """No pod runs as root, writes to its image, gains privileges or reaches the cluster's API; each has bounds on memory."""
    for name, template in pods(export.tree(tmp_path, FULL)):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert set(container["resources"]) == {"requests", "limits"}, name
            assert container["resources"]["limits"].keys() == {"memory"}


def test_what_a_pod_mounts_is_there(files):
    """Each mount has its volume, each ConfigMap and account that a pod names is in the tree, each selector finds its pods."""
    there = {(each["kind"], each["metadata"]["name"]) for each in export.manifests(files)}
    for name, template in pods(files):
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        for container in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys(), name
        assert {("ConfigMap", each["configMap"]["name"]) for each in volumes.values() if "configMap" in each} <= there
        assert ("ServiceAccount", template["spec"]["serviceAccountName"]) in there
    labels = [template["metadata"]["labels"] for _, template in pods(files)]
    for manifest in export.manifests(files):
        selector = manifest.get("spec", {}).get("selector") or {}
        wanted = selector.get("matchLabels", selector if manifest["kind"] == "Service" else {})
        assert any(wanted.items() <= each.items() for each in labels), manifest["metadata"]["name"]


def test_no_secret_is_in_the_tree(tmp_path, monkeypatch):
    """Neither values of variables nor contents of files get in, whatever is set where the export runs."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "sealing.key").write_text("hunter2")
    for name in ("DB_PASSWORD", "S3_SECRET", "CI_TOKEN", "AMQP_PASSWORD", "SLACK_TOKEN"):
        monkeypatch.setenv(name, "hunter2")
    for target in ("k8s", "compose", "helm-values"):
        files = export.tree(tmp_path, FULL, target)
        assert "hunter2" not in "".join(files.values())
        assert str(tmp_path) not in "".join(files.values()) or target == "compose"  # where compose finds the files of the host
    assert not [each for each in export.manifests(export.tree(tmp_path, FULL)) if each["kind"] == "Secret"]


def test_secrets_of_a_store(tmp_path):
    """With a store, each service's Secret is made of the entries that it needs; tokens are each their own."""
    files = export.tree(tmp_path, FULL)
    data = export.one(files, "ExternalSecret", "tcbox-queue")["spec"]["data"]
    assert {item["secretKey"]: item["remoteRef"]["key"] for item in data} == {
        "AMQP_PASSWORD": "tcbox/AMQP_PASSWORD",
        "DB_PASSWORD": "tcbox/DB_PASSWORD",
        "S3_SECRET": "tcbox/S3_SECRET",
        "TASKCLUSTER_ACCESS_TOKEN": "tcbox/queue/TASKCLUSTER_ACCESS_TOKEN",
    }


def test_a_release_waits_for_its_schema(files):
    """A migration runs with the database alone; pods of the same release wait for it in their first container."""
    (job,) = [each for each in export.manifests(files) if each["kind"] == "Job" and each["metadata"]["name"].startswith("tcbox-queue-")]
    run = job["spec"]["template"]["spec"]["containers"][0]
    assert run["args"][:2] == ["migrate", "queue"]
    assert [each["name"] for each in run["env"]] == ["DB_PASSWORD"]
    pod = export.one(files, "Deployment", "tcbox-queue")["spec"]["template"]["spec"]
    wait = pod["initContainers"][0]
    assert (wait["args"][:2], wait["args"][-1]) == (["migrate", "queue"], "--wait")
    assert wait["image"] == run["image"] == pod["containers"][0]["image"]
    assert export.one(files, "Deployment", "tcbox-queue")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_pod_has_time_to_drain(tmp_path):
    """Kubernetes waits longer than the process takes to finish what it does."""
    files = export.tree(tmp_path, export.changed(shutdown__drain_seconds=40))
    pod = export.one(files, "Deployment", "tcbox-queue")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > 80
    assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_how_requests_come_in(tmp_path):
    """Each service has its path, the rest leads to one of them; by an Ingress, or by a route of a Gateway."""
    rule = export.one(export.tree(tmp_path), "Ingress", "tcbox")["spec"]["rules"][0]
    paths = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert rule["host"] == "tc.example.com"
    assert paths["/api/queue"] == "tcbox-queue"
    assert list(paths)[-1] == "/"
    files = export.tree(tmp_path, export.changed(export__ingress=..., export__gateway={"name": "shared", "namespace": "infra", "listener": "https"}))
    route = export.one(files, "HTTPRoute", "tcbox")
    assert route["spec"]["parentRefs"] == [{"name": "shared", "namespace": "infra", "sectionName": "https"}]
    hidden, *rules = route["spec"]["rules"]
    assert hidden == {"matches": [{"path": {"type": "PathPrefix", "value": "/metrics"}}]}, "a rule that leads nowhere"
    assert {each["matches"][0]["path"]["value"]: each["backendRefs"][0]["name"] for each in rules} == paths
    assert "ingress.yaml" not in files


def test_who_may_call_whom(tmp_path):
    """Requests come from the namespaces that are named, loops are scraped alone, and nothing asks the machine for credentials."""
    files = export.tree(tmp_path, FULL)
    api = export.one(files, "NetworkPolicy", "tcbox-queue-api-requests")["spec"]["ingress"][0]["from"]
    named = [each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in api if "namespaceSelector" in each]
    assert named == ["ingress-nginx", "monitoring"]
    assert len(export.one(files, "NetworkPolicy", "tcbox-queue-loops-requests")["spec"]["ingress"][0]["from"]) == 2
    blocks = [each for rule in export.one(files, "NetworkPolicy", "tcbox-queue")["spec"]["egress"] for each in rule.get("to", []) if "ipBlock" in each]
    assert [block["ipBlock"]["except"] for block in blocks] == [["169.254.0.0/16"], ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]]
    by_machine = export.tree(tmp_path, export.changed(blobs={"url": "s3://tc-artifacts/prod"}))
    assert "169.254.0.0/16" in yaml.safe_dump(export.one(by_machine, "NetworkPolicy", "tcbox-queue")["spec"]["egress"][-1])
    assert "except" in yaml.safe_dump(export.one(by_machine, "NetworkPolicy", "tcbox-index")["spec"])


@pytest.mark.parametrize("document", [export.WHOLE, FULL], ids=["open", "closed"])
def test_services_reach_each_other(tmp_path, document):
    """Where a process finds another there is a Service; its pods let the other pods in at their port, and those may call them there."""
    files = export.tree(tmp_path, document)
    configs = [each for each in export.manifests(files) if each["kind"] == "ConfigMap" and "migration" not in each["metadata"]["name"]]
    assert len(configs) == 11
    pods_alone = {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "tcbox", "app.kubernetes.io/part-of": "taskcluster"}}}
    for each in configs:
        caller = each["metadata"]["labels"]["app.kubernetes.io/name"]
        urls = yaml.safe_load(each["data"]["tcbox.yml"])["serve"]["urls"]
        outward = export.one(files, "NetworkPolicy", f"tcbox-{caller}")["spec"]["egress"]
        assert {"to": [pods_alone], "ports": [{"port": 8080, "protocol": "TCP"}]} in outward
        anywhere = [port["port"] for rule in outward if any("ipBlock" in each for each in rule.get("to", [])) for port in rule["ports"]]
        assert 443 in anywhere and 80 not in anywhere
        for name, url in urls.items():
            service = export.one(files, "Service", url.removeprefix("http://"))["spec"]
            assert (service["ports"][0]["port"], service["selector"]["app.kubernetes.io/name"]) == (80, name)
            inward = export.one(files, "NetworkPolicy", f"tcbox-{name}-api-requests")["spec"]["ingress"][0]
            assert inward["ports"] == [{"port": 8080, "protocol": "TCP"}]
            assert pods_alone in inward.get("from", [pods_alone])


def test_the_same_settings_give_the_same_bytes(tmp_path):
    """The order of keys in tcbox.yml, its comments and its place do not matter."""
    again = tmp_path / "elsewhere"
    again.mkdir()
    upside_down = dict(reversed(export.changed().items()))
    upside_down["services"] = dict(reversed(upside_down["services"].items()))
    assert export.tree(again, upside_down) == export.tree(tmp_path)
    assert all(text.endswith("\n") and "\t" not in text for text in export.tree(tmp_path).values())


@pytest.mark.parametrize(
    ("change", "service", "rolled"),
    [
        ({"services__secrets__version": "1.2.1"}, "secrets", {"tcbox-secrets"}),
        ({"services__queue__claim_timeout": 600}, "queue", {"tcbox-queue", "tcbox-queue-loops"}),
        ({"services__notify__slack__access_token": "${env:OTHER}"}, "notify", {"tcbox-notify", "tcbox-notify-loops"}),
        ({"export__services__index__memory": "1Gi", "export__services__index__memory_limit": "2Gi"}, "index", {"tcbox-index", "tcbox-index-loops"}),
        ({"export__services__queue__most_replicas": 40}, "queue", set()),
    ],
)
def test_a_change_of_one_service_touches_it_alone(tmp_path, change, service, rolled):
    """Another release or setting of a service changes files in its folder alone, and starts its pods alone anew."""
    before, after = export.tree(tmp_path), export.tree(tmp_path, export.changed(**change))
    assert {path.rpartition("/")[0] for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == {f"services/{service}"}
    templates = [{name: template for name, template in pods(files) if "migrate" not in name} for files in (before, after)]
    assert {name for name in templates[0] if templates[0][name] != templates[1][name]} == rolled
    told = rolls.changes(before, after)
    assert {change.what.removeprefix("Deployment ") for change in told if change.does == "rolls"} == rolled


def test_why_it_rolls(tmp_path):
    """It is told what differs: the image, or the setting, with the old value and the new one."""
    before = export.tree(tmp_path)
    after = export.tree(tmp_path, export.changed(services__secrets__version="1.2.1", services__queue__claim_timeout=600))
    told = {change.what: change for change in rolls.changes(before, after)}
    assert told["Deployment tcbox-queue"].why == ("services.queue.claim_timeout: 900 -> 600",)
    back = rolls.changes(before, export.tree(tmp_path, export.changed(services__queue__claim_timeout=...)))
    assert back[0].why == ("services.queue.claim_timeout: 900 -> 1200 (default)",)
    assert told["Deployment tcbox-secrets"].why == ("spec.containers.tcbox.image: registry.example.com/tcbox:1.2.0 -> registry.example.com/tcbox:1.2.1",)
    (run,) = [change for change in told.values() if change.does == "runs"]
    assert run.what.startswith("Job tcbox-secrets-migrate-")
    assert len(told) == 4
    assert rolls.changes(before, before) == []


@pytest.mark.parametrize(
    ("page", "change"),
    [
        ("docs/export.md", {"services__secrets__version": "1.2.1", "services__queue__claim_timeout": 600}),
        ("README.md", {"services__secrets__version": "1.2.1"}),
    ],
)
def test_the_pages_show_what_is_said(tmp_path, page, change):
    """The examples are what the command says, and what version control shows, marks of contents aside."""
    before, after = (export.tree(tmp_path, export.changed(**{"services__queue__claim_timeout": ..., **each})) for each in ({}, change))
    text = (Path(__file__).resolve().parents[2] / page).read_text()
    said, shown = "\n".join(map(str, rolls.changes(before, after))), text.partition("$ tcbox export --diff deploy\n")[2].partition("```")[0].strip()
    assert re.sub(r"-[0-9a-f]{10}\b", "", said) == re.sub(r"-[0-9a-f]{10}\b", "", shown)
    lines = [line for path in sorted(before) if before[path] != after.get(path) for line in _difference(path, before[path], after[path])]
    for line in text.partition("```diff\n")[2].partition("```")[0].splitlines():
        assert re.sub(r"-[0-9a-f]{10}\b", "", line) in lines


def _difference(path, before, after):
    """What version control shows of a file, without marks of contents."""
    told = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{path}", f"b/{path}", lineterm="")
    return [re.sub(r"-[0-9a-f]{10}\b", "", line) for line in told]


def test_what_starts_and_ends(tmp_path):
    """A service that is switched off ends, and those that read which are off are started anew."""
    told = rolls.changes(export.tree(tmp_path), export.tree(tmp_path, export.changed(services__index__enabled=False)))
    assert {change.does for change in told if "tcbox-index" in change.what} == {"ends"}
    assert ("rolls", "Deployment tcbox-queue") in {(change.does, change.what) for change in told}


def test_an_autoscaler_is_not_overruled(tmp_path):
    """Where an autoscaler says how many there are, the Deployment does not; without one it does."""
    files = export.tree(tmp_path, export.changed(export__services__index__most_replicas=2))
    assert "replicas" not in export.one(files, "Deployment", "tcbox-queue")["spec"]
    assert export.one(files, "Deployment", "tcbox-index")["spec"]["replicas"] == 2
    assert "services/index/autoscaling.yaml" not in files
