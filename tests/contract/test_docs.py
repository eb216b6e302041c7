"""The documentation names all that there is, and the pages that are made from the code are as the code says."""

import argparse
import importlib.util
import re
from pathlib import Path

import pytest

from tcbox import errors
from tcbox.box import services
from tcbox.cli import main
from tcbox.config import Settings, describe

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


@pytest.fixture(scope="module")
def reference():
    """build/reference.py as a module."""
    spec = importlib.util.spec_from_file_location("build_reference", ROOT / "build" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_made_pages_are_fresh(reference):
    """Pages made from the code are as `python build/reference.py` writes them now."""
    stale = [str(path.relative_to(ROOT)) for path, text in reference.pages().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run: python build/reference.py"


def test_every_setting_has_its_place():
    """Each key of tcbox.yml stands in docs/configuration.md."""
    page = (DOCS / "configuration.md").read_text()
    keys = [key for key, _, _ in describe.in_force(Settings())]
    assert len(keys) > 40
    assert [key for key in keys if f"`{key}`" not in page] == []


def _parsers(name, parser):
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from _parsers(f"{name} {word}", inner)


def test_every_command_and_option_has_its_place():
    """Each command stands in docs/cli.md with all of its options, and each option says what it does."""
    page = (DOCS / "cli.md").read_text()
    for name, parser in _parsers("tcbox", main.parser()):
        assert name == "tcbox" or f"# `{name}`\n" in page
        section = page.partition(f"# `{name}`\n")[2].partition("\n#")[0] if name != "tcbox" else page
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction | argparse._HelpAction | argparse._VersionAction):
                continue
            assert action.help, f"{name}: {action.dest} has no help"
            for option in action.option_strings:
                assert option in section, f"{name} {option}"
        assert parser.description


@pytest.mark.parametrize("name", services.NAMES)
def test_every_method_and_exchange_has_its_place(name):
    """Each method and exchange of a service stands in its reference page."""
    service = importlib.import_module(f"tcbox.services.{services.package(name)}.service").Service
    page = (DOCS / "reference" / f"{name}.md").read_text()
    assert [each.name for each in service.api.methods.values() if each.published and f"| `{each.name}` |" not in page] == []
    exchanges = service.exchanges.entries.values() if service.exchanges is not None else []
    assert [each.address for each in exchanges if f"`{each.address}`" not in page] == []
    assert f"## {name}\n" in (DOCS / "services.md").read_text()


def _all_errors(kind):
    for each in kind.__subclasses__():
        yield each
        yield from _all_errors(each)


def test_every_error_has_its_place():
    """Each error code that the API answers with stands in docs/services.md with its status."""
    for name in services.NAMES:
        importlib.import_module(f"tcbox.services.{services.package(name)}.service")
    page = (DOCS / "services.md").read_text()
    own = {each for each in _all_errors(errors.ApiError) if each.__module__.startswith("tcbox.")}
    assert [each.code for each in own if f"| `{each.code}` | {each.status} |" not in page] == []


def test_features_of_payloads_have_their_place():
    """Each feature and capability of the workers' payload schemas stands in docs/workers.md."""
    import yaml

    page = (DOCS / "workers.md").read_text()
    host = yaml.safe_load((ROOT / "workers/host/schemas/insecure_posix.yml").read_text())["oneOf"][0]
    (docker_file,) = (ROOT / "workers/docker/schemas").rglob("payload.yml")
    docker = yaml.safe_load(docker_file.read_text())
    for schema in (host, docker):
        for name, part in schema["properties"].items():
            assert f"`{name}`" in page, name
            inner = part.get("properties", {}) if name in ("features", "capabilities") else {}
            assert [each for each in inner if f"`{each}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Links between pages lead to files that are there."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
