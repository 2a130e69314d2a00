// The first page: what is left, what was used, and keys.

import { at, el, say, showWindow, windowRow } from "./dom.js";
import { showRates } from "./keys.js";
import { stream } from "./stream.js";
import "./use.js";

const board = at("windows");
const rows = new Map([...board.querySelectorAll("[data-policy]")].map((row) => [row.dataset.policy, row]));

function showWindows(windows) {
  const known = new Set(windows.map(({ policy }) => policy));
  for (const [policy, row] of rows) {
    if (!known.has(policy)) {
      row.remove();
      rows.delete(policy);
    }
  }
  for (const window of windows) {
    let row = rows.get(window.policy);
    if (!row) {
      const [, limit, per] = /^(.*)\.([^.]*)$/.exec(window.policy);
      row = windowRow(limit, per);
      row.dataset.policy = window.policy;
      rows.set(window.policy, row);
      board.append(row);
    }
    const was = row.classList.contains("empty");
    showWindow(row, window);
    // Figures that move are not read out; that nothing is left, or something is again, is.
    if (was !== (window.remaining === 0)) say(`${window.policy}: ${window.remaining} of ${window.limit} left`);
  }
  const none = board.querySelector(".none");
  if (rows.size) none?.remove();
  else if (!none) board.append(el("li", { class: "none" }, "No limit concerns you."));
}

stream("me/live", (event) => {
  showWindows(event.windows);
  showRates(event.keys);
});
