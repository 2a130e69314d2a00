// The real binary on a free loopback port, with a clock that the test holds, and Debian's Chromium in front of it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = resolve(ROOT, process.env.TOLLGATE_BIN ?? "target/debug/tollgate");
const START = 1_800_000_000;
const START_DEADLINE_MS = 120_000;

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A gateway of its own for test `t`, of preset `pages` or of other rules: no test can use up another's limits. */
export async function serve(t, rules = null) {
  const port = await freePort();
  const data = await mkdtemp(join(tmpdir(), "tollgate-browser-"));
  const chosen = rules ? ["--rules", join(data, "rules.toml")] : ["--preset", "pages", "--upstream", "demo:random"];
  if (rules) await writeFile(join(data, "rules.toml"), rules);
  const child = spawn(
    BINARY,
    ["serve", ...chosen, "--listen", `127.0.0.1:${port}`, "--data", data, "--test-clock", String(START)],
    { cwd: data, stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => { log += chunk; });
  const ended = new Promise((done) => { child.once("exit", done); child.once("error", done); });
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(data, { recursive: true, force: true });
  });

  const deadline = performance.now() + START_DEADLINE_MS;
  const isReady = () => command(["health", "--data", data]).then(() => true, () => false);
  while (!(await isReady())) {
    assert.equal(child.exitCode, null, `tollgate ended before it was ready:\n${log}`);
    assert.ok(performance.now() < deadline, `tollgate is not ready:\n${log}`);
    await Promise.race([pause(25), ended]);
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    advance: (seconds) => advance(join(data, "admin.sock"), seconds),
    command: (args, input = "") => command([...args, "--data", data], input),
  };
}

/** What a command prints; it must do what it is told. */
function command(args, input) {
  const child = spawn(BINARY, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.end(input);
  let [printed, complained] = ["", ""];
  child.stdout.on("data", (chunk) => { printed += chunk; });
  child.stderr.on("data", (chunk) => { complained += chunk; });
  return new Promise((done, fail) => child.once("close", (code) => (code === 0 ? done(printed) : fail(new Error(`${args.join(" ")}: ${complained}`)))));
}

/**
 * A person at `gateway`: a page whose clock stands still until `advance` moves it together with the gateway's,
 * and the list of everything that a clean page must not do.
 */
export async function visit(t, browser, gateway, options = {}) {
  const context = await browser.newContext({ baseURL: gateway.origin, viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  // It runs until it is paused, and cannot be set back.
  await page.clock.install({ time: (START - 3600) * 1000 });
  await page.clock.pauseAt(START * 1000 + 1000);

  const requests = [];
  const errors = [];
  const refused = new Set();
  page.on("request", (request) => requests.push(request.url()));
  page.on("response", (response) => { if (response.request().isNavigationRequest() && response.status() >= 400) refused.add(response.url()); });
  page.on("pageerror", (error) => errors.push({ text: `${error.name}: ${error.message} ${error.stack}` }));
  page.on("console", (message) => { if (message.type() === "error") errors.push({ text: message.text(), url: message.location().url }); });
  page.on("dialog", (dialog) => dialog.accept());

  return {
    page,
    context,
    requests,
    /** Chromium reports each refused page as an error; those the test asked for are none. */
    complaints: () => [
      ...errors.filter(({ text, url }) => !(text.startsWith("Failed to load resource") && refused.has(url))).map(({ text }) => text),
      ...requests.filter((url) => !url.startsWith("data:") && new URL(url).origin !== gateway.origin),
    ],
    async advance(seconds) {
      await gateway.advance(seconds);
      await page.clock.runFor(seconds * 1000);
    },
    async json(path) {
      const response = await context.request.get(path, { headers: { accept: "application/json" } });
      return { status: response.status(), type: response.headers()["content-type"], body: await response.json() };
    },
  };
}

async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

function accepts(port) {
  return new Promise((done) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => { socket.destroy(); done(true); });
    socket.once("error", () => done(false));
  });
}

function advance(socketPath, seconds) {
  return new Promise((done, fail) => {
    const body = JSON.stringify({ seconds });
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const request = http.request({ socketPath, path: "/clock/advance", method: "POST", headers }, (response) => {
      response.resume();
      response.on("end", () => (response.statusCode < 300 ? done() : fail(new Error(`/clock/advance answered ${response.statusCode}`))));
    });
    request.on("error", fail);
    request.end(body);
  });
}
