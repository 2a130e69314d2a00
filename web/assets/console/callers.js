// Who asks most, and who is refused most.

import { attempt, call } from "./api.js";
import { at, compact, count, el, instant, table, write } from "./dom.js";
import { regularly } from "./stream.js";

const LOOK_AGAIN_MS = 2000;
const SHOWN = 50;
const order = at("order");
/** Names of users and keys by their ids. */
const names = new Map();

async function showKeys() {
  const asked = order.value;
  const answer = await attempt(() => call(`api/monitor/keys?sort=${asked}&limit=${SHOWN}`));
  if (!answer || asked !== order.value) return;
  for (const { id, name, user } of answer.keys) names.set(id, `${name} of ${user}`);
  const rows = answer.keys.map((key) => [
    [el("b", {}, key.name), " ", el("code", {}, key.hint)], key.user,
    compact(key.current_per_s), compact(key.avg_1m), compact(key.avg_5m),
    count(key.allowed), count(key.denied), count(key.failed), count(key.remaining), instant(key.last_seen),
  ]);
  table(at("top-keys"), `Keys, ${SHOWN} of ${answer.total} at most`,
    ["Key", "User", "#Now", "#1 min", "#5 min", "#Allowed", "#Denied", "#Failed", "#Left", "Last seen"], rows, "No keys yet.");
}

function showHeavy(node, caption, { total, callers }) {
  const rows = callers.map(({ kind, id, count: most, error }) => [
    [`${kind} `, names.has(id) ? el("b", {}, names.get(id)) : el("code", {}, id)],
    error ? `${count(most - error)} to ${count(most)}` : count(most),
    total ? `${compact((most / total) * 100)} %` : "–",
  ]);
  table(node, caption, [caption, "#Requests", "#Of all"], rows, "Nobody yet.");
}

async function show() {
  const [, heavy] = await Promise.all([showKeys(), attempt(() => call("api/monitor/heavy?limit=20"))]);
  if (!heavy) return;
  write(at("heavy-since"), `Since ${heavy.allowed.since.replace("T", " ").replace("Z", " UTC")}. Where two figures stand, the truth is between them.`);
  showHeavy(at("heavy-allowed"), "Most allowed", heavy.allowed);
  showHeavy(at("heavy-denied"), "Most denied", heavy.denied);
}

attempt(() => call("api/users")).then((answer) => {
  for (const { id, name } of answer?.users ?? []) names.set(id, name);
});
order.addEventListener("change", showKeys);
regularly(LOOK_AGAIN_MS, show);
