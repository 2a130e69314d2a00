// Limits: what holds and where it comes from, other quotas in their place, and counters of single keys.

import { attempt, call, onSubmit, segment } from "./api.js";
import { ask, at, el, say, showWindow, table, windowRow } from "./dom.js";

const SCOPES = [["everybody", "Everybody"], ["plan", "A plan"], ["user", "A user"], ["key", "An API key"]];

const list = at("limits");
/** Whom the address names, as names of users lead here: `limits#user=ann`. */
const named = () => new URLSearchParams(location.hash.slice(1)).get("user");
const wanted = named();

/** Where the quotas of a scope are set and unset. */
const place = (limit, scope, whose) => (scope === "everybody"
  ? `api/limits/${segment(limit)}/quotas`
  : `api/${scope}s/${segment(whose)}/limits/${segment(limit)}`);

async function load() {
  const answer = await attempt(() => call("api/limits"));
  if (!answer) return;
  const limits = wanted == null ? answer.limits : answer.limits.filter((limit) => limit.key && isByCaller(limit));
  list.replaceChildren(...limits.map(panel));
  if (!limits.length) list.append(el("p", { class: "none" }, wanted == null ? "These rules have no limits." : "These rules have no limits by user."));
  for (const form of list.querySelectorAll("[data-ready]")) form.requestSubmit();
}

function panel(limit) {
  const id = `limit-${limit.limit}`;
  const quotas = el("table");
  table(quotas, `Quotas of ${limit.limit}`, ["For", "Quotas", "From", ""], quotaRows(limit));
  return el("section", { class: "panel", "aria-labelledby": id },
    el("h2", { id }, limit.limit),
    el("p", { class: "hint" }, limit.key ? counted(limit.key) : "The rules have no such limit any more."),
    el("div", { class: "scroll folds", tabindex: 0, role: "region", "aria-label": `Quotas of ${limit.limit}` }, quotas),
    limit.key && el("details", { open: wanted != null }, el("summary", {}, "Look up or reset a counter"), lookUp(limit)),
    limit.key && el("details", { open: wanted != null }, el("summary", {}, "Change"), setForm(limit)));
}

const counted = (key) => (key.every((part) => part === "global") ? "One counter for everybody." : `Counted by ${key.join(", ")}.`);
const isByCaller = ({ key }) => key.some((part) => part === "user" || part === "api-key");

/** The quotas that somebody has, each with who and where it comes from, the more general ones first. */
function quotaRows(limit) {
  const others = limit.overrides.length > 1 || (limit.overrides.length === 1 && limit.overrides[0].for !== "everybody");
  const everybody = limit.overrides.find((one) => one.for === "everybody");
  const rows = everybody ? [] : [[others ? "Everybody else" : "Everybody", limit.in_force.join("; ") || "none", "rules file", null]];
  for (const one of [everybody, ...limit.overrides.filter((one) => one !== everybody)].filter(Boolean)) {
    const [scope, whose] = split(one.for);
    const name = scope === "user" ? one.user ?? whose : whose;
    const called = { everybody: others ? "Everybody else" : "Everybody", plan: `Plan ${name}`, user: `User ${name}`, key: `Key ${whose}${one.user ? ` of ${one.user}` : ""}` }[scope] ?? one.for;
    const unset = async () => {
      const title = `Unset ${limit.limit} of ${called}`;
      if (!await ask({ title, text: "What is more general holds again, from the next request on.", verb: "Unset" })) return;
      if (await attempt(() => call(place(limit.limit, scope, name), "DELETE")) !== undefined) await changed(limit.limit, "unset");
    };
    rows.push([called, one.quotas, one.unusable ? `set here, unusable: ${one.unusable}` : "set here",
      el("button", { type: "button", class: "button quiet small", click: unset }, "Unset", el("span", { class: "unseen" }, ` ${limit.limit} of ${called}`))]);
  }
  if (everybody) rows.push(["Not in force", limit.rules.join("; "), "rules file", null]);
  return rows;
}

