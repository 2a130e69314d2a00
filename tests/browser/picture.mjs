// Makes docs/pictures/console.png: the console's live page, after a minute of traffic. `node tests/browser/picture.mjs`

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./gateway.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = resolve(ROOT, process.env.TOLLGATE_BIN ?? "target/debug/tollgate");
const SECONDS = Number(process.env.SECONDS ?? 60);
const ORIGIN = "http://127.0.0.1:18765";
const PASSWORD = "correct horse battery staple";

const data = await mkdtemp(join(tmpdir(), "tollgate-picture-"));
const gateway = spawn(BINARY, ["serve", "--preset", "per-api-key", "--listen", "127.0.0.1:18765", "--data", data], { cwd: data, stdio: "ignore" });
const ended = new Promise((done) => gateway.once("exit", done));
const browser = await launch();
try {
  while (!(await fetch(ORIGIN).then(() => true, () => false))) await pause(50);
  await command(["user", "create", "root", "--admin"], PASSWORD);
  const keys = [];
  for (const name of ["ann", "bob", "carla", "dev-team"]) {
    await command(["user", "create", name], PASSWORD);
    keys.push((await command(["key", "create", name, "--name", "laptop"])).trim());
  }
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(`${ORIGIN}/login?next=/console/live`);
  await page.getByLabel("Username").fill("root");
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
  await page.waitForURL("**/console/live");
  const end = Date.now() + SECONDS * 1_000;
  await Promise.all(keys.map((key, at) => traffic(key, at, end)));
  await page.screenshot({ path: join(ROOT, "docs/pictures/console.png") });
} finally {
  await browser.close();
  gateway.kill("SIGTERM");
  await ended;
  await rm(data, { recursive: true, force: true });
}

/** Calls by one key, more and fewer by turns; some users are above their limit. */
async function traffic(key, at, end) {
  while (Date.now() < end) {
    const calls = 2 + at * 3 + Math.round(4 * Math.sin(Date.now() / 4_000 + at));
    await Promise.all(Array.from({ length: Math.max(calls, 1) }, () => fetch(`${ORIGIN}/limit`, { headers: { "x-api-key": key } }).then((answer) => answer.text())));
    await pause(1_000);
  }
}

/** What a command prints. */
async function command(args, input = "") {
  const child = spawn(BINARY, [...args, "--data", data], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(input);
  let said = "";
  for await (const chunk of child.stdout) said += chunk;
  return said;
}
