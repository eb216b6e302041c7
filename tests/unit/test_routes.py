"""From paths to methods."""

import pytest

from tcbox.api import Api, Call
from tcbox.api.routes import Routes


@pytest.fixture
def routes():
    api = Api("demo", title="Demo", description="For tests.")

    class Family:
        @api.get("/things/", name="list")
        async def list(self, call: Call):
            """List"""

        @api.get("/things/<name>", name="get")
        async def get(self, call: Call, name):
            """Get"""

        @api.put("/things/<name>", name="put")
        async def put(self, call: Call, name):
            """Put"""

        @api.post("/things/<name>/reset", name="reset")
        async def reset(self, call: Call, name):
            """Reset"""

        @api.get("/task/<taskId>/artifacts/<name>", name="artifact")
        async def artifact(self, call: Call, taskId, name):
            """Artifact"""

        @api.get("/task/<taskId>/artifacts", name="artifacts")
        async def artifacts(self, call: Call, taskId):
            """Artifacts"""

        @api.get("/buckets/<bucket>/<prefix>", name="bucket", empty=True)
        async def bucket(self, call: Call, bucket, prefix):
            """Bucket"""

        @api.get("/pools/<pool>/<group>", name="group", also="/pools/<pool>:/<group>")
        async def group(self, call: Call, pool, group):
            """Group"""

        @api.post("/pools/<pool>/<group>/stop", name="stop")
        async def stop(self, call: Call, pool, group):
            """Stop"""

    return Routes(list(api.methods.values()))


@pytest.mark.parametrize(
    ("verb", "path", "name", "params"),
    [
        ("get", "/things/", "list", {}),
        ("get", "/things/a", "get", {"name": "a"}),
        ("get", "/things/a%2Fb%20c", "get", {"name": "a/b c"}),
        ("get", "/things/a/b", "get", {"name": "a/b"}),
        ("post", "/things/a%2Fb/reset", "reset", {"name": "a/b"}),
        ("get", "/task/T/artifacts", "artifacts", {"taskId": "T"}),
        ("get", "/task/T/artifacts/public/logs/live.log", "artifact", {"taskId": "T", "name": "public/logs/live.log"}),
        ("get", "/task/T/artifacts/public%2Flogs%2Flive.log", "artifact", {"taskId": "T", "name": "public/logs/live.log"}),
        ("post", "/things/a/b/reset", "reset", {"name": "a/b"}),
        ("get", "/buckets/b/", "bucket", {"bucket": "b", "prefix": ""}),
        ("get", "/buckets/b/x/y", "bucket", {"bucket": "b", "prefix": "x/y"}),
        ("get", "/things/%E2%82%AC", "get", {"name": "€"}),
        ("get", "/things/100%25", "get", {"name": "100%"}),
        ("get", "/pools/a%2Fb/g", "group", {"pool": "a/b", "group": "g"}),
        ("get", "/pools/a%2Fb:/g", "group", {"pool": "a/b", "group": "g"}),
        ("post", "/pools/a:/g/stop", "stop", {"pool": "a:", "group": "g"}),
        ("get", "/things/a:", "get", {"name": "a:"}),
    ],
)
def test_found(routes, verb, path, name, params):
    """A path finds its method, with percent-encoded slashes inside a parameter and raw ones in the last."""
    match = routes.find(verb, path)
    assert match is not None
    assert (match.method.name, match.params) == (name, params)


@pytest.mark.parametrize(
    ("verb", "path"), [("delete", "/things/a"), ("get", "/nothing"), ("get", "/task/T"), ("post", "/things/a/b/reset/c"), ("get", "/task//artifacts")]
)
def test_not_found(routes, verb, path):
    """A path that no method answers finds none."""
    assert routes.find(verb, path) is None


def test_a_declaration_must_agree_with_its_signature():
    """A route whose parameters are not the coroutine's fails where it is declared."""
    api = Api("demo", title="Demo", description="For tests.")
    with pytest.raises(TypeError, match="make them agree"):

        @api.get("/things/<name>", name="get")
        async def get(self, call: Call, other):
            """Get"""

    with pytest.raises(TypeError, match="have other parameters"):

        @api.get("/things/<name>", name="get", also="/things/<other>:")
        async def get_also(self, call: Call, name):
            """Get"""


def test_every_declared_method_must_be_bound():
    """A service that declares a method and gives no object for it does not start."""
    api = Api("demo", title="Demo", description="For tests.")

    class Family:
        @api.get("/things/", name="list")
        async def list(self, call: Call):
            """List"""

    with pytest.raises(TypeError, match="no object was given for the methods list"):
        api.bind(object())
