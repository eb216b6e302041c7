"""States of instances for tests: small ones, and any that hypothesis can think of."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tcbox.state.model import Binding, Client, Hook, Metadata, Role, Secret, State, WorkerPool

FAR = "2099-01-01T00:00:00.000Z"
TRAPS = (
    "on", "no", "Yes", "null", "~", "true", "0x1F", "0o17", "017", "1e3", "1_000", "12:30:45", "2020-01-01", "2020-01-01T00:00:00Z", ".inf", ".5", "-", "- a", "a: b",
    "a:", "a #b", "# a", "=", "<<", "!a", "&a", "*", "@a", "`a`", "%a", "'", '"', "\\", "---", "...", "[a]", "{a}", "|", ">", "?", " a", "a ", "", "\t", "a\tb", "\na",
    "a\n", "a\n\n", "\n", " a\nb", "\ta\nb", "a \nb", "a\n  b\nc", "a\r\nb", "a\x85b", "a\u2028b", "\ufeffa", "\x7f", "\x00", "é", "\U0001f600", "x" * 1100, "a\n# b", "1",
)  # fmt: skip
"""Texts, and keys, that a reader of YAML may take for something else."""

texts = st.one_of(st.sampled_from(TRAPS), st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.text(" \t\n#:-'\"ab", max_size=8))
numbers = st.one_of(st.integers(), st.sampled_from([2**53 + 1, 2**70, -0.0, 1.0, 1e16, 1e-7, 1.5e300]), st.floats(allow_nan=False, allow_infinity=False))
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(texts, below, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=4)
scopes = st.lists(st.text("abc:*<.>/ -'", min_size=1, max_size=8), max_size=4, unique=True).map(lambda found: tuple(sorted(found)))

roles = st.builds(Role, description=texts, scopes=scopes)
clients = st.builds(Client, description=texts, expires=st.just(FAR), deleteOnExpiration=st.booleans(), disabled=st.booleans(), scopes=scopes)
bindings = st.builds(Binding, exchange=texts, routingKeyPattern=texts)
metadata = st.builds(Metadata, name=texts, description=texts, owner=texts, emailOnError=st.booleans())
hooks = st.builds(
    Hook,
    metadata=metadata,
    schedule=st.lists(texts, max_size=2).map(tuple),
    bindings=st.lists(bindings, max_size=2).map(tuple),
    task=objects,
    triggerSchema=objects,
)
pools = st.builds(WorkerPool, description=texts, owner=texts, emailOnError=st.booleans(), providerId=st.sampled_from(["static", "aws-main"]), config=objects)
secrets = st.builds(Secret, expires=st.just(FAR), secret=objects)


def named(kind: st.SearchStrategy[Any], *names: str) -> st.SearchStrategy[Any]:
    """Nothing said of a kind, or a few things by name."""
    return st.one_of(st.none(), st.dictionaries(st.sampled_from(names), kind, max_size=2))


states = st.builds(
    State, prefixes=st.sampled_from([(), ("p", "q:")]), providers=st.just({}), roles=named(roles, "anonymous", "on", "a: b", "project:*", "'"),
    clients=named(clients, "project/x", "1e3", "github/1|a"), hooks=named(hooks, "a/b", "1/2", "project-x/a/b"), workerPools=named(pools, "p/a", "p/b-1"),
    secrets=named(secrets, "null", "a/b c", "é"),
)  # fmt: skip


def hook(**changes: Any) -> Hook:
    """A hook as most are."""
    about = Metadata(name="nightly", description="Runs at night.", owner="ci@company.example")
    return Hook(**{"metadata": about, "schedule": ("0 0 4 * * *",), "task": {"payload": {}}, **changes})


def pool(**changes: Any) -> WorkerPool:
    """A worker pool as most are."""
    config = {"minCapacity": 2, "maxCapacity": 5, "launchConfigs": [{"region": "a", "launchConfig": {"ImageId": "ami-1"}}]}
    return WorkerPool(**{"owner": "ci@company.example", "providerId": "aws-main", "config": config, **changes})


def of(declared: dict[str, dict[str, Any]]) -> State:
    """What tests/support/declared.py made, as a state."""

    def hook_of(entry: dict[str, Any]) -> Hook:
        about = Metadata(**{key: entry[key] for key in ("name", "description", "owner", "emailOnError")})
        bound = tuple(Binding(**each) for each in entry["bindings"])
        return Hook(metadata=about, schedule=tuple(entry["schedule"]), bindings=bound, task=entry["task"], triggerSchema=entry["triggerSchema"])

    return State(
        providers={f"{kind}-main": kind for kind in ("aws", "azure", "google")},
        roles={name: Role(description=each["description"], scopes=tuple(each["scopes"])) for name, each in declared["roles"].items()},
        clients={name: Client(description=each["description"], scopes=tuple(each["scopes"]), expires=FAR) for name, each in declared["clients"].items()},
        hooks={name: hook_of(each) for name, each in declared["hooks"].items()},
        workerPools={name: WorkerPool(**each) for name, each in declared["pools"].items()},
        secrets={name: Secret(expires=FAR, secret=each) for name, each in declared["secrets"].items()},
    )
