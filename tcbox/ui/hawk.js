// Hawk, version 1: requests and URLs signed with HMAC-SHA-256, as the API expects them.

const bytes = (text) => new TextEncoder().encode(text);
const base64 = (data) => btoa(String.fromCharCode(...new Uint8Array(data)));

/** Why this page cannot sign requests; "" when it can. */
export function unable() {
  if (globalThis.crypto?.subtle) return "";
  return `Browsers sign requests only on pages from https:// or from localhost, and this one comes from ${location.origin}. `
    + "Open the instance at such an address, or use the command tcbox instead.";
}

/** The header that signs a request; `body` is its JSON text, or undefined. */
export async function header(credentials, method, url, body) {
  const ts = Math.floor(Date.now() / 1000);
  const nonce = base64(crypto.getRandomValues(new Uint8Array(9)));
  const hash = body === undefined ? "" : await payloadHash(body);
  const ext = extension(credentials);
  const mac = await sign("header", credentials, { ts, nonce, method, url, hash, ext });
  const parts = { id: credentials.clientId, ts, nonce, hash, ext, mac };
  const written = Object.entries(parts).filter(([, value]) => value !== "").map(([name, value]) => `${name}="${value}"`);
  return `Hawk ${written.join(", ")}`;
}

/** The URL with a signature in it, with which it can be read for some seconds without credentials. */
export async function presigned(credentials, url, seconds = 300) {
  const ts = Math.floor(Date.now() / 1000) + seconds;
  const ext = extension(credentials);
  const mac = await sign("bewit", credentials, { ts, nonce: "", method: "GET", url, hash: "", ext });
  const bewit = base64(bytes([credentials.clientId, ts, mac, ext].join("\\"))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return `${url}${url.search ? "&" : "?"}bewit=${bewit}`;
}

function extension({ certificate }) {
  return certificate ? base64(bytes(JSON.stringify({ certificate }))) : "";
}

async function payloadHash(body) {
  return base64(await crypto.subtle.digest("SHA-256", bytes(`hawk.1.payload\napplication/json\n${body}\n`)));
}

async function sign(kind, { accessToken }, { ts, nonce, method, url, hash, ext }) {
  const port = url.port || (url.protocol === "https:" ? 443 : 80);
  const lines = [`hawk.1.${kind}`, ts, nonce, method, url.pathname + url.search, url.hostname, port, hash, ext, ""];
  const key = await crypto.subtle.importKey("raw", bytes(accessToken), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return base64(await crypto.subtle.sign("HMAC", key, bytes(lines.join("\n"))));
}
