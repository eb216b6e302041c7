// Pages on roles: all of them, one of them with all that it gives, and a new one.

import * as api from "./api.js";
import { el, empty, facts, section, table } from "./dom.js";
import * as forms from "./forms.js";
import { paged, whenever } from "./lists.js";
import { clear, told } from "./notices.js";
import * as scopes from "./scopes.js";
import { ago } from "./times.js";

const at = (roleId) => api.path`roles/${roleId}`;
const here = (roleId) => `/auth/roles/${encodeURIComponent(roleId)}`;

export function roles(main, id) {
  if (id === undefined) return listed(main);
  if (id === "create") return created(main);
  return whenever(() => read(main, id));
}

function listed(main) {
  document.title = "Roles";
  const found = section("Roles", { wide: true });
  const text = forms.line("text", "", { type: "search", placeholder: "Role ID or scope", "aria-label": "Show only roles whose ID or scopes have" });
  let all = [];
  const rows = () => {
    const wanted = text.value.trim().toLowerCase();
    const fit = all.filter((each) => [each.roleId, ...each.scopes].some((one) => one.toLowerCase().includes(wanted)));
    if (!fit.length) return empty("No role is like that. Change the filter above.");
    return table("Roles", ["Role ID", "Scopes", "Changed"], fit.map((each) => [el("a", { href: here(each.roleId) }, each.roleId), String(each.scopes.length), ago(each.lastModified)]));
  };
  const reading = paged(found.place, { service: "auth", route: "roles2/", listed: "roles", nothing: "There is no role.", rows: (given) => { all = given; return el("div", { id: "role-rows" }, rows()); } });
  text.addEventListener("input", () => document.getElementById("role-rows")?.replaceChildren(rows()));
  main.replaceChildren(
    el("div", { class: "head" }, el("h1", {}, "Roles"), el("a", { class: "button main", href: "/auth/roles/create" }, "Create a role")),
    el("p", { class: "lead" }, "Names that stand for scopes. Whoever has the scope assume:<role> has them all."), el("div", { class: "card filter" }, text), found.element);
  return whenever(reading);
}

function fields({ description, scopes: held }) {
  return [
    forms.field("Description", forms.area("description", description, { rows: 3 }), "For people, in Markdown."),
    forms.field("Scopes", forms.area("scopes", held.join("\n"), { rows: Math.min(20, held.length + 3) }), "One a line. You can give only scopes that you have. In a role that ends in *, <..> stands for what the * does."),
  ];
}

const definition = (elements) => ({ description: elements.description.value, scopes: scopes.parsed(elements.scopes.value) });

async function read(main, id) {
  document.title = id;
  try {
    shown(main, await api.call("GET", "auth", at(id)));
  } catch (refusal) {
    main.replaceChildren(el("h1", {}, id), empty("There is nothing to show. ", el("a", { href: "/auth/roles" }, "All roles")));
    told(refusal);
  }
}

function shown(main, role) {
  const about = section("Role");
  about.place.replaceChildren(
    facts([["Created", ago(role.created)], ["Changed", ago(role.lastModified)], ["Assumed with", el("code", {}, `assume:${role.roleId}`)]]),
    el("p", { class: "buttons group-buttons" }, forms.danger("Delete", `Delete the role ${role.roleId}? Whoever assumes it loses its scopes at once.`, () => remove(role.roleId))));
  const all = section("Expanded scopes");
  all.place.replaceChildren(scopes.list(role.expandedScopes));
  const change = section("Change");
  change.place.replaceChildren(forms.form("Save", async (given) => {
    shown(main, await api.call("POST", "auth", at(role.roleId), { body: definition(given) }));
  }, ...fields(role)));
  main.replaceChildren(
    el("h1", {}, role.roleId), el("p", { class: "description" }, role.description),
    el("div", { class: "columns" }, el("div", {}, change.element), el("div", {}, about.element, all.element)));
}

async function remove(roleId) {
  clear();
  try {
    await api.call("DELETE", "auth", at(roleId));
    location.assign("/auth/roles");
  } catch (refusal) {
    told(refusal);
  }
}

function created(main) {
  document.title = "Create a role";
  const query = new URLSearchParams(location.search);
  const name = forms.line("roleId", query.get("role_id") ?? "", { required: true });
  main.replaceChildren(el("h1", {}, "Create a role"), el("section", { class: "card" }, forms.form("Create", async (given) => {
    const roleId = given.roleId.value.trim();
    const role = await api.call("PUT", "auth", at(roleId), { body: definition(given) });
    history.replaceState(null, "", here(roleId));
    shown(main, role);
  }, forms.field("Role ID", name, "One that ends in * is assumed by everything with that beginning, such as login-identity:github/*"), ...fields({ description: "", scopes: [] }))));
}
