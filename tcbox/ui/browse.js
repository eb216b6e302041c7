// The pages of the index: what is in a namespace, and the task that a name stands for, with its artifacts.

import * as api from "./api.js";
import { badge, button, copyable, el, empty, facts, indexLink, section, show, table, taskLink } from "./dom.js";
import { clear, told } from "./notices.js";
import { poll } from "./poll.js";
import { reader } from "./reader.js";
import { ago } from "./times.js";

const PAUSE = 10_000;

/** Show a path of the index, which may be a namespace, a name, or both; "" is the root. */
export function browse(main, path) {
  const page = new IndexPage(main, path);
  page.refresh = poll(() => page.step());
}

class IndexPage {
  constructor(main, path) {
    Object.assign(this, { main, path, taskId: null, about: null });
    document.title = path ? `${path}: index` : "Index";
    this.entry = section("Task");
    this.artifacts = section("Artifacts");
    this.namespaces = new Listing(this, "Namespaces", "namespaces", (found) => el("ul", { class: "rows" }, found.map((each) => el("li", {}, indexLink(each.namespace, each.name)))));
    this.tasks = new Listing(this, "Tasks", "tasks", (found) => table("Tasks", ["Name", "Task", "Rank", "Expires"], found.map((each) => [
      indexLink(each.namespace, each.namespace.split(".").at(-1)), taskLink(each.taskId), String(each.rank), ago(each.expires)])));
    this.lay();
  }

  lay() {
    const words = this.path ? this.path.split(".") : [];
    const crumbs = words.map((word, at) => [" . ", at < words.length - 1 ? indexLink(words.slice(0, at + 1).join("."), word) : el("span", { "aria-current": "page" }, word)]);
    const wanted = el("input", { name: "path", placeholder: "project.nightly.linux", "aria-label": "Name or namespace", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true });
    const go = (event) => {
      event.preventDefault();
      location.assign(`/index/${encodeURIComponent(wanted.value.trim().replace(/^index\./, ""))}`);
    };
    this.entry.element.hidden = this.artifacts.element.hidden = true;
    this.main.replaceChildren(
      el("h1", {}, this.path ? indexLink("", "Index") : "Index", crumbs),
      el("p", { class: "lead" }, this.path ? copyable(this.path) : "Names that stand for tasks."),
      el("form", { class: "filter go", onsubmit: go }, wanted, el("button", {}, "Go")),
      el("div", { class: "grid" }, this.entry.element, this.artifacts.element, this.namespaces.element, this.tasks.element));
  }

  async step() {
    await Promise.all([this.look(), this.namespaces.load(), this.tasks.load()]);
    const nothing = !this.taskId && !this.namespaces.found.length && !this.tasks.found.length;
    this.namespaces.element.hidden = !nothing && !this.namespaces.found.length && Boolean(this.taskId);
    this.tasks.element.hidden = !nothing && !this.tasks.found.length && Boolean(this.taskId);
    return PAUSE;
  }

  /** The task that the path stands for, if there is one. */
  async look() {
    if (!this.path) return;
    let entry = null;
    try {
      entry = await api.call("GET", "index", api.path`task/${this.path}`);
    } catch (refusal) {
      if (refusal.status !== 404) throw refusal;
    }
    this.taskId = entry?.taskId ?? null;
    this.entry.element.hidden = this.artifacts.element.hidden = !entry;
    if (!entry) return;
    const at = api.path`task/${entry.taskId}`;
    const [about, artifacts] = await Promise.all([this.task(at), this.list(at)]);
    show(this.entry.place, [entry, about], () => [
      facts([
        ["Task", [taskLink(entry.taskId, about.name), " ", about.state && badge(about.state)]], ["Task ID", copyable(entry.taskId)],
        ["Rank", String(entry.rank)], ["Expires", ago(entry.expires)],
      ]),
      Object.keys(entry.data).length > 0 && [el("h3", {}, "Data"), el("pre", { class: "source", tabindex: "0" }, JSON.stringify(entry.data, null, 2))],
      el("p", { class: "buttons group-buttons" }, button("Remove from the index", () => this.remove())),
    ]);
    show(this.artifacts.place, [entry.namespace, artifacts], () => (artifacts.length ? [
      el("p", { class: "hint" }, "These addresses lead to the artifacts of whichever task the name stands for."),
      table("Artifacts", ["Name", "Type", "Expires"], artifacts.map((each) => [
        reader(api.address("index", api.path`task/${this.path}/artifacts/${each.name}`), each.name), el("span", { class: "hint" }, each.contentType), ago(each.expires)])),
    ] : empty("None.")));
  }

  /** What the queue tells of the task; a task that is gone, or not to be seen, is shown by its ID alone. */
  async task(at) {
    try {
      const [definition, { status }] = await Promise.all([api.call("GET", "queue", at), api.call("GET", "queue", `${at}/status`)]);
      return { name: definition.metadata?.name, state: status.state };
    } catch (refusal) {
      if (refusal.status === 404) return { name: `${this.taskId}, which the queue does not have any more` };
      told(refusal);
      return {};
    }
  }

  async list(at) {
    try {
      return await api.all("GET", "queue", `${at}/artifacts`, "artifacts");
    } catch (refusal) {
      if (refusal.status !== 404) told(refusal);
      return [];
    }
  }

  async remove() {
    if (!confirm(`Remove ${this.path} from the index? The task itself stays.`)) return;
    clear();
    try {
      await api.call("DELETE", "index", api.path`task/${this.path}`);
    } catch (refusal) {
      told(refusal);
    }
    this.refresh();
  }
}

/** One of the lists of a namespace: as many pages as were asked for, of which some may be filtered out. */
class Listing {
  constructor(page, title, name, make) {
    Object.assign(this, { page, title, name, make, found: [], pages: 1, more: false });
    const { place, heading, element } = section(title, { wide: name === "tasks" });
    Object.assign(this, { place, heading, element });
    this.filter = el("input", { type: "search", placeholder: "Name", "aria-label": `Show only ${name} whose name has`, oninput: () => this.draw() });
    this.bar = el("div", { class: "filter" }, this.filter);
    this.bar.hidden = true;
    heading.after(this.bar);
  }

  async load() {
    const found = [];
    let continuationToken;
    for (let page = 0; page < this.pages && (page === 0 || continuationToken); page += 1) {
      const reply = await api.call("GET", "index", `${this.name}/${encodeURIComponent(this.page.path)}`, { query: { continuationToken } });
      found.push(...reply[this.name]);
      continuationToken = reply.continuationToken;
    }
    Object.assign(this, { found, more: Boolean(continuationToken) });
    this.draw();
  }

  draw() {
    const text = this.filter.value.trim().toLowerCase();
    const kept = this.found.filter((each) => each.namespace.split(".").at(-1).toLowerCase().includes(text));
    this.bar.hidden = this.found.length < 10;
    this.heading.textContent = kept.length === this.found.length ? `${kept.length}${this.more ? "+" : ""} ${this.title.toLowerCase()}` : `${kept.length} of ${this.found.length} ${this.title.toLowerCase()}`;
    show(this.place, [kept, this.more, text], () => [
      kept.length ? this.make(kept) : empty(this.found.length ? "None is like that. Change the filter above." : `No ${this.name} here.`),
      this.more && button("Show more", async () => { this.pages += 1; await this.load().catch(told); }),
    ]);
  }
}
