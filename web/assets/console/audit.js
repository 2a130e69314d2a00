// Who changed what, the newest first.

import { attempt, call } from "./api.js";
import { at, el, instant, table } from "./dom.js";

const PAGE = 50;
const older = at("older");
let entries = [];

async function more() {
  const before = entries.at(-1);
  const answer = await attempt(() => call(`api/audit?limit=${PAGE}${before ? `&before=${before.seq}` : ""}`));
  if (!answer) return;
  entries = [...entries, ...answer.entries];
  older.hidden = answer.entries.length < PAGE;
  const rows = entries.map((entry) => [instant(entry.at), entry.actor_name ?? entry.actor, entry.action, el("code", {}, entry.subject), entry.detail]);
  table(at("entries"), "Changes", ["When", "Who", "What", "Of", "Detail"], rows, "Nothing was changed yet.");
}

older.addEventListener("click", more);
more();
