// Lists that come in pages: the first is shown at once, more when they are asked for.

import * as api from "./api.js";
import { button, el, empty } from "./dom.js";
import { told } from "./notices.js";

/** A place that shows a list; `rows` turns all entries so far into elements. Gives a function that reads anew, with a query. */
export function paged(place, { service, route, listed, nothing, rows }) {
  let turn = 0;
  const read = async (query, found, token, mine) => {
    const page = await api.call("GET", service, route, { query: { ...query, continuationToken: token } });
    if (mine !== turn) return;
    found.push(...page[listed]);
    const next = page.continuationToken;
    place.replaceChildren(
      ...(found.length ? [rows(found)] : [empty(nothing)]),
      ...(next ? [el("p", {}, button("Show more", () => read(query, found, next, mine).catch(told)))] : []));
  };
  return (query = {}) => {
    turn += 1;
    return read(query, [], "", turn).catch((refusal) => {
      place.replaceChildren(empty("There is nothing to show."));
      told(refusal);
    });
  };
}

/** Read now, and again whenever someone signs in or out. */
export function whenever(read) {
  for (const name of ["signed-in", "signed-out"]) addEventListener(name, () => read());
  return read();
}
