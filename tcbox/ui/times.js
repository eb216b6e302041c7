// Times as people read them: how long ago, or how long until, with the exact time at hand.

import { el } from "./dom.js";

const UNITS = [["year", 31_557_600], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

function distance(then) {
  const seconds = (then - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, least]) => Math.abs(seconds) >= least) ?? UNITS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A time, kept up to date while the page is open; `text` is as the API writes it. */
export function ago(text) {
  const then = new Date(text);
  if (Number.isNaN(then.valueOf())) return String(text ?? "");
  return el("time", { datetime: then.toISOString(), title: then.toLocaleString() }, distance(then));
}

/** How long something took, or takes until now. */
export function took(from, to) {
  const seconds = Math.max(0, ((to ? new Date(to) : Date.now()) - new Date(from)) / 1000);
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return span(seconds);
}

/** A number of seconds in words. */
export function span(seconds) {
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

setInterval(() => {
  for (const each of document.querySelectorAll("time")) each.textContent = distance(new Date(each.dateTime));
}, 5000);
