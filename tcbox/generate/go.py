"""Writes a package for Go: structs, a client a service, exchanges, on the standard library alone. As gofmt has it.

Go has no unions: where a value is one of several objects, a struct has the keys of all, and its comment says which go
together. What has no form that Go could tell is a json.RawMessage, so it comes back exactly as it went in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources

from tcbox.generate import model, names, schemas, text

_PROSE = 116
_RAW = "json.RawMessage"
_SCALARS = {"string": "string", "time": "Time", "integer": "int64", "number": "float64", "boolean": "bool", "null": _RAW}
_HEAD = f"// {text.MARK}"
_BUILD = "//go:build go1.24"
_TAKEN = {
    "Credentials", "Options", "Ptr", "Slugid", "Time", "At", "Binding", "Error", "MismatchError", "Page", "Pages", "InstanceVersion", "Digests",
}  # fmt: skip
_WORDS = {
    "break", "case", "chan", "const", "continue", "default", "defer", "else", "fallthrough", "for", "func", "go", "goto", "if", "import", "interface", "map",
    "package", "range", "return", "select", "struct", "switch", "type", "var", "c", "ctx", "err", "result", "json", "time", "context", "string", "error", "nil",
    "bind", "values", "word", "method", "made", "client", "answer", "entry", "contract",
}  # fmt: skip


def write(instance: model.Instance, package: str) -> dict[str, str]:
    """All files by name."""
    taken, files = names.Names(_TAKEN), names.Names({"client", "contract", "version"})
    part = resources.files("tcbox.generate").joinpath("parts", "client.go.in").read_text("utf-8")
    return {
        "client.go": part.replace("@MARK@", text.MARK).replace("@PACKAGE@", package),
        "contract.go": _contract(instance, package),
        "version.go": _version(instance, package),
        **{f"{files.take(_file(service))}.go": "\n".join(_Module(instance, service, package, taken).lines()) + "\n" for service in instance.services},
    }


def _file(service: model.Service) -> str:
    """The name of a service's file, without what would bind it to a machine or to tests."""
    return "".join(names.words(service.name)) or "service"


def _header(package: str) -> list[str]:
    return [_HEAD, "", _BUILD, "", f"package {package}", ""]


def _version(instance: model.Instance, package: str) -> str:
    lines = [*_header(package), "// InstanceVersion is the version of the instance that this package was made from."]
    lines += [f"const InstanceVersion = {_quoted(instance.release)}", ""]
    lines += ["// Digests are of each service's methods, exchanges and schemas: two instances with the same digest are called alike."]
    lines.append("var Digests = map[string]string{")
    lines += _aligned([(f"{_quoted(service.name)}:", f"{_quoted(service.digest)},") for service in instance.services])
    return "\n".join([*lines, "}"]) + "\n"


def _contract(instance: model.Instance, package: str) -> str:
    lines = [*_header(package), "// contract is what this package was made from, for telling how an instance differs; read only when one does."]
    lines.append("var contract = map[string]string{")
    for path, packed in text.contract(instance).items():
        lines += ["", f"\t{_quoted(path)}: {_raw(packed)},"] if lines[-1] != "var contract = map[string]string{" else [f"\t{_quoted(path)}: {_raw(packed)},"]
    return "\n".join([*lines, "}"]) + "\n"


