"""A release to come: a copy of this code with further migrations, to be run beside the code of today."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import tcbox
from tests.support.box import Box

HERE = Path(tcbox.__file__).parent
"""The package of today."""


def later(folder: Path, version: str, steps: Mapping[str, str], *, gentle: bool = True) -> Path:
    """A folder with the package `tcbox` of that version.

    Args:
        steps: what its schema has more, by service; a migration `later` each.
        gentle: whether the code of before can live with that.
    """
    package = folder / version / "tcbox"
    shutil.copytree(HERE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text(f'"""tcbox, as it will be."""\n\n__version__ = "{version}"\n')
    for service, text in steps.items():
        migrations = package / "services" / service / "sql" / "migrations"
        last = max(int(path.name[:4]) for path in migrations.glob("*.sql"))
        (migrations / f"{last + 1:04d}_later.sql").write_text(f"-- needs: {last if gentle else last + 1:04d}\n{text}")
    return package.parent


def environment(home: Path) -> dict[str, str]:
    """What makes a command take the package of a folder, wherever it is run."""
    return {"PYTHONPATH": str(home), "PYTHONSAFEPATH": "1"}


class Release(Box):
    """A box whose code can be changed between its starts."""

    home = HERE.parent

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **environment(self.home)}
