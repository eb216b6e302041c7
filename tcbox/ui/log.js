// A log that is shown while it grows, in blocks that the browser lays out only when they are looked at.

import { pieces, styled } from "./ansi.js";
import { el } from "./dom.js";

const BLOCK = 500; // lines
const MOST = 200; // blocks that are kept
const LONGEST = 20_000; // characters of a line; a longer one is broken
const SLICE = 128 * 1024; // characters that are dealt with before the browser may do other things
const OWN = /^\[taskcluster(:warn|:error)?[ \]]/;

/** Shows lines; scrolls along until its reader scrolls back. */
export class LogView {
  constructor() {
    this.box = el("div", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" });
    this.follow = el("input", { type: "checkbox", checked: true, onchange: () => this.scroll() });
    this.said = el("span", { class: "hint", role: "status" });
    this.count = el("span", { class: "hint" });
    this.bar = el("div", { class: "bar" }, el("label", {}, this.follow, " Follow"), this.said, this.count);
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.clear();
  }

  clear() {
    this.lines = 0;
    this.dropped = 0;
    this.rest = "";
    this.plain = "";
    this.style = null;
    this.block = null;
    this.due = null;
    this.box.hidden = true;
    this.tail = el("div", { class: "tail" });
    this.top = el("div", { class: "cut", hidden: true });
    this.box.replaceChildren(this.top, this.tail);
    this.tell("");
  }

  /** What is going on, in a few words beside the log. */
  tell(words) {
    this.said.textContent = words;
    this.count.textContent = this.lines ? `${this.lines.toLocaleString("en")} lines` : "";
  }

  /** Append text, giving way to the browser in between. */
  async write(text) {
    for (let at = 0; at < text.length; at += SLICE) {
      this.append(text.slice(at, at + SLICE));
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  append(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    while (this.rest.length > LONGEST) {
      lines.push(this.rest.slice(0, LONGEST));
      this.rest = this.rest.slice(LONGEST);
    }
    for (const line of lines) this.line(line);
    this.flush();
    this.due ??= setTimeout(() => this.settle(), 100);
  }

  settle() {
    this.due = null;
    this.box.hidden = !this.lines && !this.rest;
    this.tail.replaceChildren(...this.nodes(this.rest)[0]);
    this.count.textContent = `${this.lines.toLocaleString("en")} lines`;
    this.scroll();
  }

  line(line) {
    if (this.lines % BLOCK === 0) this.fresh();
    this.lines += 1;
    const [nodes, style] = this.nodes(line);
    this.style = style;
    for (const node of nodes) this.put(node);
    this.put("\n");
  }

  put(node) {
    if (typeof node === "string") this.plain += node;
    else {
      this.flush();
      this.block.append(node);
    }
  }

  flush() {
    if (this.plain) this.block.append(this.plain);
    this.plain = "";
  }

  fresh() {
    this.flush();
    this.block = el("div", { class: "block" });
    this.tail.before(this.block);
    if (this.box.children.length - 2 <= MOST) return;
    this.top.nextSibling.remove();
    this.dropped += BLOCK;
    this.top.hidden = false;
    this.top.textContent = `The first ${this.dropped.toLocaleString("en")} lines are left out here; the raw log has them.`;
  }

  nodes(line) {
    const shown = line.endsWith("\r") ? line.slice(line.lastIndexOf("\r", line.length - 2) + 1, -1) : line.slice(line.lastIndexOf("\r") + 1);
    const own = OWN.exec(shown);
    if (own) return [[el("span", { class: `own${(own[1] ?? "").replace(":", " ")}` }, pieces(shown, null)[0].map(([text]) => text))], null];
    // eslint-disable-next-line no-control-regex
    if (!this.style && !/[\x00-\x08\x0b-\x1f\x7f]/.test(shown)) return [[shown], null];
    const [found, style] = pieces(shown, this.style);
    return [found.map(([text, look]) => (look ? styled(text, look) : text)), style];
  }

  scroll() {
    if (!this.follow.checked) return;
    this.box.scrollTop = this.box.scrollHeight;
    this.last = this.box.scrollTop;
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    if (scrollHeight - scrollTop - clientHeight < 8) this.follow.checked = true;
    else if (scrollTop < this.last) this.follow.checked = false;
    this.last = scrollTop;
  }
}
