// How large the first page of the console is, and how soon it is drawn: by a Chromium with nothing in its cache, on
// loopback, of a gateway built for release, for a user with five keys. Each of the runs is a new profile.
//
//     node bench/console.mjs [RUNS]
//
// Needs `cargo build --release -p tollgate-cli`, Chromium, and `npm ci` in tests/browser. Appends to
// bench/results/console.jsonl.

import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { cpus, release, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { chromium } = createRequire(join(ROOT, "tests/browser/"))("playwright-core");
const BINARY = resolve(ROOT, process.env.TOLLGATE_BIN ?? "target/release/tollgate");
const RESULTS = join(ROOT, "bench/results/console.jsonl");
const RUNS = Number(process.argv[2] ?? 9);
const BYTES_MAX = 100_000;
const MS_MAX = 200;
const PASSWORD = "correct horse battery staple";

const port = await new Promise((done) => {
  const server = net.createServer();
  server.listen(0, "127.0.0.1", () => {
    const free = server.address().port;
    server.close(() => done(free));
  });
});
const data = mkdtempSync(join(tmpdir(), "tollgate-console-"));
const origin = `http://127.0.0.1:${port}`;
const serving = spawn(BINARY, ["serve", "--preset", "random-number", "--listen", `127.0.0.1:${port}`, "--data", data], { cwd: data, stdio: "ignore" });
const command = (...args) => execFileSync(BINARY, [...args, "--data", data], { input: PASSWORD, stdio: ["pipe", "ignore", "ignore"] });

/** One cold visit: bytes as they were sent, with header fields, and milliseconds until text was drawn, and lines were. */
async function visit() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"] });
  try {
    const context = await browser.newContext({ baseURL: origin });
    await context.request.post("/login", { data: { username: "ada", password: PASSWORD } });
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    const sizes = new Map();
    devtools.on("Network.dataReceived", ({ requestId, dataLength }) => sizes.set(requestId, (sizes.get(requestId) ?? 0) + dataLength));
    devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength));
    await page.goto("/console/");
    await page.locator("canvas").nth(1).waitFor();
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    const drawn = await page.evaluate(() => new Promise((done) => {
      new PerformanceObserver((list) => done(list.getEntriesByName("first-contentful-paint")[0].startTime)).observe({ type: "paint", buffered: true });
    }));
    return { bytes, drawn };
  } finally {
    await browser.close();
  }
}

const middle = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
const commit = execFileSync("git", ["describe", "--always", "--dirty", "--exclude=*"], { cwd: ROOT, encoding: "utf8" }).trim();

function record(figure, values, bar, unit) {
  const value = Math.round(middle(values));
  const line = {
    figure, value, bar, met: value < bar, low: Math.round(Math.min(...values)), high: Math.round(Math.max(...values)), rounds: values.length, unit,
    machine: `${cpus()[0].model}, ${cpus().length} cores, Linux ${release().split("-")[0]}`, commit, at: new Date().toISOString(),
  };
  appendFileSync(RESULTS, `${JSON.stringify(line)}\n`);
  console.log(`${line.met ? "met" : "NOT MET"}: ${figure} = ${value} ${unit} (bar ${bar})`);
}

try {
  for (let tries = 0; tries < 200 && !(await fetch(origin).catch(() => null)); tries++) await pause(50);
  command("user", "create", "ada");
  for (let n = 0; n < 5; n++) command("key", "create", "ada", "--name", `key ${n}`);
  const visits = [];
  for (let n = 0; n < RUNS; n++) visits.push(await visit());
  record("first-page-bytes", visits.map(({ bytes }) => bytes), BYTES_MAX, "bytes");
  record("first-page-ms", visits.map(({ drawn }) => drawn), MS_MAX, "ms until it is drawn");
} finally {
  serving.kill("SIGTERM");
  rmSync(data, { recursive: true, force: true });
}
