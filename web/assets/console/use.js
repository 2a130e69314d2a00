// What was used over time, by key.

import { attempt, call, segment } from "./api.js";
import { chart } from "./chart.js";
import { at, compact, count, el, latency, write } from "./dom.js";
import { regularly } from "./stream.js";

const LOOK_AGAIN_MS = 5000;
const [key, span] = [at("use-key"), at("use-span")];
at("use-of").hidden = false;

/** A part of the page for one chart, and its heading. */
function part(title) {
  const heading = el("h3", {}, title);
  const node = el("div", {}, heading);
  at("use-charts").append(node);
  return [node, heading];
}

const [requestsPart, requestsTitle] = part("Requests");
const [latencyPart] = part("Latency");
const requests = chart(requestsPart, "Requests", [
  { name: "Allowed", stroke: "--allowed", fill: true },
  { name: "Denied", stroke: "--denied", dash: [6, 4] },
  { name: "Failed", stroke: "--failed", dash: [2, 3] },
], compact);
const latencies = chart(latencyPart, "Latency", [
  { name: "Average", stroke: "--allowed" },
  { name: "Longest", stroke: "--denied", dash: [6, 4] },
], latency);

/** What one point of a line is about: `minute`, `5 seconds`. */
function step(s) {
  const [unit, name] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([unit]) => s % unit === 0);
  return s === unit ? name : `${s / unit} ${name}s`;
}

const sum = (column) => column.reduce((all, one) => all + one, 0);

async function show() {
  const asked = `me/series/${segment(key.value)}?span=${span.value}`;
  const use = await attempt(() => call(asked));
  // Another choice was made meanwhile.
  if (!use || asked !== `me/series/${segment(key.value)}?span=${span.value}`) return;
  const times = use.allowed.map((_, place) => use.from_s + place * use.step_s);
  const by = Object.entries(use.denied_by).map(([policy, denied]) => `${policy} ${count(denied)}`);
  const denied = by.length ? ` (${by.join(", ")})` : "";
  write(requestsTitle, `Requests per ${step(use.step_s)}`);
  requests.show(times, [use.allowed, use.denied, use.failed],
    `${count(sum(use.allowed))} allowed, ${count(sum(use.denied))} denied${denied}, ${count(sum(use.failed))} failed.`);
  const longest = Math.max(...use.latency_us_max);
  latencies.show(times, [use.latency_us_avg, use.latency_us_max], longest ? `At most ${latency(longest)}.` : "Nothing was asked.");
}

for (const choice of [key, span]) choice.addEventListener("change", show);
regularly(LOOK_AGAIN_MS, show);

/** Keys that can be chosen, each once. */
export function offerKeys(keys) {
  const offered = new Set([...key.options].map(({ value }) => value));
  for (const { id, name } of keys) if (!offered.has(id)) key.add(new Option(name, id));
}