class _Module:
    """The file of one service."""

    def __init__(self, instance: model.Instance, service: model.Service, package: str, taken: names.Names) -> None:
        self._instance = instance
        self._service = service
        self._package = package
        self._taken = taken
        self._prefix = names.exported(service.name)
        self._class = taken.take(self._prefix)
        self._variable = f"made{self._class}"
        self._types = schemas.Types(service.name, instance.schemas)
        self._named: dict[str, str] = {}
        self._order: list[str] = []

    def lines(self) -> Iterator[str]:
        """The whole file."""
        for method in self._service.methods:  # so that types are told in the order of the methods
            for ref in filter(None, (method.input, method.output)):
                self._shown(self._types.named(ref))
        methods = [line for method in self._service.methods for line in self._method(method)]
        events = list(self._events()) if self._service.exchanges else []
        types: list[str] = []
        told = 0
        while told < len(self._order):
            types += self._declaration(self._types.declared[self._order[told]])
            told += 1
        body = [*self._made(), *self._client(), *methods, *events, *types]
        said = "\n".join(body)
        yield from _header(self._package)
        wanted = [name for name, mark in (("context", "context."), ("encoding/json", "json."), ("time", "time.")) if mark in said]
        if len(wanted) == 1:
            yield from (f'import "{wanted[0]}"', "")
        elif wanted:
            yield from ("import (", *(f'\t"{name}"' for name in wanted), ")", "")
        yield from body[:-1] if body[-1] == "" else body

    # ---------------------------------------------------------------- types

    def _name(self, name: str) -> str:
        if name not in self._named:
            self._named[name] = self._taken.take(self._prefix + names.exported(name))
            self._order.append(name)
        return self._named[name]

    def _shown(self, kind: schemas.Type) -> str:
        kind, null = schemas.nullable(kind)
        shown = self._solid(kind)
        return f"*{shown}" if null and not self._nilable(kind, shown) else shown

    def _solid(self, kind: schemas.Type) -> str:
        match kind:
            case schemas.Plain(name):
                return _SCALARS[name]
            case schemas.OneValue(values):
                return _of_values(values)
            case schemas.List(item):
                return f"[]{self._shown(item)}"
            case schemas.Map(value):
                return _RAW if value == schemas.Anything() else f"map[string]{self._shown(value)}"
            case schemas.Named(name):
                return self._name(name)
            case schemas.Choice(members) if all(_is_text(member) for member in members):
                return "string"
            case _:
                return _RAW

    def _nilable(self, kind: schemas.Type, shown: str) -> bool:
        """Whether a type has a value of its own for what is not there."""
        if isinstance(kind, schemas.Named):
            body = self._struct(self._types.declared[kind.name].body)
            return not isinstance(body, schemas.Struct) and self._nilable(body, self._shown(body))
        return shown == _RAW or shown.startswith(("[]", "map[", "*"))

    def _struct(self, body: schemas.Struct | schemas.Type) -> schemas.Struct | schemas.Type:
        """A declaration's body, with one struct for several."""
        if isinstance(body, schemas.Choice):
            structs = self._structs(body)
            if structs:
                return _together(structs)
        return body

    def _structs(self, body: schemas.Struct | schemas.Type) -> list[schemas.Struct]:
        """The structs of which a value is one; none when it may be something else as well."""
        match body:
            case schemas.Struct():
                return [body]
            case schemas.Named(name):
                return self._structs(self._types.declared[name].body)
            case schemas.Choice(members):
                found = [self._structs(member) for member in members]
                return [each for some in found for each in some] if all(found) else []
            case _:
                return []

    def _declaration(self, declaration: schemas.Declaration) -> Iterator[str]:
        name = self._named[declaration.name]
        body = self._struct(declaration.body)
        if isinstance(body, schemas.Struct):
            forms = self._structs(declaration.body)
            yield from _docs(f"{name}: {declaration.about or declaration.name}", *_forms(forms))
            yield from self._fields(name, body)
            return
        yield from _docs(f"{name}: {declaration.about or declaration.name}")
        if isinstance(body, schemas.OneValue) and _of_values(body.values) == "string":
            yield from (f"type {name} string", "", f"// Values of {name}.", "const (")
            taken = self._taken
            values = [value for value in body.values if isinstance(value, str)]
            yield from _aligned([(taken.take(name + names.exported(value)), f"{name} = {_quoted(value)}") for value in values])
            yield from (")", "")
        else:
            shown = self._shown(body)
            yield from (f"type {name} {'' if shown.startswith(('[]', 'map[')) else '= '}{shown}", "")

    def _fields(self, name: str, struct: schemas.Struct) -> Iterator[str]:
        own = names.Names({"Others", "NextToken", "MarshalJSON", "UnmarshalJSON"})
        if not struct.fields and not struct.open:
            yield from (f"type {name} struct{{}}", "")
            return
        token = ""
        yield f"type {name} struct {{"
        for number, each in enumerate(struct.fields):
            if number:
                yield ""
            field = own.take(names.exported(each.key))
            shown = self._shown(each.type)
            yield from text.indented(_docs(each.about), "\t")
            option = ""
            if not each.required:
                nilable = self._nilable(schemas.nullable(each.type)[0], shown)
                option = ",omitzero" if nilable and not shown.startswith("*") else ",omitempty"
                shown = shown if nilable or shown.startswith("*") else f"*{shown}"
            yield f"\t{field} {shown} `json:{_quoted(each.key + option)}`"
            if each.key == "continuationToken" and shown in ("string", "*string"):
                token = f"p.{field}" if shown == "string" else f"*p.{field}"
        if struct.open:
            yield from (["", "\t// Others are the keys besides these."] if struct.fields else ["\t// Others are all keys."])
            yield '\tOthers map[string]json.RawMessage `json:"-"`'
        yield from ("}", "")
        if token:
            yield "// NextToken asks for the next page; it is empty on the last one."
            yield f"func (p *{name}) NextToken() string {{"
            if token.startswith("*"):
                yield from (f"\tif {token[1:]} == nil {{", '\t\treturn ""', "\t}")
            yield from (f"\treturn {token}", "}", "")
        if struct.open:
            keys = "".join(f", {_quoted(each.key)}" for each in struct.fields)
            yield "// MarshalJSON writes all keys."
            yield f"func (v {name}) MarshalJSON() ([]byte, error) {{"
            yield from (f"\ttype plain {name}", "\treturn joined(plain(v), v.Others)", "}", "")
            yield "// UnmarshalJSON keeps all keys."
            yield f"func (v *{name}) UnmarshalJSON(raw []byte) error {{"
            yield from (f"\ttype plain {name}", f"\tothers, err := parted(raw, (*plain)(v){keys})", "\tv.Others = others", "\treturn err", "}", "")

    # ---------------------------------------------------------------- clients

    def _made(self) -> Iterator[str]:
        service = self._service
        yield f"var {self._variable} = &made{{"
        pairs = [("service", service.name), ("apiVersion", service.version), ("release", service.release or self._instance.release)]
        pairs += [("digest", service.digest), ("agent", text.agent("go", self._instance, service))]
        yield from _aligned([(f"{key}:", f"{_quoted(value)},") for key, value in pairs])
        yield "\tmethods: map[string]method{"
        for method in service.methods:
            required = text.required(self._instance, method)
            parts = [f"verb: {_quoted(method.verb)}", f"route: {_quoted(method.route)}"]
            if method.args:
                parts.append(f"args: {_strings(method.args)}")
            if required is not None:
                parts.append('answer: "object"')
            if required:
                parts.append(f"required: {_strings(required)}")
            yield from [] if method is service.methods[0] else [""]  # apart, so that nothing is aligned
            yield f"\t\t{_quoted(method.name)}: {{{', '.join(parts)}}},"
        yield from ("\t},", "}", "")

    def _client(self) -> Iterator[str]:
        yield from _docs(f"{self._class}: {self._service.title}.", self._service.description)
        yield from (f"type {self._class} struct{{ client *client }}", "")
        yield f"// New{self._class} makes a client of the service; options may be nil for those of the environment."
        yield f"func New{self._class}(options *Options) (*{self._class}, error) {{"
        yield f"\tclient, err := newClient({self._variable}, options)"
        yield from ("\tif err != nil {", "\t\treturn nil, err", "\t}", f"\treturn &{self._class}{{client}}, nil", "}", "")

    def _method(self, method: model.Method) -> Iterator[str]:
        name = names.exported(method.name)
        taken = names.Names(_WORDS)
        args = [taken.take(names.unexported(arg)) for arg in method.args]
        given = ["ctx context.Context", *([f"{', '.join(args)} string"] if args else [])]
        payload, query = "nil", "nil"
        if method.input:
            payload = taken.take("payload")
            shown = self._shown(self._types.named(method.input))
            given.append(f"{payload} {shown if self._nilable(self._types.named(method.input), shown) else f'*{shown}'}")
        if method.query:
            query, options = taken.take("options"), self._taken.take(f"{self._class}{name}Options")
            yield from self._options(name, options, method)
            given.append(f"{query} *{options}")
            query = f"{query}.values()"
        call = f"c.client.call(ctx, {_quoted(method.name)}, {_strings(args, quoted=False)}, {query}, {payload}"
        yield from _docs(*self._told(name, method))
        start = f"func (c *{self._class}) {name}({', '.join(given)})"
        if method.blob or (method.output is None and method.verb == "get"):
            yield from (f"{start} ([]byte, error) {{", "\tvar result []byte", f"\terr := {call}, &result)", "\treturn result, err", "}", "")
        elif method.output is None:
            yield from (f"{start} error {{", f"\treturn {call}, nil)", "}", "")
        else:
            shown = self._shown(self._types.named(method.output))
            if self._nilable(self._types.named(method.output), shown):
                yield from (f"{start} ({shown}, error) {{", f"\tvar result {shown}", f"\tif err := {call}, &result); err != nil {{")
            else:
                yield from (f"{start} (*{shown}, error) {{", f"\tresult := new({shown})", f"\tif err := {call}, result); err != nil {{")
            yield from ("\t\treturn nil, err", "\t}", "\treturn result, nil", "}", "")
        if method.verb == "get" and method.signed:
            url = f"{name}SignedURL"
            yield f"// {url} is a URL of {name} that is good for a while, for whoever has no credentials."
            given = [*([f"{', '.join(args)} string"] if args else []), *([given[-1]] if method.query else []), "duration time.Duration"]
            yield f"func (c *{self._class}) {url}({', '.join(given)}) (string, error) {{"
            yield f"\treturn c.client.signedURL({_quoted(method.name)}, {_strings(args, quoted=False)}, {query}, duration)"
            yield from ("}", "")

    def _told(self, name: str, method: model.Method) -> list[str]:
        description = "" if method.description.strip() == method.title.strip() else method.description
        stability = {"stable": "", "deprecated": "Deprecated: use another method."}.get(method.stability, f"This method is {method.stability}.")
        return [f"{name}: {method.title or method.name}.", description, stability]

    def _options(self, name: str, options: str, method: model.Method) -> Iterator[str]:
        own = names.Names()
        fields = [(own.take(names.exported(key)), key) for key in method.query]
        yield f"// {options} are the query options of {name}; what is empty is left out."
        yield f"type {options} struct {{"
        yield from _aligned([(field, "string") for field, _ in fields])
        yield from ("}", "", f"func (o *{options}) values() map[string][]string {{", "\tif o == nil {", "\t\treturn nil", "\t}")
        pairs = ", ".join(f"{_quoted(key)}, o.{field}" for field, key in fields)
        yield from (f"\treturn values({pairs})", "}", "")

    # ---------------------------------------------------------------- exchanges

    def _events(self) -> Iterator[str]:
        events = self._taken.take(f"{self._class}Events")
        yield from (f"// {events} are the exchanges of the service {self._service.name}, and what to bind a queue to.", f"type {events} struct{{}}", "")
        for exchange in self._service.exchanges:
            name = names.exported(exchange.name)
            wanted = [word for word in exchange.words if word.constant is None]
            message = self._shown(self._types.named(exchange.schema))
            key = self._taken.take(f"{self._class}{name}Key")
            own = names.Names()
            fields = {word.name: own.take(names.exported(word.name)) for word in wanted}
            if wanted:
                yield f"// {key} has the wanted words of the routing keys of {name}; what is empty may be anything."
                yield f"type {key} struct {{"
                for number, word in enumerate(wanted):
                    yield from [""] if number else []
                    yield from text.indented(_docs(word.summary), "\t")
                    yield f"\t{fields[word.name]} string"
                yield from ("}", "")
            yield from _docs(f"{name}: {exchange.title}.", exchange.description, f"Its messages are {message}.")
            yield f"func ({events}) {name}({f'key {key}' if wanted else ''}) (Binding, error) {{"
            yield f"\treturn bind({_quoted(exchange.address)}, []word{{"
            for word in exchange.words:
                parts = [f"name: {_quoted(word.name)}"]
                parts.append(f"constant: {_quoted(word.constant)}" if word.constant is not None else f"wanted: key.{fields[word.name]}")
                yield f"\t\t{{{', '.join([*parts, *(['several: true'] if word.several else [])])}}},"
            yield from ("\t})", "}", "")


