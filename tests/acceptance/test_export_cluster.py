"""A real API server of Kubernetes takes the tree: run where `kube-apiserver`, `etcd` and `kubectl` are on the PATH.

No registry has the API server as a program; it builds from its Go module in some minutes. Without it the schemas of the kinds
speak for it (tests/unit/test_export_kubernetes.py).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest
import yaml

from tcbox.export import plan, tree
from tcbox.export.kubernetes import secrets
from tcbox.export.kubernetes.names import Names
from tests.support import export, ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, ("kube-apiserver", "etcd", "kubectl"))), reason="needs kube-apiserver, etcd and kubectl"),
]


@pytest.fixture
def kubectl(tmp_path):
    """Run kubectl against an API server of the test's own."""
    etcd, peers, api = ports.free(3)
    (tmp_path / "tokens.csv").write_text('token,admin,1,"system:masters"\n')
    subprocess.run(["openssl", "genrsa", "-out", tmp_path / "sa.key", "2048"], check=True, capture_output=True)
    user = {"name": "t", "user": {"token": "token"}}
    cluster = {"name": "t", "cluster": {"server": f"https://127.0.0.1:{api}", "insecure-skip-tls-verify": True}}
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [user], "current-context": "t"}
    config["contexts"] = [{"name": "t", "context": {"cluster": "t", "user": "t"}}]
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    here, there = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
    commands = [
        ["etcd", "--data-dir", tmp_path / "etcd", "--listen-client-urls", here, "--advertise-client-urls", here, "--listen-peer-urls", there,
            "--initial-advertise-peer-urls", there, "--initial-cluster", f"default={there}"],
        ["kube-apiserver", "--etcd-servers", here, "--bind-address", "127.0.0.1", "--advertise-address", "192.0.2.1", "--secure-port", str(api),
            "--cert-dir", tmp_path / "certs", "--service-cluster-ip-range", "10.0.0.0/24", "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", tmp_path / "sa.key", "--service-account-signing-key-file", tmp_path / "sa.key",
            "--token-auth-file", tmp_path / "tokens.csv", "--authorization-mode", "AlwaysAllow", "--disable-admission-plugins", "ServiceAccount"],
    ]  # fmt: skip
    servers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]

    def run(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--kubeconfig", tmp_path / "kubeconfig", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=check)

    try:
        until = time.monotonic() + 120
        while run("get", "--raw", "/readyz", check=False).returncode:
            assert time.monotonic() < until, "the API server does not come up"
            time.sleep(1)
        yield run
    finally:
        for server in reversed(servers):
            server.terminate()
            server.wait(30)


def test_a_cluster_takes_the_tree(kubectl, tmp_path):
    """Everything is taken without a warning, every pod is admitted where the strictest standard is enforced, and another
    release of one service gives its Deployment alone another generation.
    """
    out = tmp_path / "out"
    files = export.tree(tmp_path)
    tree.write(out, files)
    assert kubectl("apply", "--server-side", "-k", out).stderr == ""
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": each["metadata"]["name"], "namespace": "taskcluster"},
            "spec": each["spec"]["template"]["spec"],
        }
        for each in export.manifests(files)
        if each["kind"] in ("Deployment", "Job")
    ]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump_all(pods))
    assert kubectl("apply", "--server-side", "--dry-run=server", "-f", tmp_path / "pods.yaml").stderr == ""

    def generations() -> dict[str, int]:
        found = json.loads(kubectl("-n", "taskcluster", "get", "deployments", "-o", "json").stdout)
        return {each["metadata"]["name"]: each["metadata"]["generation"] for each in found["items"]}

    before = generations()
    tree.write(out, export.tree(tmp_path, export.changed(services__secrets__version="1.2.1")))
    kubectl("apply", "--server-side", "-k", out)
    after = generations()
    assert {name for name in after if after[name] != before[name]} == {"tcbox-secrets"}
    assert len(after) > 8


def test_what_is_no_longer_needed_goes(kubectl, tmp_path):
    """Applied with --prune, settings of before go, and the Secrets, which are not of the tree, stay."""
    out = tmp_path / "out"
    tree.write(out, export.tree(tmp_path))
    kubectl("apply", "-k", out)
    made = plan.make(export.read(tmp_path, export.WHOLE))
    secret = secrets.secret(Names("tcbox", "taskcluster"), made.services[0], {"A": "b"})
    (tmp_path / "secret.yaml").write_text(yaml.safe_dump(secret))
    kubectl("apply", "-f", tmp_path / "secret.yaml")
    names = kubectl("-n", "taskcluster", "get", "configmaps,jobs,secrets", "-o", "name").stdout.split()
    tree.write(out, export.tree(tmp_path, export.changed(services__queue__claim_timeout=600)))
    kubectl("apply", "-k", out, "--prune", "-l", "app.kubernetes.io/managed-by=tcbox-export")
    left = kubectl("-n", "taskcluster", "get", "configmaps,jobs,secrets", "-o", "name").stdout.split()
    assert [name.rpartition("-")[0] for name in set(names) - set(left)] == ["configmap/tcbox-queue"]
    assert "secret/tcbox-auth" in left
