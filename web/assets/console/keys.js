// API keys: made once, copied, replaced, revoked.

import { attempt, call, onSubmit } from "./api.js";
import { ask, at, compact, el, instant, say, write } from "./dom.js";
import { offerKeys } from "./use.js";
import { offerCopies } from "../copy.js";

const GRACES = [["86400", "in a day"], ["3600", "in an hour"], ["604800", "in a week"], ["0", "at once"]];

const list = at("keys");
const rates = new Map();

async function load() {
  const answer = await attempt(() => call("me/keys"));
  if (!answer) return;
  rates.clear();
  list.replaceChildren(...answer.keys.map(row));
  if (!answer.keys.length) list.append(el("li", { class: "none" }, "No keys yet."));
  offerKeys(answer.keys);
}

function row(key) {
  const live = key.state === "active";
  const state = live && key.expires_at ? ["active until ", instant(key.expires_at)] : key.state;
  const rate = el("span");
  rates.set(key.id, rate);
  const facts = [["Created ", instant(key.created_at)], key.last_used_at ? ["last used ", instant(key.last_used_at)] : "never used", key.quota, key.scopes && `may ${key.scopes.join(" ")}`];
  const said = facts.filter(Boolean).flatMap((fact, place) => (place ? [" · ", fact] : [fact])).flat();
  const name = el("span", { class: "unseen" }, ` ${key.name}`);
  return el("li", { class: live ? null : "dead" },
    el("div", {},
      el("h3", {}, key.name, " ", el("span", { class: "state" }, state)),
      el("p", {}, el("code", {}, key.hint), " ", rate),
      el("p", { class: "hint" }, said)),
    live && el("div", { class: "actions" },
      el("button", { type: "button", class: "button quiet", click: () => rotate(key) }, "Rotate", name),
      el("button", { type: "button", class: "button quiet danger", click: () => revoke(key) }, "Revoke", name.cloneNode(true))) || null);
}

async function rotate({ id, name }) {
  const grace = await ask({
    title: `Rotate ${name}`,
    text: "You get a new secret, which is shown once.",
    verb: "Rotate",
    choice: { label: "The old one ends", options: GRACES },
  });
  if (grace === null) return;
  const fresh = await attempt(() => call("me/keys", "POST", { action: "rotate", id, grace_seconds: Number(grace) }));
  if (!fresh) return;
  show(fresh, "New secret of");
  load();
}

async function revoke({ id, name }) {
  const text = "Programs that use it are refused from now on. This cannot be undone.";
  if (!await ask({ title: `Revoke ${name}`, text, verb: "Revoke", danger: true })) return;
  await attempt(() => call("me/keys", "POST", { action: "revoke", id }));
  await load();
  say(`${name} is revoked`);
  list.closest("section").querySelector("h2").scrollIntoView({ block: "nearest" });
}

const [fresh, secret, example] = [at("fresh"), at("fresh-secret"), at("fresh-example")];

function show(key, what) {
  write(at("fresh-title"), `${what} ${key.name}`);
  write(secret, key.secret);
  if (example) write(example, example.dataset.example.replace("YOUR_KEY", key.secret));
  fresh.hidden = false;
  fresh.focus();
}

offerCopies(fresh, say);

at("fresh-done").addEventListener("click", () => {
  write(secret, "");
  if (example) write(example, "");
  fresh.hidden = true;
  at("name").focus();
});

const create = at("create");
onSubmit(create, async (fields) => {
  const key = await call("me/keys", "POST", { action: "create", ...fields });
  create.reset();
  show(key, "New key");
  at("start-panel")?.remove();
  await load();
});

/** How fast each key is used now. */
export function showRates(keys) {
  for (const { id, current_per_s, avg_1m } of keys) {
    const rate = rates.get(id);
    if (rate) write(rate, current_per_s || avg_1m ? `${compact(current_per_s)} per second now, ${compact(avg_1m)} over a minute` : "");
  }
}

load();
