// Asking the gateway, and what becomes of its refusals.

import { at, el, say } from "./dom.js";

export const base = document.querySelector("[data-base]").dataset.base;

/** One segment of a path. What stands in a name is encoded twice: no path of the gateway may have an encoded slash or dots. */
export const segment = (name) => encodeURIComponent(encodeURIComponent(name).replaceAll(".", "%2E"));

/** What the gateway answers at a path below the console: JSON as an object, anything else as text. */
export async function call(path, method = "GET", body = null) {
  const headers = { accept: "application/json" };
  if (body) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`${base}/${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Error("The gateway cannot be reached.");
  }
  const isJson = (answer.headers.get("content-type") ?? "").includes("json");
  const content = isJson ? await answer.json() : (await answer.text()).trim();
  if (answer.ok) return content;
  if (answer.status === 401) throw new Error("You are logged out. Load the page again to log in.");
  throw new Error(isJson ? content.detail : content || `The gateway answered ${answer.status}.`);
}

const trouble = at("trouble");

/** Does something whose failure has no field to stand beside. The answer is `undefined` when it failed. */
export async function attempt(something) {
  try {
    const done = await something();
    trouble.hidden = true;
    return done;
  } catch (error) {
    trouble.textContent = error.message;
    trouble.hidden = false;
    return undefined;
  }
}

/**
 * Calls `send` with the fields of a form when it is submitted; what is wrong is said beside the field that it names. Until
 * then a page hides its form: without this the browser would send it, and its fields in a URL.
 */
export function onSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear(form);
    const button = form.querySelector("button:not([type=button])");
    button.disabled = true;
    const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    try {
      await send(fields);
    } catch (error) {
      complain(form, error.message);
    } finally {
      button.disabled = false;
    }
  });
  form.hidden = false;
}

function clear(form) {
  for (const message of form.querySelectorAll(".wrong")) message.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

let complaints = 0;

function complain(form, text) {
  const named = /^`?(\w+)`? /.exec(text)?.[1];
  const fields = [...form.elements].filter((field) => field.matches("input, select") && !field.closest("[hidden]"));
  const field = fields.find((field) => field.name === named) ?? fields.findLast((field) => field.matches("input"));
  const id = `wrong-${++complaints}`;
  const plain = text.replaceAll("`", "");
  const message = el("p", { class: "wrong", id }, plain.charAt(0).toUpperCase() + plain.slice(1));
  (field?.parentElement ?? form).append(message);
  field?.setAttribute("aria-invalid", "true");
  field?.setAttribute("aria-describedby", id);
  field?.focus();
  say(plain);
}
