"""Made-up events, and events of files."""

import json

import pytest

from tcbox.api.schemas import SchemaSet
from tcbox.run import cron, event
from tcbox.run.faults import CannotRun, WrongUsage
from tcbox.run.leading import Lead
from tcbox.run.project import ZEROS, Project, login, names
from tests.support.projects import PROJECTS

COMMIT, HEAD, BEFORE, BASE = "c" * 40, "a" * 40, "b" * 40, "d" * 40
WHEN = "2026-01-31T12:00:00Z"
SCHEMAS = {
    event.PUSH: "push",
    event.TAG: "push",
    event.PULL_REQUEST: "pull-request",
    event.RELEASE: "release",
    event.COMMENT: "issue-comment",
}


@pytest.fixture
def project(tmp_path):
    """A repository of octo/demo, on a branch."""
    return Project(
        root=tmp_path,
        owner="octo",
        name="demo",
        branch="topic/x",
        default_branch="main",
        head=HEAD,
        before=BEFORE,
        base=BASE,
        author="Octo Dev",
        email="dev@example.com",
        login="octo-dev",
        message="Change it\n\nFor a reason.",
        tag="v1.2",
    )


@pytest.fixture(scope="module")
def schemas():
    """The schemas by which the github service takes webhooks."""
    return SchemaSet.load({"github": PROJECTS.parents[1] / "services" / "github" / "schemas"})


def fits(schemas, made):
    return schemas.validator("github", f"webhook-{SCHEMAS[made.kind]}-payload").check(made.body)


@pytest.mark.parametrize("kind", [kind for kind in event.KINDS if kind != event.CRON])
def test_made_events_are_events(kind, project, schemas):
    """An event of each kind fits the schema of GitHub's webhooks, is JSON, and is of the repository."""
    made = event.make(kind, project, COMMIT, dirty=True, when=WHEN)
    assert fits(schemas, made) == []
    assert made.body["repository"]["full_name"] == "octo/demo"
    assert made.body["repository"]["html_url"] == "https://github.com/octo/demo"
    assert made.body["sender"]["login"] == "octo-dev"
    assert "refs/heads/topic/x" in made.refs
    json.dumps(made.body)


def test_push(project):
    """A push says the commit that is run, and what was there before it: what is checked out when that lies below."""
    dirty = event.make(event.PUSH, project, COMMIT, dirty=True, when=WHEN).body
    assert (dirty["ref"], dirty["before"], dirty["after"]) == ("refs/heads/topic/x", HEAD, COMMIT)
    assert dirty["head_commit"]["id"] == COMMIT
    assert dirty["head_commit"]["message"].startswith("Change it")
    clean = event.make(event.PUSH, project, HEAD, dirty=False, when=WHEN).body
    assert (clean["before"], clean["after"]) == (BEFORE, HEAD)


def test_tag_release_pull_request(project):
    """A tag and a release are of the newest tag, a pull request is of the branch into the default one; each can be fetched."""
    tag = event.make(event.TAG, project, COMMIT, dirty=False, when=WHEN)
    assert (tag.tasks_for, tag.action, tag.body["ref"], tag.body["before"]) == ("github-push", None, "refs/tags/v1.2", ZEROS)
    release = event.make(event.RELEASE, project, COMMIT, dirty=False, when=WHEN)
    assert (release.tasks_for, release.action, release.body["release"]["tag_name"]) == ("github-release", "published", "v1.2")
    assert "refs/tags/v1.2" in release.refs
    pull = event.make(event.PULL_REQUEST, project, COMMIT, dirty=False, when=WHEN)
    ends = {side: (pull.body["pull_request"][side]["ref"], pull.body["pull_request"][side]["sha"]) for side in ("head", "base")}
    assert (pull.tasks_for, pull.action) == ("github-pull-request", "opened")
    assert ends == {"head": ("topic/x", COMMIT), "base": ("main", BASE)}
    assert pull.body["pull_request"]["title"] == "Change it"
    assert "refs/pull/1/head" in pull.refs


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ({"ref": "refs/heads/other", "after": "f" * 40, "repository": {"full_name": "acme/it"}}, event.PUSH, {"ref": "refs/heads/other", "after": COMMIT}),
        ({"ref": "refs/tags/v9", "created": True}, event.TAG, {"ref": "refs/tags/v9", "after": COMMIT, "created": True}),
        ({"action": "synchronize", "number": 7, "pull_request": {"number": 7, "head": {"ref": "theirs"}}}, event.PULL_REQUEST, {"action": "synchronize"}),
        ({"action": "created", "release": {"tag_name": "v3"}}, event.RELEASE, {"action": "created"}),
        ({"action": "created", "comment": {"body": "/taskcluster try"}, "issue": {"number": 3}}, event.COMMENT, {"action": "created"}),
    ],
)
def test_files(given, kind, expected, project, schemas):
    """A file's values win, what it leaves out is made up, and the commit is the one that is run."""
    made = event.of(given, project, COMMIT, dirty=False, when=WHEN)
    assert made.kind == kind
    assert fits(schemas, made) == []
    assert {key: made.body[key] for key in expected} == expected
    if "repository" in given:
        assert (made.owner, made.name, made.branch) == ("acme", "it", "other")
        assert made.body["repository"]["clone_url"] == "https://github.com/acme/it.git"
    if kind == event.PULL_REQUEST:
        assert made.body["pull_request"]["head"]["sha"] == COMMIT
        assert made.branch == "theirs"


