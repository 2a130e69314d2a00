// What the pages of the console are built with. Texts go in as text, never as markup.

export const at = (id) => document.getElementById(id);

/** An element; attributes whose value is a function are listeners, `false` and `null` leave one out. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

const said = at("said");
/** Tells a screen reader; for what a person waits for, not for figures that move. */
export const say = (text) => { said.textContent = text; };

export const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
export const count = (n) => (n == null ? "–" : whole.format(n));
export const compact = (n) => (n == null ? "–" : short.format(n));

/** A length of time of whole seconds, as the other pages spell it. */
export function spell(s) {
  const minutes = Math.floor(s / 60);
  if (minutes >= 2880) return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes >= 2 ? `${minutes} min ${s % 60} s` : `${s} s`;
}

/** A latency in microseconds. */
export function latency(us) {
  if (us == null) return "–";
  if (us < 1000) return `${us} µs`;
  return us < 1e6 ? `${compact(us / 1000)} ms` : `${compact(us / 1e6)} s`;
}

export function bytes(n) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  for (; n >= 1024 && place < units.length - 1; place++) n /= 1024;
  return `${compact(n)} ${units[place]}`;
}

/** An instant in the form of the answers, for people. */
const clock = (text, letters) => (text ? el("time", { datetime: text }, text.slice(0, letters).replace("T", " ") + " UTC") : "–");
export const instant = (text) => clock(text, 16);
export const exactInstant = (text) => clock(text, 19);

/**
 * Fills a table: names of columns, `#` before those of numbers; rows of cells, the first of which names its row. What is
 * a table and what is a cell is said by roles, because a table that folds on a phone is none to its style sheet.
 */
export function table(node, caption, columns, rows, none = "Nothing yet.") {
  const names = columns.map((name) => name.replace("#", ""));
  const figure = (place) => columns[place].startsWith("#") && "figure";
  if (!node.tHead) {
    node.setAttribute("role", "table");
    const heads = names.map((name, place) => el("th", { scope: "col", role: "columnheader", class: figure(place) }, name));
    node.append(el("caption", { class: "unseen" }, caption), el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), el("tbody", { role: "rowgroup" }));
  }
  const cell = (content, place) => (place === 0
    ? el("th", { scope: "row", role: "rowheader" }, content)
    : el("td", { role: "cell", class: figure(place), "data-label": names[place] }, content));
  const lines = rows.map((cells) => el("tr", { role: "row" }, cells.map(cell)));
  if (!lines.length) lines.push(el("tr", { role: "row" }, el("td", { role: "cell", colspan: columns.length, class: "none" }, none)));
  node.tBodies[0].replaceChildren(...lines);
}

/** A user's name, which leads to what is left of its limits: to look, to reset, to set other quotas. */
export const userLink = (name) => el("a", { href: `limits#${new URLSearchParams({ user: name })}` }, name);

/** What is left of a window, as a row of a board; `show` changes it. */
export function windowRow(title, window) {
  const per = window === "concurrent" ? "at the same time" : `per ${window}`;
  const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const bar = svg("svg");
  for (const [key, value] of Object.entries({ class: "bar", width: "100%", height: 8, preserveAspectRatio: "none", "aria-hidden": true })) bar.setAttribute(key, value);
  const rect = svg("rect");
  rect.setAttribute("height", 1);
  bar.append(rect);
  return el("li", {},
    el("span", { class: "per" }, el("b", {}, title), ` ${per}`),
    el("span", { class: "left" }, el("b"), " of ", el("span"), " left"),
    bar, el("span", { class: "resets" }));
}

export function showWindow(row, { limit, remaining, resets_in, blocked }) {
  write(row.querySelector(".left b"), String(remaining));
  write(row.querySelector(".left span"), String(limit));
  const bar = row.querySelector(".bar");
  bar.setAttribute("viewBox", `0 0 ${limit} 1`);
  bar.firstElementChild.setAttribute("width", remaining);
  row.classList.toggle("empty", remaining === 0);
  write(row.querySelector(".resets"), resets_in == null ? "nothing used yet" : `${blocked ? "blocked, " : ""}resets in ${spell(resets_in)}`);
}

/**
 * Asks before something is done. `choice` is a label and pairs of value and text. The answer is the chosen value, `true`
 * where there is nothing to choose, and `null` when it is not to be done.
 */
export function ask({ title, text, verb, danger = false, choice = null }) {
  const dialog = at("question");
  const [yes] = dialog.querySelectorAll("button");
  write(at("question-title"), title);
  write(at("question-text"), text);
  write(yes, verb);
  yes.classList.toggle("strong", danger);
  const field = at("question-field");
  const select = at("question-choice");
  field.hidden = !choice;
  if (choice) {
    write(field.querySelector("label"), choice.label);
    select.replaceChildren(...choice.options.map(([value, name]) => el("option", { value }, name)));
  }
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "yes") answer(null);
      else answer(choice ? select.value : true);
    }, { once: true });
  });
}
