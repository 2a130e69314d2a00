// How the gateway is.

import { attempt, call } from "./api.js";
import { at, bytes, compact, count, el, spell } from "./dom.js";
import { regularly } from "./stream.js";

const LOOK_AGAIN_MS = 2000;

function panel(title, state, facts) {
  const id = `health-${title.split(" ")[0].toLowerCase()}`;
  return el("section", { class: "panel", "aria-labelledby": id },
    el("h2", { id }, title, " ", el("span", { class: `state${state.bad ? " bad" : ""}` }, state.text)),
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

function memory(store) {
  const full = (store.memory_bytes / store.memory_bytes_max) * 100;
  const lost = store.live_evictions + store.newcomers_without_room;
  return panel("Store of counters", { text: lost ? "has been full" : "fine", bad: lost > 0 }, [
    ["Keys", count(store.keys)],
    ["Memory", `${bytes(store.memory_bytes)} of ${bytes(store.memory_bytes_max)} (${full < 0.1 ? "under 0.1" : compact(full)} %)`],
    ["Keys that gave way", count(store.live_evictions)],
    ["Keys without room", count(store.newcomers_without_room)],
  ]);
}

function shared(store) {
  const away = store.away_for_s != null;
  return panel("Store of counters", { text: away ? "away" : "shared, reachable", bad: away }, [
    ["Away for", away ? spell(store.away_for_s) : "–"],
    ["Round trips", count(store.round_trips)],
    ["Each took", store.round_trip_us == null ? "–" : `${count(store.round_trip_us)} µs`],
    ["Errors", count(store.errors)],
  ]);
}

async function show() {
  const health = await attempt(() => call("api/health"));
  if (!health) return;
  const { store, accounts } = health;
  at("health").replaceChildren(
    panel("Gateway", { text: health.stopping ? "stopping" : "running", bad: health.stopping }, [
      ["Version", health.version],
      ["Running for", spell(health.uptime_s)],
      ["Connections", count(health.connections)],
    ]),
    store.kind === "shared" ? shared(store) : memory(store),
    accounts ? panel("Accounts", { text: accounts.up ? "reachable" : "away", bad: !accounts.up }, [
      ["Away for", accounts.away_for_s == null ? "–" : spell(accounts.away_for_s)],
      ["Changes of others read", `${spell(accounts.changes_unread_for_s)} ago`],
      ["Usage waiting", `${count(accounts.usage_rows_waiting)} rows`],
      ["Usage dropped", count(accounts.usage_dropped)],
    ]) : "");
}

regularly(LOOK_AGAIN_MS, show);
