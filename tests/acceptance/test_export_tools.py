"""Exports in the hands of the usual tools: kustomize builds the tree, kubeconform holds it against the newest versions of Kubernetes,
and Compose reads the project.
"""

from __future__ import annotations

import subprocess

import pytest
import yaml

from tcbox.export import tree
from tests.support import clients, export, kubernetes
from tests.support.box import clean_env
from tests.unit.test_export_compose import BESIDE
from tests.unit.test_export_kubernetes import ELSEWHERE, FULL

GATEWAY = export.changed(export__ingress=..., export__gateway={"name": "shared", "namespace": "infra", "listener": "https"})


@pytest.mark.parametrize("document", [export.WHOLE, FULL, GATEWAY], ids=["plain", "full", "gateway"])
def test_the_tree_builds_and_is_valid(tmp_path, document):
    """kustomize makes each manifest of the tree once, and kubeconform finds no fault in what it makes, for no version, in strict
    mode; a key that no version knows it does find.
    """
    files = export.tree(tmp_path, document)
    tree.write(tmp_path / "out", files)
    text = kubernetes.built(tmp_path / "out")
    built = list(yaml.load_all(text, yaml.CSafeLoader))
    named = [(each["kind"], each["metadata"]["name"]) for each in built]
    assert sorted(named) == sorted((each["kind"], each["metadata"]["name"]) for each in export.manifests(files))
    own = [each for each in built if each["kind"] not in ELSEWHERE]
    (tmp_path / "schemas").mkdir()
    schemas = kubernetes.lay(tmp_path / "schemas", {(each["kind"], each["apiVersion"]) for each in own})
    for version in kubernetes.NEWEST:
        said = kubernetes.conforms(text, version, schemas, without=ELSEWHERE)
        assert said == {"code": 0, "resources": [], "summary": {"valid": len(own), "invalid": 0, "errors": 0, "skipped": len(built) - len(own)}}
    broken = kubernetes.conforms(text.replace("minReplicas:", "leastReplicas:"), version, schemas, without=ELSEWHERE)
    assert broken["code"] != 0
    assert {each["kind"] for each in broken["resources"]} == {"HorizontalPodAutoscaler"}


@pytest.mark.parametrize("document", [export.WHOLE, BESIDE], ids=["elsewhere", "beside"])
def test_compose_takes_it(tmp_path, document):
    """The real Compose reads the file, fills in what .env says, and refuses to begin without."""
    files = export.tree(tmp_path, document, "compose")
    tree.write(tmp_path / "out", files)
    command = [clients.compose(), "--project-directory", tmp_path / "out", "config"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=clean_env())
    assert refused.returncode != 0
    assert "is missing in .env" in refused.stderr
    (tmp_path / "out" / ".env").write_text(files[".env.example"].replace("=\n", "=x\n"))
    read = yaml.safe_load(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=clean_env()).stdout)
    assert read["services"].keys() == yaml.safe_load(files["compose.yaml"])["services"].keys()
    assert read["services"]["queue"]["environment"]["TASKCLUSTER_ACCESS_TOKEN"] == "x"
