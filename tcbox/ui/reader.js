// Links to what the API gives out, which are signed when they are followed.

import * as api from "./api.js";
import { el } from "./dom.js";
import { told } from "./notices.js";

/** A link to an address of the API that opens for who has signed in, too; `url` may come later, as the link's `href`. */
export function reader(url, text) {
  const link = el("a", { href: url && String(url), target: "_blank", rel: "noopener" }, text);
  link.addEventListener("click", (event) => {
    if (!api.credentials()) return;
    event.preventDefault();
    api.readable(new URL(link.href)).then((signed) => window.open(signed, "_blank", "noopener"), told);
  });
  return link;
}
