// A terminal's screen: takes what a program writes, and holds lines of characters with their styles.

import { pieces } from "./ansi.js";

const MOST = 5000;

/**
 * A screen of so many columns and rows; `lines` are arrays of [character, style], the last `rows` of them the screen.
 * `reply` is given what a terminal answers to a program that asks it something.
 */
export class Screen {
  constructor(columns, rows, reply) {
    this.reply = reply;
    this.lines = [[]];
    this.style = null;
    this.rest = "";
    this.saved = null;
    this.alternate = null;
    this.size(columns, rows);
    this.x = this.y = 0;
  }

  size(columns, rows) {
    [this.columns, this.rows] = [Math.max(2, columns), Math.max(2, rows)];
    this.y = Math.min(this.y ?? 0, this.rows - 1);
    this.x = Math.min(this.x ?? 0, this.columns - 1);
    this.top = 0;
    this.bottom = this.rows - 1;
  }

  /** The number of the screen's first line among all lines. */
  get first() {
    return Math.max(0, this.lines.length - this.rows);
  }

  line(y = this.y) {
    while (this.lines.length <= this.first + y) this.lines.push([]);
    return this.lines[this.first + y];
  }

  /** Take what was written; a sequence that has only begun waits for its rest. */
  write(text) {
    const given = this.rest + text;
    const open = given.match(/\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*|[ -/]*)?$/); // eslint-disable-line no-control-regex
    this.rest = open && open[0].length < 4096 ? open[0] : "";
    // eslint-disable-next-line no-control-regex
    for (const [all, marks, final] of given.slice(0, given.length - this.rest.length).matchAll(/\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\s\S]/gu)) {
      if (final === "m") [, this.style] = pieces(all, this.style);
      else if (final) this.command(final, marks);
      else if (all[0] === "\x1b") this.escape(all[1]);
      else this.put(all);
    }
  }

  put(character) {
    const code = character.codePointAt(0);
    if (character === "\n") this.feed();
    else if (character === "\r") this.x = 0;
    else if (character === "\b") this.x = Math.max(0, this.x - 1);
    else if (character === "\t") this.x = Math.min(this.columns - 1, (this.x | 7) + 1);
    else if (code >= 32 && code !== 127) {
      if (this.x >= this.columns) {
        this.x = 0;
        this.feed();
      }
      const line = this.line();
      while (line.length < this.x) line.push([" ", null]);
      line[this.x++] = [character, this.style];
    }
  }

  feed() {
    if (this.y < this.bottom) this.y += 1;
    else if (this.top === 0 && this.bottom === this.rows - 1) {
      while (this.lines.length < this.first + this.rows) this.lines.push([]);
      this.lines.push([]);
      if (this.lines.length > MOST) this.lines.shift();
    } else this.scroll(1);
    this.line();
  }

  scroll(by) {
    this.line(this.rows - 1);
    const at = (y) => this.first + y;
    for (let n = 0; n < Math.min(Math.abs(by), this.rows); n++) {
      if (by > 0) this.lines.splice(at(this.bottom), 0, ...this.lines.splice(at(this.top), 1) && [[]]);
      else {
        this.lines.splice(at(this.bottom), 1);
        this.lines.splice(at(this.top), 0, []);
      }
    }
  }

  escape(code) {
    if (code === "7") this.saved = [this.x, this.y, this.style];
    else if (code === "8" && this.saved) [this.x, this.y, this.style] = this.saved;
    else if (code === "M") this.y > this.top ? (this.y -= 1) : this.scroll(-1);
    else if (code === "D") this.feed();
    else if (code === "E") {
      this.x = 0;
      this.feed();
    } else if (code === "c") this.clear();
  }

  clear() {
    this.lines = [...this.lines.slice(0, this.first), ...Array.from({ length: this.rows }, () => [])];
    this.x = this.y = 0;
  }

  command(final, marks) {
    const given = marks.replace(/^[<=>?]/, "").split(";").map((each) => Number(each));
    const count = given[0] || 1;
    const moves = { A: [0, -count], B: [0, count], C: [count, 0], D: [-count, 0], e: [0, count], a: [count, 0] };
    if (marks.startsWith("?")) return this.mode(final, given);
    if (final === "n") this.report(given[0]);
    else if (final === "c" && !marks) this.reply("\x1b[?6c");
    else if (moves[final]) this.move(Math.min(this.x, this.columns - 1) + moves[final][0], this.y + moves[final][1]);
    else if (final === "E" || final === "F") this.move(0, this.y + (final === "E" ? count : -count));
    else if (final === "G" || final === "`") this.move(count - 1, this.y);
    else if (final === "d") this.move(this.x, count - 1);
    else if (final === "H" || final === "f") this.move((given[1] || 1) - 1, count - 1);
    else if (final === "J") this.erase(given[0]);
    else if (final === "K") this.wipe(given[0]);
    else if (final === "P") this.line().splice(this.x, count);
    else if (final === "X") for (let x = this.x; x < this.x + count && x < this.line().length; x++) this.line()[x] = [" ", null];
    else if (final === "@") this.line().splice(this.x, 0, ...Array.from({ length: count }, () => [" ", null]));
    else if (final === "L" || final === "M") this.shift(final === "L" ? -count : count);
    else if (final === "S" || final === "T") this.scroll(final === "S" ? count : -count);
    else if (final === "r") {
      [this.top, this.bottom] = [count - 1, Math.min(given[1] || this.rows, this.rows) - 1];
      if (this.top >= this.bottom) [this.top, this.bottom] = [0, this.rows - 1];
      this.move(0, 0);
    } else if (final === "s") this.saved = [this.x, this.y, this.style];
    else if (final === "u" && this.saved) [this.x, this.y, this.style] = this.saved;
  }

  report(asked) {
    if (asked === 5) this.reply("\x1b[0n");
    else if (asked === 6) this.reply(`\x1b[${this.y + 1};${Math.min(this.x, this.columns - 1) + 1}R`);
  }

  /** Programs that take the whole screen ask for another one, and leave this as it was. */
  mode(final, given) {
    if (!given.some((each) => each === 47 || each === 1047 || each === 1049)) return;
    if (final === "h" && !this.alternate) {
      this.alternate = [this.lines, this.x, this.y];
      this.lines = Array.from({ length: this.rows }, () => []);
      this.x = this.y = 0;
    } else if (final === "l" && this.alternate) {
      [this.lines, this.x, this.y] = this.alternate;
      this.alternate = null;
    }
  }

  move(x, y) {
    this.x = Math.max(0, Math.min(this.columns - 1, x));
    this.y = Math.max(0, Math.min(this.rows - 1, y));
    this.line();
  }

  shift(by) {
    const top = this.top;
    this.top = this.y;
    this.scroll(by);
    this.top = top;
  }

  wipe(how) {
    const line = this.line();
    if (!how) line.length = Math.min(line.length, this.x);
    else if (how === 1) for (let x = 0; x <= this.x && x < line.length; x++) line[x] = [" ", null];
    else line.length = 0;
  }

  erase(how) {
    if (how === 2 || how === 3) {
      for (let y = 0; y < this.rows; y++) this.line(y).length = 0;
      return;
    }
    this.wipe(how);
    for (let y = how ? 0 : this.y + 1; y < (how ? this.y : this.rows); y++) this.line(y).length = 0;
  }
}
