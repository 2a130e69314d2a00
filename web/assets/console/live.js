// The traffic of the whole gateway, second by second.

import { attempt, call } from "./api.js";
import { chart } from "./chart.js";
import { at, compact, count, el, latency, table, write } from "./dom.js";
import { stream } from "./stream.js";

const SECONDS = 300;

const rates = chart(at("rate-chart"), "Requests per second", [
  { name: "Allowed", stroke: "--allowed", fill: true },
  { name: "Denied", stroke: "--denied", dash: [6, 4] },
  { name: "Errors", stroke: "--failed", dash: [2, 3] },
  { name: "Not authenticated", stroke: "--unknown", dash: [10, 4, 2, 4] },
], compact);
const latencies = chart(at("latency-chart"), "Latency", [
  { name: "Half are faster", stroke: "--allowed" },
  { name: "95 of 100", stroke: "--denied", dash: [6, 4] },
  { name: "99 of 100", stroke: "--failed", dash: [2, 3] },
], latency);

const tiles = new Map(["Allowed per second", "Denied per second", "Errors per second", "Latency, 95 of 100", "Connections"].map((name) => {
  const figure = el("b", {}, "–");
  at("tiles").append(el("li", {}, el("span", {}, name), figure));
  return [name, figure];
}));

let seconds = [];
let before = null;

const errors = (traffic) => traffic.failed + traffic.refused;
const epoch = (second) => Date.parse(second.at) / 1000;

function draw() {
  // A clock that stands still, or was set back, would make a line that runs backwards.
  const shown = seconds.filter((second, place) => place === seconds.length - 1 || epoch(second) < epoch(seconds[place + 1]));
  const column = (value) => shown.map(value);
  const times = column(epoch);
  const sum = (value) => count(column(value).reduce((all, one) => all + one, 0));
  rates.show(times, [column((s) => s.allowed), column((s) => s.denied), column(errors), column((s) => s.unauthenticated)],
    `In the last ${shown.length} seconds: ${sum((s) => s.allowed)} allowed, ${sum((s) => s.denied)} denied, ${sum(errors)} ${sum(errors) === "1" ? "error" : "errors"}, ${sum((s) => s.unauthenticated)} not authenticated.`);
  const last = shown.findLast((second) => second.latency_us.p50 != null)?.latency_us;
  latencies.show(times, ["p50", "p95", "p99"].map((name) => column((s) => s.latency_us[name])),
    last ? `Last: ${latency(last.p50)}, ${latency(last.p95)}, ${latency(last.p99)}.` : "Nothing was asked.");
}

function showNow(now) {
  const second = seconds.at(-1);
  if (second) {
    write(tiles.get("Allowed per second"), count(second.allowed));
    write(tiles.get("Denied per second"), count(second.denied));
    write(tiles.get("Errors per second"), count(errors(second)));
    write(tiles.get("Latency, 95 of 100"), latency(second.latency_us.p95));
  }
  write(tiles.get("Connections"), count(now.connections));
  const known = new Map(before?.routes.map((route) => [route.route, route]));
  const asked = (route) => route.allowed + route.denied + route.unauthenticated + errors(route);
  const rows = now.routes.filter(asked).sort((one, other) => asked(other) - asked(one)).map((route) => {
    const rate = known.has(route.route) ? asked(route) - asked(known.get(route.route)) : 0;
    return [route.route || "(none)", count(rate), count(route.allowed), count(route.denied), count(errors(route)), count(route.unauthenticated),
      latency(route.latency_us.p50), latency(route.latency_us.p95), latency(route.latency_us.p99)];
  });
  table(at("routes"), "Routes since the start", ["Route", "#Per second", "#Allowed", "#Denied", "#Errors", "#Not authenticated", "#p50", "#p95", "#p99"], rows, "No requests yet.");
  before = now;
}

const overview = await attempt(() => call("api/monitor/overview"));
if (overview) {
  seconds = overview.seconds;
  draw();
  showNow(overview);
}
stream("api/monitor/live", (event) => {
  if (event.second) seconds = [...seconds, event.second].slice(-SECONDS);
  draw();
  showNow(event);
});
