"""The wire contract: a JSON schema per payload, published as documents and compiled to check and complete bodies.

A schema is a YAML file below its service's folder. Nothing is read before it is asked for: a file is parsed when its
document is wanted, and compiled when the first body is to be checked. The dialect is JSON Schema draft 7 with
formats asserted, as the published services do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcbox.api import defaults, faults
from tcbox.api.faults import Fault

if TYPE_CHECKING:
    import jsonschema_rs

__all__ = ["Fault", "SchemaSet", "Validator"]

METASCHEMA = "/schemas/common/metaschema.json#"
COMMON = Path(__file__).parent / "common_schemas"
MOST_FAULTS = 100
_BASE = "schema://tcbox"


class Validator:
    """One schema, compiled: checks values, and fills in its defaults."""

    def __init__(self, compiled: jsonschema_rs.Draft7Validator, filler: defaults.Filler | None) -> None:
        self._compiled = compiled
        self._filler = filler
        self.is_valid: Callable[[Any], bool] = compiled.is_valid

    def check(self, value: Any, *, brief: bool = False) -> list[Fault]:
        """All that is wrong with a value, at most 100 faults; an empty list when nothing is.

        Args:
            brief: look for the first fault alone. All of them are found before the first can be told, and those of a
                large value can be hundreds of thousands, for which everybody else would have to wait.
        """
        if self.is_valid(value):
            return []
        if brief:
            return faults.explain([self._first(value)])[:MOST_FAULTS]
        return faults.explain(islice(self._compiled.iter_errors(value), MOST_FAULTS))[:MOST_FAULTS]

    def _first(self, value: Any) -> jsonschema_rs.ValidationError:
        import jsonschema_rs

        try:
            self._compiled.validate(value)
        except jsonschema_rs.ValidationError as error:
            return error
        raise AssertionError("a value that is not valid has a fault")

    def fill(self, value: Any) -> Any:
        """The value with the schema's defaults where it has nothing, filled in in place as far as it can be."""
        return value if self._filler is None else self._filler(value)


class SchemaSet:
    """All schemas of the running instance, by service.

    Args:
        folders: for each name that stands in URLs ("queue", "worker-manager"), the folder that holds its
            `v1/<name>.yml`. The common documents, which describe references and schemas themselves, are always there.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = {**folders, "common": COMMON}
        self._documents: dict[str, dict[str, Any]] = {}
        self._validators: dict[str, Validator] = {}
        self._paths: list[str] | None = None

    @classmethod
    def load(cls, services: Mapping[str, Path]) -> SchemaSet:
        """The schemas in the given folders; see the class. Nothing is read yet."""
        return cls(services)

    def paths(self) -> list[str]:
        """The paths of all documents, such as "/schemas/queue/v1/task.json", in order."""
        if self._paths is None:
            self._paths = sorted(
                f"/schemas/{service}/{file.relative_to(folder).with_suffix('.json').as_posix()}"
                for service, folder in self._folders.items()
                for file in folder.rglob("*.yml")
            )
        return self._paths

    def path(self, service: str, ref: str) -> str:
        """The published reference to a schema, such as "/schemas/queue/v1/task.json#".

        `ref` is as in declarations and references: "task", "v1/task.json#", or with a pointer after the "#".
        """
        name, _, pointer = ref.partition("#")
        if not name.endswith(".json"):
            name = f"{name}.json" if "/" in name else f"v1/{name}.json"
        return f"/schemas/{service}/{name}#{pointer}"

    def document(self, path: str) -> dict[str, Any]:
        """The published document at a path such as "/schemas/queue/v1/task.json"; callers must not change it.

        Raises KeyError when there is none.
        """
        path = path.partition("#")[0]
        made = self._documents.get(path)
        if made is None:
            body = _parsed(self._file(path))
            made = self._documents[path] = {"$schema": METASCHEMA, "$id": f"{path}#", **body}
        return made

    def validator(self, service: str, ref: str) -> Validator:
        """The compiled schema for a declaration's `ref`; see `path`.

        Raises KeyError when there is no such schema.
        """
        path = self.path(service, ref)
        made = self._validators.get(path)
        if made is None:
            made = self._validators[path] = self._compile(path)
        return made

    def _compile(self, path: str) -> Validator:
        import jsonschema_rs

        base, _, pointer = path.partition("#")
        compiled = jsonschema_rs.Draft7Validator(
            {"$ref": path} if pointer else self._bare(base),
            base_uri=f"{_BASE}/" if pointer else f"{_BASE}{base}",
            retriever=lambda uri: self._bare(uri.removeprefix(_BASE).partition("#")[0]),
            validate_formats=True,
            formats={"email": faults.is_email},
        )
        filler = defaults.Compiler(self.document, self._accepts).filler(base, pointer)
        return Validator(compiled, filler)

    def _accepts(self, path: str) -> Callable[[Any], bool]:
        service, _, name = path.removeprefix("/schemas/").partition("/")
        return self.validator(service, name).is_valid

    def _bare(self, path: str) -> dict[str, Any]:
        return {key: value for key, value in self.document(path).items() if key not in ("$id", "$schema")}

    def _file(self, path: str) -> Path:
        service, _, name = path.removeprefix("/schemas/").partition("/")
        folder = self._folders.get(service)
        if folder is None or ".." in name or not name.endswith(".json") or not path.startswith("/schemas/"):
            raise KeyError(f"there is no schema {path}: /references/references.json lists those there are")
        file = folder / (name.removesuffix(".json") + ".yml")
        if not file.is_file():
            raise KeyError(f"there is no schema {path}: /references/references.json lists those there are")
        return file


@functools.lru_cache(maxsize=1024)
def _parsed(file: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    body: dict[str, Any] = yaml.load(file.read_bytes(), loader)  # noqa: S506 - either loader is a safe one
    return body
