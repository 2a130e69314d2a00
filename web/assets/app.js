// Comfort only: every page works without this file. Nothing here decides anything; the server does.

import { offerCopies } from "./copy.js";

const all = (selector) => [...document.querySelectorAll(selector)];
const said = document.getElementById("said");
const say = (text) => { said.textContent = text; };

// Alike in duration.html: seconds alone below two minutes.
function spell(s) {
  const minutes = Math.floor(s / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes >= 2 ? `${minutes} min ${s % 60} s` : `${s} s`;
}

// Deadlines, not tick counts: a sleeping tab gets few ticks, and must still show the truth when it wakes.
const deadline = (seconds) => Date.now() + seconds * 1000;
const left = (until) => Math.max(0, Math.ceil((until - Date.now()) / 1000));
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

// What is left, live.

const board = document.querySelector("[data-remaining]");
const rows = all("[data-window]").map((node) => ({
  node,
  name: node.dataset.window,
  remaining: node.querySelector("b"),
  limit: node.querySelector(".left span"),
  bar: node.querySelector(".bar"),
  resets: node.querySelector(".resets"),
  until: node.dataset.resetsIn ? deadline(Number(node.dataset.resetsIn)) : null,
  blocked: "blocked" in node.dataset,
}));

function show(row, { limit, remaining, resets_in, blocked }) {
  if (remaining > Number(row.remaining.textContent)) say(`Per ${row.name}: ${remaining} of ${limit} left`);
  write(row.remaining, String(remaining));
  write(row.limit, String(limit));
  row.bar.setAttribute("viewBox", `0 0 ${limit} 1`);
  row.bar.firstElementChild.setAttribute("width", remaining);
  row.node.classList.toggle("empty", remaining === 0);
  row.until = resets_in == null ? null : deadline(resets_in);
  row.blocked = blocked === true;
}

async function refresh() {
  if (!board) return;
  try {
    const answer = await fetch(board.dataset.remaining, { headers: { accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) return;
    const windows = await answer.json();
    for (const row of rows) if (windows[row.name]) show(row, windows[row.name]);
    tick();
  } catch {
    // Offline or restarting: the last figures stay, and the next visit to the tab asks again.
  }
}

// Waits: a countdown, the button that it holds back, and the gate that opens.

const again = document.querySelector("[data-again]");
const waits = all("[data-wait]").map((node) => ({ node, figure: node.querySelector("b"), until: deadline(Number(node.dataset.wait)) }));

if (again) {
  again.setAttribute("aria-disabled", "true");
  again.addEventListener("click", (event) => { if (again.hasAttribute("aria-disabled")) event.preventDefault(); });
}

function tick() {
  for (const row of rows) {
    // Asked, not yet answered: only the server may say that the window is new.
    if (Number.isNaN(row.until)) continue;
    if (row.until === null) {
      write(row.resets, "nothing used yet");
    } else if (left(row.until) > 0) {
      write(row.resets, `${row.blocked ? "blocked, " : ""}resets in ${spell(left(row.until))}`);
    } else {
      write(row.resets, "resets now");
      row.until = NaN;
      refresh();
    }
  }
  for (const wait of waits.slice()) {
    const s = left(wait.until);
    if (s > 0) {
      // A timer that speaks each second is noise: it is silent but for these two.
      if ((s === 30 || s === 10) && !wait.figure.textContent.startsWith(`${s} `)) say(`${s} seconds left`);
      write(wait.figure, spell(s));
      continue;
    }
    waits.splice(waits.indexOf(wait), 1);
    wait.node.textContent = "You can try again now.";
    say("You can try again now.");
    again?.removeAttribute("aria-disabled");
    document.querySelector(".gate")?.classList.add("open");
  }
}

tick();
setInterval(tick, 250);
document.addEventListener("visibilitychange", () => { if (!document.hidden) { tick(); refresh(); } });
addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });

// Forms.

for (const button of all("[data-peek]")) {
  const field = document.getElementById(button.dataset.peek);
  button.hidden = false;
  button.addEventListener("click", () => {
    const hidden = field.type === "password";
    field.type = hidden ? "text" : "password";
    button.firstChild.data = hidden ? "Hide" : "Show";
  });
}

// Whoever has signed up writes the name no second time. It is kept in this tab alone, and in no address.
for (const form of all("[data-name]")) {
  const [name, password] = [form.elements.username, form.elements.password];
  try {
    if (form.dataset.name === "give") {
      form.addEventListener("submit", () => sessionStorage.setItem("name", name.value));
    } else if (sessionStorage.getItem("name") && !name.value) {
      name.value = sessionStorage.getItem("name");
      sessionStorage.removeItem("name");
      password.focus();
    }
  } catch {
    // A browser that keeps nothing has an empty field.
  }
}

offerCopies(document, say);

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