@pytest.mark.parametrize("given", [[], "push", {}, {"zen": "x"}, {"ref": "v1", "ref_type": "tag"}])
def test_files_that_are_no_events(given, project):
    """What is no event that makes tasks is refused."""
    with pytest.raises(WrongUsage):
        event.of(given, project, COMMIT, dirty=False, when=WHEN)


def test_lead():
    """URLs of the repository lead to where it is served, those of others do not; git is told the same."""
    lead = Lead("octo/demo", "http://there/octo/demo")
    moved = {
        "https://github.com/octo/demo": "http://there/octo/demo",
        "https://github.com/octo/demo.git": "http://there/octo/demo.git",
        "https://github.com/octo/demo/archive/x.zip": "http://there/octo/demo/archive/x.zip",
        "git@github.com:octo/demo.git": "http://there/octo/demo.git",
    }
    stay = ["https://github.com/octo/demo2", "https://api.github.com/repos/octo/demo", "see https://github.com/octo/demo", "octo/demo", 1, None]
    assert lead.point([*moved, *stay]) == [*moved.values(), *stay]
    assert lead.point({"a": {"b": ["git://github.com/octo/demo"]}}) == {"a": {"b": ["http://there/octo/demo"]}}
    assert lead.env["GIT_CONFIG_COUNT"] == "4"
    task = {"payload": {"mounts": [{"content": {"url": "https://github.com/octo/demo/raw/x"}}], "command": [["https://github.com/octo/demo"]]}}
    led = lead.task(task)["payload"]
    assert led["mounts"][0]["content"]["url"] == "http://there/octo/demo/raw/x"
    assert led["command"] == task["payload"]["command"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("git@github.com:octo/demo.git", ("octo", "demo")),
        ("https://github.com/octo/demo", ("octo", "demo")),
        ("https://user:pass@github.com/octo/demo.js.git/", ("octo", "demo.js")),
        ("ssh://git@example.com:22/group/sub/demo", ("sub", "demo")),
        ("https://example.com/~me/d%20x", ("me", "d-20x")),
        ("", ("local", "folder")),
        ("/srv/repositories/own/thing.git", ("own", "thing")),
    ],
)
def test_names(url, expected, tmp_path):
    """Owner and name are those of the remote, whatever the form of its URL, in characters that GitHub has."""
    assert names(url, tmp_path / "folder") == expected


def test_login():
    """A login comes of GitHub's private addresses, else of what is before the @."""
    assert login("123+mona@users.noreply.github.com") == "mona"
    assert login("first.last@example.com") == "first-last"


def test_cron_jobs(project):
    """A job is found by its name, or alone; what the template sees of it is what build-decision gives."""
    assert cron.job(project.root, "") == {"name": "cron", "job": {}}
    with pytest.raises(WrongUsage, match=r"\.cron\.yml is not there, so there is no job nightly"):
        cron.job(project.root, "nightly")
    text = "jobs:\n- {name: nightly, job: {target-tasks-method: all of it, treeherder-symbol: N, rebuild-kinds: [a]}}\n"
    (project.root / cron.FILE).write_text(text)
    found = cron.job(project.root, "")
    context = cron.context(found, project, COMMIT, root_url="http://tc", now=1000)
    assert context["cron"]["quoted_args"] == "'--target-tasks-method=all of it' --rebuild-kind=a"
    assert (context["tasks_for"], context["cron"]["job_name"], context["cron"]["job_symbol"]) == ("cron", "nightly", "N")
    assert context["repository"] == {"url": "https://github.com/octo/demo", "project": "demo", "level": "1"}
    assert context["push"]["revision"] == COMMIT
    assert context["as_slugid"]("decision") == context["ownTaskId"]
    assert context["as_slugid"]("x") == context["as_slugid"]("x") != context["as_slugid"]("y")
    (project.root / cron.FILE).write_text(text + "- {name: weekly, job: {}}\n")
    with pytest.raises(WrongUsage, match="several jobs"):
        cron.job(project.root, "")
    with pytest.raises(WrongUsage, match="no job daily"):
        cron.job(project.root, "daily")
    assert cron.role("weekly", project) == "repo:github.com/octo/demo:cron:weekly"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jobs: 3", "expected a list below the key jobs"),
        ("[1]", r"jobs\[0\]: expected a mapping with a name"),
        ("text", "expected a list below the key jobs"),
        ("jobs: [{name: a, job: {}}, {job: {}}]", r"jobs\[1\]: expected a mapping with a name"),
        ("jobs: [{name: a, job: text}]", "job a: expected a mapping at the key job"),
        ("jobs: [{name: a, job: {rebuild-kinds: 1}}]", r"expected a list at job\.rebuild-kinds"),
        ("jobs: [", "cannot be read"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_list_of_cron_jobs_of_another_form(project, text, expected):
    """It is refused, with the place and an example."""
    (project.root / cron.FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CannotRun, match=expected):
        cron.job(project.root, "")


@pytest.mark.parametrize("text", ["", "jobs:", "jobs: []"])
def test_an_empty_list_of_cron_jobs(project, text):
    """It is as none: a job without a name is made up, one with a name is not there."""
    (project.root / cron.FILE).write_text(text)
    assert cron.job(project.root, "") == {"name": "cron", "job": {}}
    with pytest.raises(WrongUsage, match="has no jobs, so there is no job nightly"):
        cron.job(project.root, "nightly")