# ------------------------------------------------------------------------------------------- words


def _of_values(values: Sequence[schemas.Scalar]) -> str:
    for kind, shown in ((str, "string"), (bool, "bool"), (int, "int64"), (float, "float64")):
        if all(type(value) is kind for value in values):
            return shown
    return _RAW


def _is_text(kind: schemas.Type) -> bool:
    return kind in (schemas.Plain("string"), schemas.Plain("time")) or (isinstance(kind, schemas.OneValue) and _of_values(kind.values) == "string")


def _together(structs: Sequence[schemas.Struct]) -> schemas.Struct:
    """One struct that has room for each of several."""
    made: dict[str, schemas.Field] = {}
    for struct in structs:
        for each in struct.fields:
            before = made.get(each.key)
            kind = each.type if before is None or before.type == each.type else _either(before.type, each.type)
            everywhere = all(any(other.key == each.key and other.required for other in one.fields) for one in structs)
            made[each.key] = schemas.Field(each.key, kind, everywhere, before.about if before is not None else each.about)
    return schemas.Struct(tuple(made.values()), any(struct.open for struct in structs))


def _either(one: schemas.Type, other: schemas.Type) -> schemas.Type:
    if isinstance(one, schemas.OneValue) and isinstance(other, schemas.OneValue) and _is_text(one) and _is_text(other):
        return schemas.OneValue((*one.values, *(value for value in other.values if value not in one.values)))
    return schemas.Plain("string") if _is_text(one) and _is_text(other) else schemas.Anything()


