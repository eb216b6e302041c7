"""Writes modules for TypeScript: interfaces and unions, a client a service, exchanges. As Prettier has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources

from tcbox.generate import model, names, schemas, text
from tcbox.generate.text import quoted

WIDTH = 80
_SCALARS = {"string": "string", "time": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_HEAD = f"// {text.MARK}"
_PLAIN = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$]*$")
_WORDS = {
    "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete", "do", "else", "enum", "export", "extends", "false", "finally",
    "for", "function", "if", "import", "in", "instanceof", "new", "null", "return", "super", "switch", "this", "throw", "true", "try", "typeof", "var",
    "void", "while", "with", "let", "static", "yield", "await", "implements", "interface", "package", "private", "protected", "public", "arguments", "eval",
}  # fmt: skip
_GLOBAL = {
    "Array", "Boolean", "Date", "Error", "Map", "Number", "Object", "Promise", "Record", "RegExp", "Set", "String", "Symbol", "Uint8Array", "Request",
    "Response", "Headers", "URL",
}  # fmt: skip
_BASE = {"Arg", "Binding", "Client", "Made", "Options", "Query", "binding", "made", "events"}
_INHERITED = {"call", "constructor", "explained", "ext", "made", "method", "result", "rootUrl", "send", "signedUrl", "target"}


def write(instance: model.Instance, package: str) -> dict[str, str]:
    """All files by name."""
    del package  # modules find each other without a name
    taken = names.Names()
    modules = {taken.take(_module(service)): service for service in instance.services}
    return {
        "index.ts": _index(modules),
        "client.ts": resources.files("tcbox.generate").joinpath("parts", "client.ts.in").read_text("utf-8").replace("@MARK@", text.MARK),
        "contract.ts": _contract(instance),
        "version.ts": _version(instance),
        **{f"{name}.ts": "\n".join(_Module(instance, service).lines()) + "\n" for name, service in modules.items()},
    }


def _module(service: model.Service) -> str:
    """The name of a service's module; those of our own files are taken."""
    made = "-".join(names.words(service.name))
    return f"{made}-service" if made in ("index", "client", "contract", "version", "") else made


def _index(modules: dict[str, model.Service]) -> str:
    lines = [_HEAD, "", "// Typed clients of a Taskcluster instance; a module a service has its types, its client and its exchanges.", ""]
    lines += [
        'export { ClientMismatch, TaskclusterError, pages, slugid } from "./client.js";',
        'export type { Binding, Credentials, Options } from "./client.js";',
    ]
    lines += ['export { DIGESTS, INSTANCE_VERSION } from "./version.js";']
    for name, service in modules.items():
        mine = [_client_name(service)] + ([f"{names.camel(service.name)}Events"] if service.exchanges else [])
        lines += _bracketed("export {", mine, f'}} from "./{name}.js";', spaced=True)
    return "\n".join(lines) + "\n"


def _client_name(service: model.Service) -> str:
    return names.camel(service.name)


def _version(instance: model.Instance) -> str:
    lines = [
        _HEAD,
        "",
        "/** The version of the instance that these clients were made from. */",
        f"export const INSTANCE_VERSION = {quoted(instance.release)};",
        "",
    ]
    lines += ["/** Of each service's methods, exchanges and schemas: two instances with the same digest are called alike. */"]
    lines += ["export const DIGESTS: { readonly [service: string]: string } = {"]
    lines += [f"  {_key(service.name, quote=_mixed([each.name for each in instance.services]))}: {quoted(service.digest)}," for service in instance.services]
    return "\n".join([*lines, "};"]) + "\n"


def _contract(instance: model.Instance) -> str:
    lines = [_HEAD, "", "/** What these clients were made from, for telling how an instance differs; loaded only when one does. */"]
    lines.append("export const contract: { [path: string]: string } = {")
    for path, packed in text.contract(instance).items():
        line = f"  {quoted(path)}: {quoted(packed)},"
        lines += [line] if len(line) <= WIDTH else [f"  {quoted(path)}:", f"    {quoted(packed)},"]
    return "\n".join([*lines, "};"]) + "\n"


