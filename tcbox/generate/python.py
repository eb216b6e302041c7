"""Writes a package for Python: TypedDicts, a client and an asynchronous client a service, exchanges. As `ruff format` has it."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence
from importlib import resources

from tcbox.generate import model, names, schemas, text
from tcbox.generate.text import quoted

WIDTH = 88
_PROSE = 88
_SCALARS = {"string": "str", "time": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_HEAD = f"# {text.MARK}\n"
_TYPING = ("Any", "Literal", "NotRequired", "TypeAlias", "TypedDict")
_ERRORS = ("TaskclusterAuthFailure", "TaskclusterConnectionError", "TaskclusterFailure", "TaskclusterRestFailure")
_BASE = ("Arg", "AsyncClient", "Binding", "Client", "Made", "Method", "binding")


def write(instance: model.Instance, package: str) -> dict[str, str]:
    """All files by name."""
    del package  # modules of a package find each other without its name
    taken = names.Names()
    modules = {taken.take(_module(service)): service for service in instance.services}
    return {
        "__init__.py": _init(modules),
        "_client.py": resources.files("tcbox.generate").joinpath("parts", "client.py.in").read_text("utf-8").replace("@MARK@", text.MARK),
        "_contract.py": _contract(instance),
        "_version.py": _version(instance),
        "py.typed": "",
        **{f"{name}.py": "\n".join(_Module(instance, service).lines()) + "\n" for name, service in modules.items()},
    }


def _module(service: model.Service) -> str:
    made = "_".join(names.words(service.name)) or "service"
    return f"{made}_" if keyword.iskeyword(made) else made


def _init(modules: dict[str, model.Service]) -> str:
    shared = ["Binding", "ClientMismatch", "Credentials", "Options", *_ERRORS, "UnexpectedBody", "async_pages", "pages", "slugid"]
    lines = [f'{_HEAD}"""Typed clients of a Taskcluster instance; a module a service has its types, its clients and its exchanges."""', ""]
    imports, exported = [], [*shared, "DIGESTS", "INSTANCE_VERSION"]
    for name, service in modules.items():
        class_name = names.camel(service.name)
        mine = [class_name, f"Async{class_name}"] + ([f"{class_name}Events"] if service.exchanges else [])
        exported += mine
        imports.append((name, sorted(mine)))
    for name, wanted in [("_client", shared), ("_version", ["DIGESTS", "INSTANCE_VERSION"]), *imports]:
        lines += _listed(f"from .{name} import ", wanted, "(", ")")
    lines += ["", *_listed("__all__ = ", [quoted(name) for name in sorted(exported, key=_rank)], "[", "]")]
    return "\n".join(lines) + "\n"


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def _version(instance: model.Instance) -> str:
    lines = [_HEAD + '"""What this package was made from."""', "", f"INSTANCE_VERSION = {quoted(instance.release)}"]
    lines += ["", "DIGESTS = {", *(f"    {quoted(service.name)}: {quoted(service.digest)}," for service in instance.services), "}"]
    lines.append('"""Of each service\'s methods, exchanges and schemas: two instances with the same digest are called alike."""')
    return "\n".join(lines) + "\n"


def _contract(instance: model.Instance) -> str:
    lines = [_HEAD + '"""What this package was made from, for telling how an instance differs; read only when one does."""', "", "CONTRACT = {"]
    lines += [f"    {quoted(path)}: {quoted(packed)}," for path, packed in text.contract(instance).items()]
    return "\n".join([*lines, "}"]) + "\n"


