// Who asks most, and who is refused most.

import { attempt, call } from "./api.js";
import { at, compact, count, el, instant, table, userLink, write } from "./dom.js";
import { regularly } from "./stream.js";

const LOOK_AGAIN_MS = 2000;
const SHOWN = 50;
const HEAVY = 10;
const order = at("order");

async function showKeys() {
  const asked = order.value;
  const answer = await attempt(() => call(`api/monitor/keys?sort=${asked}&limit=${SHOWN}`));
  if (!answer || asked !== order.value) return;
  const rows = answer.keys.map((key) => [
    [el("b", {}, key.name), " ", el("code", {}, key.hint)], userLink(key.user),
    compact(key.current_per_s), compact(key.avg_1m), compact(key.avg_5m),
    count(key.allowed), count(key.denied), count(key.failed), left(key.remaining), instant(key.last_seen),
  ]);
  table(at("top-keys"), `Keys, ${SHOWN} of ${answer.total} at most`,
    ["Key", "User", "#Now", "#1 min", "#5 min", "#Allowed", "#Denied", "#Failed", "#Left", "Last seen"], rows, "No keys yet.");
}

const left = (n) => (n === 0 ? el("span", { class: "none-left" }, "0") : count(n));

/** A caller by name where it has one, and its kind. */
function who({ kind, id, name, user }) {
  if (name == null) return [el("span", { class: "kind" }, kind), " ", el("code", {}, id)];
  if (kind === "user") return [el("span", { class: "kind" }, kind), " ", userLink(name)];
  return [el("span", { class: "kind" }, kind), ` ${name || "without a name"} of `, userLink(user)];
}

function showHeavy(node, caption, { total, callers }) {
  const rows = callers.map(({ count: most, error, ...caller }) => [
    who(caller),
    error ? `${count(most - error)} to ${count(most)}` : count(most),
    total ? `${compact((most / total) * 100)} %` : "–",
  ]);
  table(node, caption, [caption, "#Requests", "#Of all"], rows, "Nobody yet.");
}

async function show() {
  const [, heavy] = await Promise.all([showKeys(), attempt(() => call(`api/monitor/heavy?limit=${HEAVY}`))]);
  if (!heavy) return;
  write(at("heavy-since"), `Since ${heavy.allowed.since.replace("T", " ").replace("Z", " UTC")}. Where two figures stand, the truth is between them.`);
  showHeavy(at("heavy-allowed"), "Most allowed", heavy.allowed);
  showHeavy(at("heavy-denied"), "Most denied", heavy.denied);
}

order.addEventListener("change", showKeys);
regularly(LOOK_AGAIN_MS, show);
