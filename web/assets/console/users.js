// Users: made, disabled, given a role or a plan.

import { attempt, call, onSubmit, segment } from "./api.js";
import { ask, at, count, el, instant, say, table, userLink, write } from "./dom.js";

/** Rows that are drawn at a time; a filter finds the others. */
const SHOWN = 200;

const filter = at("filter");
let [users, plans] = [[], []];

async function load() {
  const answers = await attempt(() => Promise.all([call("api/users"), call("api/plans")]));
  if (!answers) return;
  users = answers[0].users;
  plans = answers[1].plans.map(({ plan }) => plan);
  show();
}

function show() {
  const wanted = filter.value.toLowerCase();
  const found = users.filter(({ name }) => name.toLowerCase().includes(wanted));
  write(at("count"), `${count(found.length)} of ${count(users.length)} users${found.length > SHOWN ? `, the first ${SHOWN} shown` : ""}`);
  table(at("users"), "Users", ["Name", "State", "Role", "Plan", "Since", ""], found.slice(0, SHOWN).map(row), "Nobody has such a name.");
}

const path = (user, what) => `api/users/${segment(user.name)}/${what}`;
const unseen = (user) => el("span", { class: "unseen" }, ` ${user.name}`);

async function change(user, done, something) {
  if (await attempt(something) === undefined) {
    // As it was.
    show();
    return;
  }
  await load();
  say(`${user.name} ${done}`);
}

function row(user) {
  const role = el("select", { "aria-label": `Role of ${user.name}`, change: () => change(user, `has the role ${role.value}`, () => call(path(user, "role"), "PUT", { role: role.value })) },
    [["user", "User"], ["admin", "Administrator"]].map(([value, name]) => el("option", { value, selected: value === user.role }, name)));
  const plan = el("select", { "aria-label": `Plan of ${user.name}`, change: () => change(user, "has another plan", () => (plan.value
    ? call(path(user, "plan"), "PUT", { plan: plan.value })
    : call(path(user, "plan"), "DELETE"))) },
    ["", ...plans].map((name) => el("option", { value: name, selected: name === (user.plan ?? "") }, name || "none")));
  const disable = async () => {
    const text = "Nobody gets in by this name any more, nor by its keys, until it is enabled again.";
    if (await ask({ title: `Disable ${user.name}`, text, verb: "Disable", danger: true })) await change(user, "is disabled", () => call(path(user, "disabled"), "PUT"));
  };
  const enable = () => change(user, "is enabled", () => call(path(user, "disabled"), "DELETE"));
  return [userLink(user.name),
    user.disabled_at ? ["disabled ", instant(user.disabled_at)] : "active", role, plan, instant(user.created_at),
    user.disabled_at
      ? el("button", { type: "button", class: "button quiet small", click: enable }, "Enable", unseen(user))
      : el("button", { type: "button", class: "button quiet danger small", click: disable }, "Disable", unseen(user))];
}

filter.addEventListener("input", show);
const create = at("create");
onSubmit(create, async (fields) => {
  await call("api/users", "POST", fields);
  create.reset();
  await load();
  say(`${fields.username} is made`);
});
load();