class _Module:
    """The module of one service."""

    def __init__(self, instance: model.Instance, service: model.Service) -> None:
        self._instance = instance
        self._service = service
        self._class = names.camel(service.name)
        own = {self._class, f"Async{self._class}", f"{self._class}Events", "MADE", "cast"}
        self._types = schemas.Types(service.name, instance.schemas, frozenset({*own, *_TYPING, *_BASE}))
        self._used = {"AsyncClient", "Client", "Made"}

    def lines(self) -> Iterator[str]:
        """The whole module."""
        service = self._service
        clients = [*self._client("Client", self._class, ""), "", "", *self._client("AsyncClient", f"Async{self._class}", "async ")]
        events = ["", "", *self._events()] if service.exchanges else []
        body = [*self._declarations(), *self._made(), "", "", *clients, *events]
        yield _HEAD + '"""' + "\n".join(_escaped(text.paragraphs(service.title, service.description, width=_PROSE)))
        yield '"""'
        yield ""
        yield "from __future__ import annotations"
        yield ""
        if used := [name for name in _TYPING if name in self._used]:
            yield from _listed("from typing import ", used, "(", ")")
            yield ""
        yield from _listed("from ._client import ", [name for name in _BASE if name in self._used], "(", ")")
        yield "" if not self._types.declared or not body[0].startswith(("class", "@")) else "\n"
        yield from body

    # ---------------------------------------------------------------- types

    def _declarations(self) -> list[str]:
        for method in self._service.methods:
            for ref in filter(None, (method.input, method.output)):
                self._types.named(ref)
        for exchange in self._service.exchanges:
            self._types.named(exchange.schema)
        made: list[str] = []
        previous = ""
        for declaration in self._types.declared.values():
            kind = "class" if isinstance(declaration.body, schemas.Struct) and _classy(declaration.body) else "value"
            made += [] if not previous else ["", ""] if "class" in (kind, previous) else [""]
            made += list(self._declaration(declaration))
            previous = kind
        return [*made, *(["", ""] if previous == "class" else [""] if previous else [])]

    def _declaration(self, declaration: schemas.Declaration) -> Iterator[str]:
        body, about = declaration.body, declaration.about
        self._used.add("TypedDict" if isinstance(body, schemas.Struct) else "TypeAlias")
        if not isinstance(body, schemas.Struct):
            if isinstance(body, schemas.OneValue):
                self._used.add("Literal")
                yield from _listed(f"{declaration.name}: TypeAlias = Literal", [_literal(value) for value in body.values], "[", "]")
            else:
                yield from _assigned(f"{declaration.name}: TypeAlias", quoted(self._shown(body)))
            yield from _docs(about, "")
        elif _classy(body):
            yield f"class {declaration.name}(TypedDict):"
            yield from _docs(about or declaration.name, "    ")
            for each in body.fields:
                yield ""
                shown = self._shown(each.type)
                yield from _annotated(each.key, shown if each.required else self._optional(shown))
                yield from _docs(each.about, "    ")
        else:
            yield f"{declaration.name} = TypedDict("
            yield f"    {quoted(declaration.name)},"
            yield "    {"
            for each in body.fields:
                yield from (f"        # {line}".rstrip() for line in text.paragraphs(each.about, width=_PROSE - 10))
                shown = self._shown(each.type)
                yield f"        {quoted(each.key)}: {quoted(shown if each.required else self._optional(shown))},"
            yield "    },"
            yield ")"
            yield from _docs(about, "")

    def _optional(self, shown: str) -> str:
        self._used.add("NotRequired")
        return f"NotRequired[{shown}]"

    def _shown(self, kind: schemas.Type) -> str:
        match kind:
            case schemas.Plain(name):
                return _SCALARS[name]
            case schemas.OneValue(values):
                self._used.add("Literal")
                return f"Literal[{', '.join(_literal(value) for value in values)}]"
            case schemas.List(item):
                return f"list[{self._shown(item)}]"
            case schemas.Map(value):
                return f"dict[str, {self._shown(value)}]"
            case schemas.Named(name):
                return name
            case schemas.Choice(members):
                return " | ".join(self._shown(member) for member in members)
            case _:
                self._used.add("Any")
                return "Any"

    # ---------------------------------------------------------------- clients

    def _made(self) -> Iterator[str]:
        service = self._service
        yield "MADE = Made("
        for value in (service.name, service.version, service.release or self._instance.release, service.digest, text.agent("python", self._instance, service)):
            yield f"    {quoted(value)},"
        if not service.methods:
            yield "    {},"
        else:
            self._used.add("Method")
            yield "    {"
            for method in service.methods:
                yield from self._entry(method)
            yield "    },"
        yield ")"

    def _entry(self, method: model.Method) -> Iterator[str]:
        required = text.required(self._instance, method)
        answer = "blob" if method.blob else "" if method.output is None else "object" if required is not None else "any"
        if answer == "any" and text.is_list(self._instance, method):
            answer = "list"
        yield f"        {quoted(method.name)}: Method("
        yield f"            {quoted(method.verb)},"
        yield f"            {quoted(method.route)},"
        for name, values in (("args", method.args), ("query", method.query), ("required", required or ())):
            if values:
                yield from text.indented(_tuple(f"{name}=", values), "            ")
        if answer:
            yield f"            answer={quoted(answer)},"
        yield "        ),"

    def _client(self, base: str, class_name: str, async_word: str) -> Iterator[str]:
        yield f"class {class_name}({base}):"
        yield from _docs("\n\n".join(filter(None, (self._service.title, self._service.description))), "    ")
        yield ""
        yield "    made: Made = MADE"
        taken = names.Names([method.name for method in self._service.methods])
        for method in self._service.methods:
            yield ""
            yield from text.indented(self._method(method, async_word), "    ")
            if method.verb == "get" and method.signed:
                yield ""
                yield from text.indented(self._url(method, taken.take(f"{method.name}Url")), "    ")

    def _method(self, method: model.Method, async_word: str) -> Iterator[str]:
        args, query, payload = _parameters(method)
        given = ["self", *(f"{name}: Arg" for name in args)]
        self._used |= {"Arg"} if args or query else set()
        if method.input:
            given.append(f"{payload}: {self._shown(self._types.named(method.input))}")
        if query:
            given += ["*", *(f"{name}: Arg | None = None" for name in query)]
        result = self._answer(method)
        yield from _signature(f"{async_word}def {_identifier(method.name)}", given, result)
        yield from _docs("\n".join(text.told(method, width=_PROSE - 8)), "    ")
        words = [quoted(method.name)]
        if args:
            words.append(f"({', '.join(args)}{',' if len(args) == 1 else ''})")
        if method.input:
            words.append(payload if args else f"payload={payload}")
        if query:
            pairs = [f"{quoted(key)}: {name}" for key, name in zip(method.query, query, strict=True)]
            words.append("query={" + ", ".join(pairs) + "}")
        waiting = "await " if async_word else ""
        if result == "None":
            yield from _call(f"    {waiting}self._call", words)
        elif result == "Any":
            yield from _call(f"    return {waiting}self._call", words)
        else:
            yield from _call(f"    result: {result} = {waiting}self._call", words)
            yield "    return result"

    def _answer(self, method: model.Method) -> str:
        if method.blob:
            return "bytes"
        if method.output is None:
            return self._shown(schemas.Anything()) if method.verb == "get" else "None"
        return self._shown(self._types.named(method.output))

    def _url(self, method: model.Method, name: str) -> Iterator[str]:
        args, query, _ = _parameters(method)
        own = names.Names([*args, *query])
        expiration = own.take("expiration")
        given = ["self", *(f"{arg}: Arg" for arg in args), "*", *(f"{key}: Arg | None = None" for key in query), f"{expiration}: int | None = None"]
        yield from _signature(f"def {_identifier(name)}", given, "str")
        yield from _docs(f"A signed URL of `{method.name}`, for whoever has no credentials; it is good for `{expiration}` seconds.", "    ")
        pairs = "{" + ", ".join(f"{quoted(key)}: {each}" for key, each in zip(method.query, query, strict=True)) + "}"
        yield from _call("    return self._url", [quoted(method.name), f"({', '.join(args)}{',' if len(args) == 1 else ''})", pairs, expiration])

    # ---------------------------------------------------------------- exchanges

    def _events(self) -> Iterator[str]:
        yield f"class {self._class}Events:"
        yield from _docs(f"The exchanges of the service {self._service.name}, and what to bind a queue to.", "    ")
        for exchange in self._service.exchanges:
            yield ""
            wanted = [(word, _identifier(word.name)) for word in exchange.words if word.constant is None]
            self._used |= {"Binding", "binding", *(["Arg"] if wanted else [])}
            given = (["*"] if wanted else []) + [f"{name}: Arg | None = None" for _, name in wanted]
            yield "    @staticmethod"
            yield from text.indented(_signature(f"def {_identifier(exchange.name)}", given, "Binding"), "    ")
            message = self._shown(self._types.named(exchange.schema))
            summaries = "\n".join(f"- {name}: {word.summary.strip()}" for word, name in wanted if word.summary.strip())
            about = (exchange.title, exchange.description, f"Its messages are `{message}`.", summaries)
            yield from _docs("\n".join(text.paragraphs(*about, width=_PROSE - 8)), "        ")
            yield "        return binding("
            yield f"            {quoted(exchange.address)},"
            yield "            ["
            for word in exchange.words:
                value = _identifier(word.name) if word.constant is None else "None"
                constant = quoted(word.constant) if word.constant is not None else "None"
                yield from text.indented(_listed("", [quoted(word.name), constant, value, str(word.several)], "(", ")", end=",", room=16), "                ")
            yield "            ],"
            yield "        )"


