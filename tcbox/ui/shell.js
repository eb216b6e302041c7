// A shell in a running task: a terminal over the WebSocket of a docker worker (version 1) or a generic one (version 2).

import { styled } from "./ansi.js";
import { el } from "./dom.js";
import { Screen } from "./screen.js";

const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D",
  Home: "\x1b[H", End: "\x1b[F", Delete: "\x1b[3~", Insert: "\x1b[2~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
}; // prettier-ignore
const COMMAND = ["sh", "-c", "if command -v bash >/dev/null; then exec bash -i; else exec sh -i; fi"];
const ENDED = { 200: "The shell has ended.", 201: "The task is over, and the shell with it." };

const joined = (code, bytes) => Uint8Array.of(code, ...bytes);
const size = (rows, columns) => [rows & 255, rows >> 8, columns & 255, columns >> 8];

/** How each version's messages look: what is sent for keys and for a size, and what a message says. */
const VERSIONS = {
  1: {
    address: (url) => `${url}?${new URLSearchParams([["tty", "true"], ...COMMAND.map((word) => ["command", word])])}`,
    keys: (bytes) => joined(0, bytes),
    size: (rows, columns) => joined(50, size(rows, columns)),
    heard: ([code, ...rest]) => ({
      text: code === 1 || code === 2 ? rest : [],
      over: code === 202 ? new TextDecoder().decode(Uint8Array.from(rest)) : ENDED[code],
    }),
  },
  2: {
    address: (url) => url,
    keys: (bytes) => joined(1, bytes),
    size: (rows, columns) => joined(2, size(rows, columns)),
    heard: (bytes) => ({ text: bytes }),
  },
};

export function shell(main) {
  const asked = new URLSearchParams(location.search);
  const [version, url, task] = [VERSIONS[asked.get("v")], asked.get("socketUrl") ?? "", asked.get("taskId") ?? ""];
  document.title = `Shell in ${task}`;
  const state = el("p", { class: "lead", role: "status" }, "Connecting…");
  const place = el("pre", { class: "terminal", tabindex: "0", role: "textbox", "aria-label": "Terminal", "aria-multiline": "true" });
  main.replaceChildren(el("h1", {}, "Shell in ", el("a", { href: `/tasks/${encodeURIComponent(task)}` }, task)), state, place);
  if (!version || !/^wss?:\/\//.test(url)) {
    state.textContent = "This address is no shell's: open the artifact shell.html of a running task.";
    return;
  }
  const socket = new WebSocket(version.address(url));
  socket.binaryType = "arraybuffer";
  const decoder = new TextDecoder();
  const send = (text) => socket.readyState === WebSocket.OPEN && socket.send(version.keys(new TextEncoder().encode(text)));
  const screen = new Screen(...measured(place), send);
  let waiting = false;
  let over = "";
  const show = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = false;
      draw(screen, place);
    });
  };
  const resized = () => {
    const [columns, rows] = measured(place);
    screen.size(columns, rows);
    if (socket.readyState === WebSocket.OPEN) socket.send(version.size(rows, columns));
    show();
  };
  socket.onopen = () => {
    const host = new URL(url).host;
    state.textContent = `Connected${host === location.host ? "" : ` to ${host}`}. Ctrl+Shift+C copies, Ctrl+Shift+V pastes.`;
    resized();
    place.focus();
  };
  socket.onmessage = ({ data }) => {
    const heard = version.heard(typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data));
    if (heard.over) over = heard.over;
    screen.write(decoder.decode(Uint8Array.from(heard.text), { stream: true }));
    show();
  };
  socket.onclose = () => {
    state.textContent = over || "The connection is closed: the task may be over.";
    place.classList.add("over");
  };
  place.addEventListener("keydown", (event) => {
    const text = typed(event);
    if (text === null) return;
    event.preventDefault();
    send(text);
  });
  place.addEventListener("paste", (event) => {
    event.preventDefault();
    send(event.clipboardData.getData("text").replace(/\r?\n/g, "\r"));
  });
  addEventListener("resize", resized);
}

/** What a key sends; null for those that are the browser's. */
function typed(event) {
  if (event.isComposing || event.metaKey || (event.ctrlKey && event.shiftKey)) return null;
  if (KEYS[event.key]) return KEYS[event.key];
  if (event.key.length !== 1) return null;
  const code = event.key.toUpperCase().charCodeAt(0);
  if (event.ctrlKey && !event.altKey) return event.key === " " ? "\0" : code >= 64 && code < 96 ? String.fromCharCode(code & 31) : null;
  return (event.altKey && !event.ctrlKey ? "\x1b" : "") + event.key;
}

function measured(place) {
  const probe = el("span", {}, "0".repeat(50));
  place.append(probe);
  const { width, height } = probe.getBoundingClientRect();
  probe.remove();
  return [Math.floor((place.clientWidth - 16) / (width / 50 || 8)), Math.floor((place.clientHeight - 16) / (height || 16))];
}

function draw(screen, place) {
  const near = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
  const at = screen.first + screen.y;
  place.replaceChildren(...screen.lines.map((line, number) => drawn(line, number === at ? screen.x : -1)));
  if (near) place.scrollTop = place.scrollHeight;
}

function drawn(line, cursor) {
  const made = el("div", {});
  let [text, style] = ["", null];
  const flush = () => {
    if (text) made.append(style ? styled(text, style) : text);
    text = "";
  };
  for (let x = 0; x < Math.max(line.length, cursor + 1); x++) {
    const [character, its] = line[x] ?? [" ", null];
    if (x === cursor) {
      flush();
      made.append(el("span", { class: "cursor" }, character));
      continue;
    }
    if (its !== style) flush();
    style = its;
    text += character;
  }
  flush();
  if (!made.hasChildNodes()) made.append("\u200b");
  return made;
}
