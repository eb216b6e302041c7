"""Which parts a process serves, which tables these use, and how callers' scopes are made to fit."""

from __future__ import annotations

import base64

import pytest

from tcbox import config, errors
from tcbox.box import apart, parts, services
from tcbox.box.parts import Part
from tcbox.config.checks import REQUIRES
from tcbox.export import plan, references
from tests.support import export


def test_words_name_services_and_halves():
    """A service alone is whole, its halves add up, and they come in the order of their start."""
    asked = parts.parse(["queue/api", "auth", "hooks/loops", "queue/loops"], list(REQUIRES))
    assert asked == [Part("auth"), Part("queue"), Part("hooks", api=False)]
    assert parts.parse(["index/api"], list(REQUIRES)) == [Part("index", loops=False)]


def test_what_is_switched_off_is_not_served():
    """The refusal names the key."""
    with pytest.raises(errors.TcboxError, match=r"services\.purge_cache\.enabled"):
        parts.parse(["purge-cache"], ["auth"])


def test_tables():
    """Services that record changes use auth's tables too."""
    assert parts.tables([Part("secrets")]) == ["auth", "secrets"]
    assert parts.tables([Part("queue"), Part("object")]) == ["object", "queue"]


def test_the_pages_are_where_there_is_a_web_server():
    """Without one they are with auth."""
    assert parts.front(["auth", "queue", "web-server"]) == "web-server"
    assert parts.front(["auth", "queue"]) == "auth"


def test_scopes_fit_into_a_request():
    """Few scopes stay as they are; of many those stay that matter for reading tasks; too many of these are refused."""
    assert apart.fitting(["b", "a"]) == ["b", "a"]
    many = [f"secrets:get:project/number-{n}" for n in range(500)]
    kept = ["queue:get-task:*", "queue:*", "*", "queue:list-task-group:x"]
    assert apart.fitting([*many, *kept]) == kept
    with pytest.raises(errors.InputError, match="than fit"):
        apart.fitting([f"queue:get-artifact:private/project/{n}" for n in range(500)])


@pytest.mark.parametrize("service", list(REQUIRES))
def test_routes_are_known_without_asking(service):
    """Verb and route of each published method come from the declarations."""
    known = apart.routes(service)
    assert known["ping"] == ("GET", "/ping")
    assert len(known) >= 5


def test_what_an_export_gives_a_process_is_what_it_needs(tmp_path):
    """Each process of an export can be served by its own settings, variables and files, and by its own release's migration."""
    key = base64.b64encode(bytes(32)).decode()
    made = plan.make(export.read(tmp_path, export.changed(serve__services_url="http://inside")))
    for service in made.services:
        folder = tmp_path / service.name
        folder.mkdir()
        for file in service.refers.files:
            (folder / file.name).write_text(key if "key" in file.name else "-----BEGIN CERTIFICATE-----")
        path = folder / "tcbox.yml"
        path.write_text(service.settings.replace(references.FOLDER, str(folder)))
        env = {name: key if name.endswith("_KEY") else "x" * 32 for name in service.refers.variables}
        settings = config.load(path, {}, env)
        assert settings.serve.services_url == "http://inside"
        for process in service.processes:
            parts.check(settings, parts.parse([process.what], services.enabled(settings)), env)
        if service.name not in ("auth", "web-server"):
            assert not settings.root_access_token and not settings.instance_key