/** A scope as the gateway writes it: a kind, and of whom. */
function split(text) {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

function field(limit, name, label, attributes = {}) {
  const id = `${limit}-${name}`;
  return el("div", {}, el("label", { for: id }, label), el("input", { id, name, autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...attributes }));
}

function setForm(one) {
  const { limit, in_force } = one;
  const scopes = isByCaller(one) ? SCOPES : SCOPES.slice(0, 1);
  const whose = field(limit, "whose", "Which", { value: wanted });
  const chosen = wanted == null ? "everybody" : "user";
  const choice = el("select", { id: `${limit}-scope`, name: "scope" }, scopes.map(([value, name]) => el("option", { value, selected: value === chosen }, name)));
  const input = whose.querySelector("input");
  const toggle = () => {
    whose.hidden = choice.value === "everybody";
    input.required = !whose.hidden;
    input.placeholder = { plan: "pro", user: "ann", key: "id of the key" }[choice.value] ?? "";
  };
  choice.addEventListener("change", toggle);
  toggle();
  const form = el("form", { class: "fields", "aria-label": `Change ${limit}` },
    el("div", {}, el("label", { for: choice.id }, "For"), choice), whose,
    field(limit, "quotas", "Quotas", { placeholder: in_force.join("; ") || "5 per minute; 300 per hour", required: true }),
    el("button", { class: "button" }, "Set"));
  onSubmit(form, async ({ scope, whose: of, quotas }) => {
    await call(place(limit, scope, of), "PUT", { quotas });
    await changed(limit, "set");
  });
  return form;
}

async function changed(limit, how) {
  await load();
  say(`${limit} is ${how}`);
}

function lookUp({ limit, key }) {
  const parts = key.filter((part) => part !== "global");
  const words = parts.map((part, number) => field(limit, `key-${number}`, part, { required: true, placeholder: part === "user" ? "ann" : "", value: part === "user" ? wanted : null }));
  const isReady = wanted != null && parts.every((part) => part === "user");
  const byKey = parts.includes("user") && !parts.includes("api-key") ? field(limit, "api-key", "By API key, if it has quotas", { placeholder: "id of the key" }) : null;
  const found = el("ul", { class: "board" });
  const reset = el("button", { type: "button", class: "button quiet danger" }, "Reset this counter");
  const result = el("div", { hidden: true }, found, el("p", { class: "actions" }, reset));
  const form = el("form", { class: "fields", "aria-label": `Look up ${limit}`, "data-ready": isReady }, words, byKey, el("button", { class: "button" }, "Look up"));
  const all = el("button", { type: "button", class: "button quiet danger" }, "Reset every counter", el("span", { class: "unseen" }, ` of ${limit}`));
  let query = "";

  const look = async () => {
    const answer = await call(`api/limits/${segment(limit)}?${query}`);
    const windows = Object.entries(answer.windows).sort(([, one], [, other]) => one.window_s - other.window_s);
    found.replaceChildren(...windows.map(([name, window]) => {
      const row = windowRow(limit, name);
      showWindow(row, window);
      return row;
    }));
    if (!found.children.length) found.append(el("li", { class: "none" }, "Nothing is counted for it."));
    result.hidden = false;
  };
  onSubmit(form, async (fields) => {
    const pairs = parts.map((_, number) => ["key", fields[`key-${number}`]]);
    if (fields["api-key"]) pairs.push(["api-key", fields["api-key"]]);
    query = new URLSearchParams(pairs).toString();
    await look();
    say("Found");
  });
  reset.addEventListener("click", async () => {
    if (!await ask({ title: `Reset ${limit}`, text: "The counter begins anew, as if nothing had been used.", verb: "Reset", danger: true })) return;
    if (await attempt(() => call(`api/limits/${segment(limit)}?${query}`, "DELETE")) === undefined) return;
    await attempt(look);
    say("The counter is reset");
  });
  all.addEventListener("click", async () => {
    if (!await ask({ title: `Reset ${limit} for everybody`, text: "Every counter of this limit begins anew.", verb: "Reset all", danger: true })) return;
    if (await attempt(() => call(`api/limits/${segment(limit)}?all=true`, "DELETE")) !== undefined) say("Every counter is reset");
    if (!result.hidden) await attempt(look);
  });
  // Who helps one caller is not offered, a finger away, to help everybody.
  return el("div", {}, form, result, wanted == null && el("p", { class: "actions apart" }, all) || null);
}

if (wanted != null) at("whom").replaceChildren(`For ${wanted}. `, el("a", { href: "limits" }, "Every limit"));
addEventListener("hashchange", () => { if (named() !== wanted) location.reload(); });
load();
