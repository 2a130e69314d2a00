// What was used over time, by key.

import { attempt, call, segment } from "./api.js";
import { chart } from "./chart.js";
import { at, compact, count, latency } from "./dom.js";
import { regularly } from "./stream.js";

const LOOK_AGAIN_MS = 5000;
const [key, span] = [at("use-key"), at("use-span")];
at("use-of").hidden = false;

const requests = chart(at("use-charts"), "Requests", [
  { name: "Allowed", stroke: "--allowed", fill: true },
  { name: "Denied", stroke: "--denied", dash: [6, 4] },
  { name: "Failed", stroke: "--failed", dash: [2, 3] },
], compact);
const latencies = chart(at("use-charts"), "Latency", [
  { name: "Average", stroke: "--allowed" },
  { name: "Longest", stroke: "--denied", dash: [6, 4] },
], latency);

const sum = (column) => column.reduce((all, one) => all + one, 0);

async function show() {
  const asked = `me/series/${segment(key.value)}?span=${span.value}`;
  const use = await attempt(() => call(asked));
  // Another choice was made meanwhile.
  if (!use || asked !== `me/series/${segment(key.value)}?span=${span.value}`) return;
  const times = use.allowed.map((_, place) => use.from_s + place * use.step_s);
  const by = Object.entries(use.denied_by).map(([policy, denied]) => `${policy} ${count(denied)}`);
  const denied = by.length ? ` (${by.join(", ")})` : "";
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