class _Module:
    """The module of one service."""

    def __init__(self, instance: model.Instance, service: model.Service) -> None:
        self._instance = instance
        self._service = service
        self._class = _client_name(service)
        own = {self._class, f"{names.camel(service.name)}Events"}
        self._types = schemas.Types(service.name, instance.schemas, frozenset(own | _GLOBAL | _BASE))

    def lines(self) -> Iterator[str]:
        """The whole module."""
        service = self._service
        yield _HEAD
        yield ""
        types = ["Arg", "Made", "Options"] if any(method.args or method.query for method in service.methods) else ["Made", "Options"]
        types = sorted([*types, *(["Binding"] if service.exchanges else [])])
        values = ["Client", *(["binding"] if service.exchanges else [])]
        yield from _bracketed("import {", [*values, *(f"type {name}" for name in types if name != "Options")], '} from "./client.js";', spaced=True)
        yield ""
        for method in service.methods:
            for ref in filter(None, (method.input, method.output)):
                self._types.named(ref)
        for exchange in service.exchanges:
            self._types.named(exchange.schema)
        for declaration in self._types.declared.values():
            yield from self._declaration(declaration)
            yield ""
        yield from self._made()
        yield ""
        yield from self._client()
        if service.exchanges:
            yield ""
            yield from self._events()

    # ---------------------------------------------------------------- types

    def _declaration(self, declaration: schemas.Declaration) -> Iterator[str]:
        yield from _docs(declaration.about, "")
        body = declaration.body
        if not isinstance(body, schemas.Struct):
            yield from self._alias(declaration.name, body)
            return
        if not body.fields and not body.open:
            yield f"export type {declaration.name} = {{ [key: string]: never }};"
            return
        yield f"export interface {declaration.name} {{"
        quote = _mixed([each.key for each in body.fields])
        for each in body.fields:
            yield from _docs(each.about, "  ")
            start = f"  {_key(each.key, quote=quote)}{'' if each.required else '?'}:"
            undefined = "" if each.required or isinstance(each.type, schemas.Anything) else " | undefined"
            yield from _assigned(start, f"{self._shown(each.type)}{undefined}", self._parts(each.type, undefined))
        if body.open:
            yield "  [key: string]: unknown;"
        yield "}"

    def _alias(self, name: str, body: schemas.Type) -> Iterator[str]:
        yield from _assigned(f"export type {name} =", self._shown(body), self._parts(body, ""))

    def _parts(self, kind: schemas.Type, undefined: str) -> list[str]:
        """The members of a union, for those that take more than a line."""
        made: list[str] = []
        for each in kind.members if isinstance(kind, schemas.Choice) else (kind,):
            made += [_literal(value) for value in each.values] if isinstance(each, schemas.OneValue) else [self._shown(each)]
        return [*made, *(["undefined"] if undefined else [])]

    def _shown(self, kind: schemas.Type) -> str:
        match kind:
            case schemas.Plain(name):
                return _SCALARS[name]
            case schemas.OneValue(values):
                return " | ".join(_literal(value) for value in values)
            case schemas.List(item):
                shown = self._shown(item)
                return f"({shown})[]" if " | " in shown else f"{shown}[]"
            case schemas.Map(value):
                return f"{{ [key: string]: {self._shown(value)} }}"
            case schemas.Named(name):
                return name
            case schemas.Choice(members):
                return " | ".join(self._shown(member) for member in members)
            case _:
                return "unknown"

    # ---------------------------------------------------------------- clients

    def _made(self) -> Iterator[str]:
        service = self._service
        yield "const made: Made = {"
        yield f"  service: {quoted(service.name)},"
        yield f"  apiVersion: {quoted(service.version)},"
        yield f"  release: {quoted(service.release or self._instance.release)},"
        yield f"  digest: {quoted(service.digest)},"
        yield f"  agent: {quoted(text.agent('typescript', self._instance, service))},"
        if not service.methods:
            yield "  methods: {},"
        else:
            yield "  methods: {"
            quote = _mixed([method.name for method in service.methods])
            for method in service.methods:
                yield f"    {_key(method.name, quote=quote)}: {{"
                yield f"      verb: {quoted(method.verb)},"
                yield from _value("      route:", quoted(method.route))
                required = text.required(self._instance, method)
                if method.args:
                    yield from _bracketed("      args: [", [quoted(arg) for arg in method.args], "],")
                answer = "blob" if method.blob else "" if method.output is None else "object" if required is not None else "any"
                if answer == "any" and text.is_list(self._instance, method):
                    answer = "list"
                if answer:
                    yield f"      answer: {quoted(answer)},"
                if required:
                    yield from _bracketed("      required: [", [quoted(key) for key in required], "],")
                yield "    },"
            yield "  },"
        yield "};"

    def _client(self) -> Iterator[str]:
        yield from _docs("\n\n".join(filter(None, (self._service.title, self._service.description))), "")
        yield f"export class {self._class} extends Client {{"
        yield "  protected override readonly made: Made = made;"
        taken = names.Names(_INHERITED)
        named = [(method, taken.take(method.name)) for method in self._service.methods]
        for method, name in named:
            yield ""
            yield from self._method(method, name)
            if method.verb == "get" and method.signed:
                yield ""
                yield from self._url(method, taken.take(f"{method.name}Url"))
        yield "}"

    def _method(self, method: model.Method, name: str) -> Iterator[str]:
        args, payload, query = _parameters(method)
        yield from _docs("\n".join(text.told(method, width=WIDTH - 5)), "  ")
        given = [f"{arg}: Arg" for arg in args]
        if method.input:
            given.append(f"{payload}: {self._shown(self._types.named(method.input))}")
        if method.query:
            given.append(_QueryType(method.query).parameter(query))
        result = self._answer(method)
        yield from _signature(f"  async {_key(name, quote=True)}(", given, f"): Promise<{result}> {{")
        words = [quoted(method.name), f"[{', '.join(args)}]"]
        if method.input or method.query:
            words.append(payload if method.input else "undefined")
        if method.query:
            words.append(query)
        start = "    await this.call(" if result == "void" else "    return await this.call("
        if len(words) == 2 and args and len(f"{start}{', '.join(words)});") > WIDTH:
            yield from (f"{start}{words[0]}, [", *(f"      {arg}," for arg in args), "    ]);")
        else:
            yield from _bracketed(start, words, ");")
        yield "  }"

    def _answer(self, method: model.Method) -> str:
        if method.blob:
            return "Uint8Array"
        if method.output is None:
            return "unknown" if method.verb == "get" else "void"
        return self._shown(self._types.named(method.output))

    def _url(self, method: model.Method, name: str) -> Iterator[str]:
        args, _, query = _parameters(method)
        own = names.Names([*args, query])
        expiration = own.take("expiration")
        yield from _docs(f"A signed URL of `{method.name}`, for whoever has no credentials; it is good for `{expiration}` seconds, 900 unless given.", "  ")
        given = [f"{arg}: Arg" for arg in args]
        if method.query:
            given.append(_QueryType(method.query).parameter(query))
        given.append(f"{expiration}?: number")
        yield from _signature(f"  async {_key(name, quote=True)}(", given, "): Promise<string> {")
        words = [quoted(method.name), f"[{', '.join(args)}]", query if method.query else "{}", expiration]
        yield from _bracketed("    return await this.signedUrl(", words, ");")
        yield "  }"

    # ---------------------------------------------------------------- exchanges

    def _events(self) -> Iterator[str]:
        yield from _docs(f"The exchanges of the service {self._service.name}, and what to bind a queue to.", "")
        yield f"export const {names.camel(self._service.name)}Events = {{"
        quote = _mixed([exchange.name for exchange in self._service.exchanges])
        for number, exchange in enumerate(self._service.exchanges):
            if number:
                yield ""
            wanted = [word for word in exchange.words if word.constant is None]
            message = self._shown(self._types.named(exchange.schema))
            yield from _docs("\n".join(text.paragraphs(exchange.title, exchange.description, width=WIDTH - 5)), "  ")
            key = _key(exchange.name, quote=quote)
            if wanted:
                yield f"  {key}("
                yield "    words: {"
                for word in wanted:
                    yield from _docs(word.summary, "      ")
                    yield f"      {_key(word.name, quote=_mixed([each.name for each in wanted]))}?: Arg | undefined;"
                yield "    } = {},"
                yield f"  ): Binding<{message}> {{"
            else:
                yield f"  {key}(): Binding<{message}> {{"
            start = f"    return binding({quoted(exchange.address)}, ["
            room, close = ("      ", "    ]);") if len(start) <= WIDTH else ("        ", "      ],")
            yield from [start] if len(start) <= WIDTH else ["    return binding(", f"      {quoted(exchange.address)},", "      ["]
            for word in exchange.words:
                pairs = [f"name: {quoted(word.name)}"]
                if word.constant is not None:
                    pairs.append(f"constant: {quoted(word.constant)}")
                else:
                    pairs.append(f"wanted: words.{word.name}" if _PLAIN.match(word.name) else f"wanted: words[{quoted(word.name)}]")
                if word.several:
                    pairs.append("several: true")
                yield from _bracketed(room + "{", pairs, "},", spaced=True)
            yield from [close] if len(start) <= WIDTH else [close, "    );"]
            yield "  },"
        yield "};"


