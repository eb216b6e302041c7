// Scopes as the pages need them: who has which, what two sets have in common, and lists to look at and to edit.

import { el, empty } from "./dom.js";

/** Whether a set has a scope, or a pattern that implies it. */
export function satisfied(scope, set) {
  return set.some((each) => each === scope || (each.endsWith("*") && scope.startsWith(each.slice(0, -1))));
}

/** What both sets give, in the fewest scopes. */
export function common(one, other) {
  const both = [...new Set([...one.filter((each) => satisfied(each, other)), ...other.filter((each) => satisfied(each, one))])];
  return both.filter((each) => !both.some((wider) => wider !== each && satisfied(each, [wider]))).sort();
}

/** The scopes in a text, one a line. */
export function parsed(text) {
  return [...new Set(text.split("\n").map((line) => line.trim()).filter(Boolean))];
}

/** A list to look at; those that assume a role lead to it. */
export function list(scopes) {
  if (!scopes.length) return empty("None.");
  return el("ul", { class: "scopes" }, scopes.map((scope) => el("li", {}, el("code", {}, shown(scope)))));
}

function shown(scope) {
  const role = scope.startsWith("assume:") && scope.slice("assume:".length);
  return role && !role.endsWith("*") ? ["assume:", el("a", { href: `/auth/roles/${encodeURIComponent(role)}` }, role)] : scope;
}