def _forms(structs: Sequence[schemas.Struct]) -> list[str]:
    """Which keys of a struct that stands for several go together."""
    if len(structs) < 2:
        return []
    lines = []
    for struct in structs:
        parts = []
        for each in struct.fields:
            value = each.type.values[0] if isinstance(each.type, schemas.OneValue) and len(each.type.values) == 1 else None
            parts.append(each.key + (f" {json.dumps(value)}" if value is not None else "") + ("" if each.required else " (optional)"))
        lines.append(f"- {', '.join(parts) or 'nothing'}")
    return ["It has one of these forms:\n\n" + "\n".join(lines)]


def _docs(*about: str) -> Iterator[str]:
    """A comment, as gofmt has it: lists are set in, and a line that stands alone ends like a sentence, since it would be a heading."""
    listed = False
    lines = ["", *text.paragraphs(*about, width=_PROSE - 1), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        line += "." if not before and not after and line[-1:].isalnum() else ""  # noqa: PLW2901 - the same line
        item = re.match(r"\s*(?:[*-]|(\d+)\.) +(.*)", line)
        if item:
            yield f"//   - {item[2]}" if item[1] is None else f"//  {item[1]}. {item[2]}"
            listed = True
        elif listed and line.startswith("  "):
            yield f"//     {line.strip()}"
        elif line:
            if listed and line[:1] != " ":
                listed = False
            yield f"// {line.lstrip()}" if not line.startswith("    ") else f"//\t{line.strip()}"
        else:
            listed = False
            yield "//"


def _aligned(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Two columns, one level in."""
    width = max((len(first) for first, _ in pairs), default=0)
    yield from (f"\t{first:<{width}} {second}" for first, second in pairs)


def _strings(values: Sequence[str], *, quoted: bool = True) -> str:
    if not values:
        return "nil"
    return "[]string{" + ", ".join(map(_quoted, values) if quoted else values) + "}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _raw(value: str) -> str:
    return _quoted(value) if "`" in value else f"`{value}`"