class _QueryType:
    """The query options of a method, as one parameter."""

    def __init__(self, query: Sequence[str]) -> None:
        self._query = query

    def parameter(self, name: str) -> str:
        quote = _mixed(list(self._query))
        inner = "; ".join(f"{_key(key, quote=quote)}?: Arg | undefined" for key in self._query)
        return f"{name}: {{ {inner} }} = {{}}"


# ------------------------------------------------------------------------------------------- words


def _parameters(method: model.Method) -> tuple[list[str], str, str]:
    """The names of a method's parameters: of the route, the payload's, and the query's."""
    taken = names.Names(_WORDS)
    args = [taken.take(re.sub(r"[^A-Za-z0-9_$]", "_", name)) for name in method.args]
    return args, taken.take("payload"), taken.take("query")


def _signature(start: str, given: Sequence[str], end: str) -> Iterator[str]:
    line = f"{start}{', '.join(given)}{end}"
    if len(line) <= WIDTH:
        yield line
        return
    indent = " " * (len(start) - len(start.lstrip()))
    yield start
    for each in given:
        line = f"{indent}  {each},"
        if len(line) <= WIDTH or "{ " not in each:
            yield line
        else:
            name, _, rest = each.partition("{ ")
            yield f"{indent}  {name}{{"
            yield from (f"{indent}    {pair};" for pair in rest.removesuffix(" } = {}").split("; "))
            yield f"{indent}  }} = {{}},"
    yield indent + end


