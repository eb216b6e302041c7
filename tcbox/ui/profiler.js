// Leads to the Firefox Profiler, which reads a profile from this instance by itself.

import * as api from "./api.js";
import { el } from "./dom.js";

const PROFILER = "https://profiler.firefox.com/from-url/";

export function taskProfile(main, taskId) {
  return lead(main, "Profile of a task", api.address("web-server", api.path`task/${taskId}/profile`), `/tasks/${encodeURIComponent(taskId)}`);
}

export function groupProfile(main, taskGroupId) {
  return lead(main, "Profile of a task group", api.address("web-server", api.path`task-group/${taskGroupId}/profile`), `/groups/${encodeURIComponent(taskGroupId)}`);
}

function lead(main, title, profile, back) {
  document.title = title;
  const reached = location.protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const own = el("a", { href: profile, download: "profile.json" }, "Download the profile");
  own.addEventListener("click", async (event) => {
    if (!api.credentials()) return;
    event.preventDefault();
    location.assign(await api.readable(profile));
  });
  main.replaceChildren(
    el("h1", {}, title),
    el("p", {}, el("a", { class: "button main", href: `${PROFILER}${encodeURIComponent(profile)}`, rel: "noopener noreferrer" }, "Open in the Firefox Profiler")),
    el("p", { class: "hint" }, "The profiler is a page of Mozilla's that runs in your browser, and reads the profile from this instance. What it reads goes nowhere else. It can read only what everybody may."),
    reached ? "" : el("p", { class: "hint" }, `It cannot read from ${location.origin}, since that is neither https nor this machine: download the profile, and drop it there.`),
    el("p", { class: "links" }, own, el("a", { href: back }, "Back")));
}
