// Pages on secrets: their names, one of them, and a new one. A value is shown only when it is asked for, and is edited as
// the text that it is, so that large numbers and the order of keys stay as they are.

import * as api from "./api.js";
import { button, el, empty, facts, section } from "./dom.js";
import * as forms from "./forms.js";
import { paged, whenever } from "./lists.js";
import { clear, told } from "./notices.js";
import { ago } from "./times.js";

const TOKEN = /"(?:[^"\\]|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|\s+/g;
const at = (name) => api.path`secret/${name}`;
const here = (name) => `/secrets/${encodeURIComponent(name)}`;

export function secrets(main, name) {
  if (name === undefined) return listed(main);
  if (name === "create") return created(main);
  return whenever(() => read(main, name));
}

function listed(main) {
  document.title = "Secrets";
  const found = section("Secrets", { wide: true });
  const reading = paged(found.place, {
    service: "secrets", route: "secrets", listed: "secrets", nothing: "There is no secret.",
    rows: (all) => el("ul", { class: "rows" }, all.map((each) => el("li", {}, el("a", { href: here(each) }, each)))),
  });
  main.replaceChildren(
    el("div", { class: "head" }, el("h1", {}, "Secrets"), el("a", { class: "button main", href: "/secrets/create" }, "Create a secret")),
    el("p", { class: "lead" }, "JSON objects under names, sealed in the database, for those who may read them."), found.element);
  return whenever(reading);
}

async function read(main, name) {
  document.title = name;
  try {
    const text = await api.call("GET", "secrets", at(name), { raw: true });
    shown(main, name, inner(text), JSON.parse(text).expires);
  } catch (refusal) {
    main.replaceChildren(el("h1", {}, name), empty("There is nothing to show. ", el("a", { href: "/secrets" }, "All secrets")));
    told(refusal);
  }
}

/** The text of the secret within a reply. */
function inner(text) {
  return text.slice(text.indexOf(":") + 1, text.lastIndexOf(",\"expires\""));
}

/** JSON text with its lines broken and indented; what stands in it is not read, so nothing changes. */
export function indented(text) {
  let depth = 0;
  const broken = () => `\n${"  ".repeat(depth)}`;
  return text.replaceAll(TOKEN, (found) => {
    if (found[0] === "\"") return found;
    if (/^[{[]\s*[}\]]$/.test(found)) return found[0] + found.at(-1);
    if (found === "{" || found === "[") { depth += 1; return found + broken(); }
    if (found === "}" || found === "]") { depth -= 1; return broken() + found; }
    if (found === ",") return found + broken();
    return found === ":" ? ": " : "";
  });
}

function shown(main, name, value, expires) {
  const about = section("Secret");
  about.place.replaceChildren(
    facts([["Expires", ago(expires)], ["Read with", el("code", {}, `secrets:get:${name}`)], ["Changed with", el("code", {}, `secrets:set:${name}`)]]),
    el("p", { class: "buttons group-buttons" }, forms.danger("Delete", `Delete the secret ${name}?`, () => remove(name))));
  const content = section("Value");
  const open = button("Show and change", () => content.place.replaceChildren(editor(name, indented(value), expires, "Save", (kept) => {
    clear();
    shown(main, name, kept.value, kept.expires);
  })));
  content.place.replaceChildren(empty("It is not shown, in case someone looks on."), el("p", { class: "buttons group-buttons" }, open));
  main.replaceChildren(el("h1", {}, name), el("div", { class: "columns" }, el("div", {}, content.element), el("div", {}, about.element)));
}

function editor(name, value, expires, send, then) {
  const naming = name === null && forms.field("Name", forms.line("name", "", { required: true }), "Such as project/builds/token. Scopes are given by name, and by its beginning.");
  return forms.form(send, async (given) => {
    const kept = { name: name ?? given.name.value.trim(), value: given.value.value, expires: forms.moved(given.expires) };
    object(kept.value);
    await api.call("PUT", "secrets", at(kept.name), { text: `{"secret":${kept.value},"expires":${JSON.stringify(kept.expires)}}` });
    then(kept);
  }, naming, forms.field("Value", forms.area("value", value, { rows: Math.min(30, value.split("\n").length + 2) }), "A JSON object."), forms.field("Expires", forms.moment("expires", expires), "In your own time."));
}

function object(text) {
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new Error(`The value is no JSON: ${error.message}`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new Error("The value is no JSON object: write it in braces, such as {\"token\": \"…\"}.");
}

async function remove(name) {
  clear();
  try {
    await api.call("DELETE", "secrets", at(name));
    location.assign("/secrets");
  } catch (refusal) {
    told(refusal);
  }
}

function created(main) {
  document.title = "Create a secret";
  main.replaceChildren(el("h1", {}, "Create a secret"), el("section", { class: "card" }, editor(null, "{\n  \n}", forms.fromNow("1 year"), "Create", ({ name, value, expires }) => {
    history.replaceState(null, "", here(name));
    shown(main, name, value, expires);
  })));
}
