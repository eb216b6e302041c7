// The tasks and groups that were looked at in this browser, newest first.

const STORED = "tcbox.recent";
const KEPT = 12;

export function list() {
  try {
    const found = JSON.parse(localStorage.getItem(STORED)) ?? [];
    return found.filter((each) => each && typeof each.id === "string" && ["task", "group"].includes(each.kind));
  } catch {
    return [];
  }
}

/** Remember one; `name` is for people. */
export function remember(kind, id, name) {
  const others = list().filter((each) => each.kind !== kind || each.id !== id);
  write([{ kind, id, name: String(name).slice(0, 200), seen: new Date().toISOString() }, ...others].slice(0, KEPT));
}

export function forget() {
  write([]);
}

function write(entries) {
  try {
    localStorage.setItem(STORED, JSON.stringify(entries));
  } catch {
    // a browser that keeps nothing has nothing to show on the start page, and all else works
  }
}
