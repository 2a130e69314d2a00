// Plans, and the quotas that they give.

import { attempt, call, onSubmit, segment } from "./api.js";
import { ask, at, count, el, instant, say, table } from "./dom.js";

const list = at("plans");

async function load() {
  const answers = await attempt(() => Promise.all([call("api/plans"), call("api/limits")]));
  if (!answers) return;
  const [{ plans }, { limits }] = answers;
  const byCaller = limits.filter(({ key }) => key?.some((part) => part === "user" || part === "api-key"));
  list.replaceChildren(...plans.map((plan) => panel(plan, byCaller)));
  if (!plans.length) list.append(el("p", { class: "none" }, "No plans yet."));
}

async function changed(text) {
  await load();
  say(text);
}

function panel({ plan, users, created_at, limits: given }, byCaller) {
  const id = `plan-${plan}`;
  const quotas = el("table");
  table(quotas, `Quotas of ${plan}`, ["Limit", "Quotas", ""], Object.entries(given).map(([limit, text]) => [limit, text, el("button", {
    type: "button", class: "button quiet small",
    click: async () => {
      if (!await ask({ title: `Unset ${limit} of ${plan}`, text: "What is more general holds again.", verb: "Unset" })) return;
      if (await attempt(() => call(`api/plans/${segment(plan)}/limits/${segment(limit)}`, "DELETE")) !== undefined) await changed(`${limit} of ${plan} is unset`);
    },
  }, "Unset", el("span", { class: "unseen" }, ` ${limit} of ${plan}`))]), "What is more general holds.");
  const remove = async () => {
    if (!await ask({ title: `Delete ${plan}`, text: "Its quotas go with it.", verb: "Delete", danger: true })) return;
    if (await attempt(() => call(`api/plans/${segment(plan)}`, "DELETE")) !== undefined) await changed(`${plan} is deleted`);
  };
  const form = el("form", { class: "fields", "aria-label": `Change ${plan}` },
    el("div", {}, el("label", { for: `${id}-limit` }, "Limit"), el("select", { id: `${id}-limit`, name: "limit" }, byCaller.map(({ limit }) => el("option", { value: limit }, limit)))),
    el("div", {}, el("label", { for: `${id}-quotas` }, "Quotas"), el("input", { id: `${id}-quotas`, name: "quotas", required: true, autocomplete: "off", placeholder: "100 per minute" })),
    el("button", { class: "button" }, "Set"));
  onSubmit(form, async ({ limit, quotas: text }) => {
    await call(`api/plans/${segment(plan)}/limits/${segment(limit)}`, "PUT", { quotas: text });
    await changed(`${limit} of ${plan} is set`);
  });
  return el("section", { class: "panel", "aria-labelledby": id },
    el("div", { class: "head" }, el("h2", { id }, plan),
      el("button", { type: "button", class: "button quiet danger small", click: remove }, "Delete", el("span", { class: "unseen" }, ` ${plan}`))),
    el("p", { class: "hint" }, `${count(users)} ${users === 1 ? "user" : "users"} · since `, instant(created_at)),
    el("div", { class: "scroll folds", tabindex: 0, role: "region", "aria-label": `Quotas of ${plan}` }, quotas),
    byCaller.length ? form : el("p", { class: "hint" }, "No limit of these rules is by user or API key."));
}

const create = at("create");
onSubmit(create, async ({ plan }) => {
  await call(`api/plans/${segment(plan)}`, "PUT");
  create.reset();
  await changed(`${plan} is made`);
});
load();