# ------------------------------------------------------------------------------------------- words


def _classy(struct: schemas.Struct) -> bool:
    """Whether all keys can stand as names in a class."""
    return all(each.key.isidentifier() and not keyword.iskeyword(each.key) and not each.key.startswith("__") for each in struct.fields)


def _identifier(name: str) -> str:
    made = "".join(letter if letter.isidentifier() or letter.isdigit() else "_" for letter in name)
    if not made.isidentifier():
        made = f"_{made}"
    return f"{made}_" if keyword.iskeyword(made) or made == "self" else made


def _parameters(method: model.Method) -> tuple[list[str], list[str], str]:
    """The names of a method's parameters: of the route, of the query, and the payload's."""
    taken = names.Names(["self"])
    args = [taken.take(_identifier(name)) for name in method.args]
    query = [taken.take(_identifier(name)) for name in method.query]
    return args, query, taken.take("payload")


def _signature(start: str, given: Sequence[str], result: str) -> Iterator[str]:
    line = f"{start}({', '.join(given)}) -> {result}:"
    if len(line) + 4 <= WIDTH or given == ["self"]:
        yield line
    else:
        yield f"{start}("
        yield from (f"    {each}{',' if each != '*' or each != given[-1] else ''}" for each in given)
        yield f") -> {result}:"


