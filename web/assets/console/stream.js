// Events of the gateway, one each second, while somebody looks.

import { base } from "./api.js";
import { at, write } from "./dom.js";

const RETRY_MS = 3000;

/** Hands each event at `path` to `show`. A page that nobody sees has no stream. */
export function stream(path, show) {
  const state = at("stream");
  state.hidden = false;
  write(state, "Connecting");
  let source = null;
  let retry = 0;

  const close = () => {
    clearTimeout(retry);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource(`${base}/${path}`);
    source.addEventListener("message", (event) => {
      state.classList.add("on");
      write(state, "Live");
      show(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      state.classList.remove("on");
      write(state, "Not connected. Trying again.");
      // After a refusal the browser does not try again by itself.
      close();
      retry = setTimeout(open, RETRY_MS);
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
}

/** Does something now and every so often, while somebody looks. */
export function regularly(milliseconds, something) {
  something();
  setInterval(() => { if (!document.hidden) something(); }, milliseconds);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) something(); });
}
