// Terminal colours: turns a line with escape sequences into styled pieces, and drops all other sequences.

// eslint-disable-next-line no-control-regex
const SEQUENCE = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f]/g;
const FLAGS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };

/** The pieces of a line as [text, style], and the style that the next line begins with; a style is null or an object. */
export function pieces(line, style) {
  const found = [];
  let at = 0;
  for (const match of line.matchAll(SEQUENCE)) {
    if (match.index > at) found.push([line.slice(at, match.index), style]);
    at = match.index + match[0].length;
    if (match[2] === "m") style = changed(style, match[1]);
  }
  if (at < line.length) found.push([line.slice(at), style]);
  return [found, style];
}

function changed(style, given) {
  const codes = given.split(/[;:]/).map(Number);
  let made = { ...style };
  while (codes.length) {
    const code = codes.shift();
    if (code === 0) made = {};
    else if (FLAGS[code]) made[FLAGS[code]] = true;
    else if (ENDS[code]) for (const flag of ENDS[code]) delete made[flag];
    else if (code === 38 || code === 48) made[code === 38 ? "fg" : "bg"] = extended(codes);
    else if (code === 39) delete made.fg;
    else if (code === 49) delete made.bg;
    else if (code >= 30 && code < 38) made.fg = code - 30;
    else if (code >= 40 && code < 48) made.bg = code - 40;
    else if (code >= 90 && code < 98) made.fg = code - 82;
    else if (code >= 100 && code < 108) made.bg = code - 92;
  }
  return Object.keys(made).length ? made : null;
}

function extended(codes) {
  const kind = codes.shift();
  if (kind === 2) return `rgb(${codes.splice(0, 3).map((each) => each & 255).join(" ")})`;
  const number = kind === 5 ? codes.shift() & 255 : 7;
  if (number < 16) return number;
  if (number > 231) return `rgb(${Array(3).fill(8 + 10 * (number - 232)).join(" ")})`;
  const level = (each) => (each ? 55 + 40 * each : 0);
  const place = number - 16;
  return `rgb(${level(Math.floor(place / 36))} ${level(Math.floor(place / 6) % 6)} ${level(place % 6)})`;
}

/** A piece as an element. */
export function styled(text, style) {
  const made = document.createElement("span");
  made.textContent = text;
  for (const [name, value] of Object.entries(style)) {
    if (value === true) made.classList.add(`a-${name}`);
    else if (typeof value === "number") made.classList.add(`a-${name}-${value}`);
    else made.style[name === "fg" ? "color" : "backgroundColor"] = value;
  }
  return made;
}