def _bracketed(start: str, words: Sequence[str], end: str, *, spaced: bool = False) -> Iterator[str]:
    """Words in brackets on one line, or one a line."""
    room = " " if spaced and words else ""
    line = f"{start}{room}{', '.join(words)}{room}{end}"
    if len(line) <= WIDTH:
        yield line
        return
    indent = " " * (len(start) - len(start.lstrip()))
    yield start
    yield from (f"{indent}  {word}," for word in words)
    yield indent + end


def _value(start: str, value: str) -> Iterator[str]:
    line = f"{start} {value},"
    if len(line) <= WIDTH:
        yield line
    else:
        yield start
        yield f"{' ' * (len(start) - len(start.lstrip()))}  {value},"


def _assigned(start: str, value: str, parts: Sequence[str]) -> Iterator[str]:
    """A type after its name; the members of a union one a line where they do not fit."""
    line = f"{start} {value};"
    indent = " " * (len(start) - len(start.lstrip()))
    if len(line) <= WIDTH or len(parts) == 1:
        yield line
        return
    yield start
    if len(joined := f"{indent}  {' | '.join(parts)};") <= WIDTH:
        yield joined
        return
    yield from (f"{indent}  | {part}{';' if number == len(parts) else ''}" for number, part in enumerate(parts, 1))


def _docs(about: str, indent: str) -> Iterator[str]:
    lines = [line.replace("*/", "*\\/") for line in text.paragraphs(about, width=WIDTH - len(indent) - 3)]
    if not lines:
        return
    if len(lines) == 1 and len(lines[0]) + len(indent) + 7 <= WIDTH:
        yield f"{indent}/** {lines[0]} */"
        return
    yield f"{indent}/**"
    yield from (f"{indent} * {line}".rstrip() for line in lines)
    yield f"{indent} */"


def _mixed(keys: Sequence[str]) -> bool:
    """Whether some of the keys of an object must be quoted; a number among them has all quoted."""
    return any(not _PLAIN.match(key) for key in keys)


def _key(key: str, *, quote: bool) -> str:
    return quoted(key) if quote and not _PLAIN.match(key) else key


def _literal(value: schemas.Scalar) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)