def _call(start: str, words: Sequence[str]) -> Iterator[str]:
    """A call two levels in; its words one a line where they do not fit on one."""
    line = f"{start}({', '.join(words)})"
    if len(line) + 4 <= WIDTH:
        yield line
        return
    indent = " " * (len(start) - len(start.lstrip()))
    yield f"{start}("
    for word in words:
        opening = word.find("{")
        if len(word) + len(indent) + 9 > WIDTH and opening >= 0:
            yield f"{indent}    {word[: opening + 1]}"
            yield from (f"{indent}        {pair}," for pair in word[opening + 1 : -1].split(", "))
            yield f"{indent}    }},"
        else:
            yield f"{indent}    {word},"
    yield f"{indent})"


def _annotated(key: str, shown: str) -> Iterator[str]:
    line = f"    {key}: {shown}"
    if len(line) <= WIDTH or "[" not in shown:
        yield line
        return
    start, _, inner = shown.partition("[")
    yield f"    {key}: {start}["
    yield f"        {inner[:-1]}"
    yield "    ]"


def _listed(start: str, words: Sequence[str], opening: str, closing: str, *, end: str = "", room: int = 0) -> Iterator[str]:
    """A list on one line, or one a line; brackets that are only there for breaking lines go where nothing is broken."""
    bare = opening == "(" and start.startswith("from ")
    line = f"{start}{'' if bare else opening}{', '.join(words)}{'' if bare else closing}{end}"
    if len(line) + room <= WIDTH:
        yield line
    else:
        yield f"{start}{opening}"
        yield from (f"    {word}," for word in words)
        yield f"{closing}{end}"


def _assigned(start: str, value: str) -> Iterator[str]:
    line = f"{start} = {value}"
    if len(line) > WIDTH >= len(value) + 4:
        yield from (f"{start} = (", f"    {value}", ")")
    else:
        yield line


def _tuple(start: str, values: Sequence[str]) -> Iterator[str]:
    line = f"{start}({', '.join(map(quoted, values))}{',' if len(values) == 1 else ''}),"
    if len(line) + 12 <= WIDTH:
        yield line
    else:
        yield f"{start}("
        yield from (f"    {quoted(value)}," for value in values)
        yield "),"


def _docs(about: str, indent: str) -> Iterator[str]:
    lines = _escaped(text.paragraphs(about, width=_PROSE - len(indent) - 6))
    if not lines:
        return
    if len(lines) == 1:
        yield f'{indent}"""{lines[0]}"""'
        return
    yield f'{indent}"""{lines[0]}'
    yield from text.indented(lines[1:], indent)
    yield f'{indent}"""'


def _escaped(lines: Sequence[str]) -> list[str]:
    made = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in lines]
    if lines and lines[-1].endswith('"'):  # it would be one of the closing quotes
        made[-1] = lines[-1][:-1].replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '\\"'
    if made and made[0].startswith('"'):
        made[0] = "\\" + made[0]
    return made


def _literal(value: schemas.Scalar) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)
