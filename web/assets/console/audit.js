// Who changed what, the newest first. Users and keys are called by name; what they are in the log is in the title.

import { attempt, call } from "./api.js";
import { at, el, exactInstant, table } from "./dom.js";

const PAGE = 50;
const older = at("older");
let entries = [];
let names = {};

async function more() {
  const before = entries.at(-1);
  const answer = await attempt(() => call(`api/audit?limit=${PAGE}${before ? `&before=${before.seq}` : ""}`));
  if (!answer) return;
  entries = [...entries, ...answer.entries];
  names = { ...names, ...answer.names };
  older.hidden = answer.entries.length < PAGE;
  const rows = entries.map((entry) => [exactInstant(entry.at), entry.actor_name ?? entry.actor, el("span", { class: "unbroken" }, entry.action), readable(entry.subject.replace(/^(plan|limit|token):/, "$1 ")), readable(rest(entry))]);
  table(at("entries"), "Changes", ["When", "Who", "What", "Of", "Detail"], rows, "Nothing was changed yet.");
}

/** The detail without the names that stand beside it already. */
function rest({ action, subject, detail }) {
  const [, kind, id] = /^(user|key):(.*)$/.exec(subject) ?? [];
  const known = names[id];
  if (kind === "key" && known?.user != null) return detail.replace(/^of user:[0-9a-f]{32}(?:, )?/, "");
  if (action === "user-created" && known && detail.endsWith(` ${known.name}`)) return `role ${detail.slice(0, -known.name.length - 1)}`;
  return detail;
}

/** The text with names in the place of ids. */
function readable(text) {
  const parts = [];
  let past = 0;
  for (const found of text.matchAll(/\b(?:user|key):([0-9a-f]{32})\b/g)) {
    parts.push(text.slice(past, found.index), named(found));
    past = found.index + found[0].length;
  }
  return [...parts, text.slice(past)].filter(Boolean);
}

function named([whole, id]) {
  const known = names[id];
  if (!known) return el("code", {}, whole);
  const name = known.user == null ? `user ${known.name}` : `key ${known.name || "without a name"} of ${known.user}`;
  return el("span", { title: whole }, name);
}

older.addEventListener("click", more);
more();
