// The pages preset as a person meets it, in a real browser. Each test's name is its promise.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { launch, serve, visit } from "./gateway.mjs";
import { cutOff, faint, nameless, tooSmall } from "./look.mjs";

const PASSWORD = "correct horse battery staple";
const NUMBER = "/call_api";
const LEFT = "/see_remaining_limits";
const PER_MINUTE = 5;

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

async function fillIn(page, path, username) {
  await page.goto(path);
  await page.getByLabel("Username").fill(username);
  await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await Promise.all([
    page.waitForURL((url) => url.pathname !== path),
    page.locator("main form button.button").click(),
  ]);
}

async function logIn(page, username = "ada") {
  await fillIn(page, "/signup", username);
  await fillIn(page, "/login", username);
}

/** What a line of curl gets. */
async function run(line) {
  const [, name, value, url] = /-H '([^:]+): (.+)' '(.+)'/.exec(line);
  return fetch(url, { headers: { [name]: value } });
}

/** Draws until nothing is left in the minute; a log-in that leads to the number page has drawn one already. */
async function useUp(person) {
  let drawn = PER_MINUTE - (await person.json(LEFT)).body.minute.remaining;
  for (; drawn < PER_MINUTE; drawn++) {
    const response = await person.page.goto(NUMBER);
    assert.equal(response.status(), 200, `number ${drawn + 1} of ${PER_MINUTE}`);
    assert.match(await person.page.locator(".number").innerText(), /^\d+$/);
  }
  return person.page.goto(NUMBER);
}

const wait = (page) => page.locator("[data-wait]");
const row = (page, name) => page.locator(`[data-window="${name}"]`);

test("a person signs up, logs in and logs out by the forms", async (t) => {
  const { page, complaints } = await visit(t, browser, await serve(t));
  await logIn(page, "ada");
  await page.goto("/");
  assert.match(await page.locator("header").innerText(), /ada/);

  await page.getByRole("button", { name: "Account of ada" }).click();
  await page.getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByRole("link", { name: "Sign up" }).first().waitFor();
  const refused = await page.goto(NUMBER);
  assert.equal(refused.status(), 403);
  assert.equal(await page.locator("[data-wait]").count(), 0, "a missing log-in is not a wait");
  await page.getByRole("main").getByRole("link", { name: "Log in" }).click();
  assert.equal(new URL(page.url()).pathname, "/login");
  assert.deepEqual(complaints(), []);
});

test("who has signed up is told so, and nobody else is", async (t) => {
  const { page } = await visit(t, browser, await serve(t));
  await fillIn(page, "/signup", "ada");
  const told = page.getByRole("status").getByText("Your account is made.");
  await told.waitFor();
  assert.equal(await page.getByLabel("Username").inputValue(), "ada", "nobody writes a name twice");
  assert.ok(await page.getByLabel("Password", { exact: true }).evaluate((field) => field === document.activeElement));
  assert.doesNotMatch(page.url(), /ada/);
  for (const part of ["banner", "main"]) {
    await page.goto("/signup");
    await page.getByRole(part).getByRole("link", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    assert.equal(await told.count(), 0, part);
  }
});

test("whoever is logged in is not asked to sign up", async (t) => {
  const route = (path, name, auth = "") => `[[routes]]\nmatch = ${path}\nbuiltin = "${name}"\n${auth}`;
  const rules = [
    route('"GET /"', "home"),
    route('["GET /signup", "POST /signup"]', "signup"),
    route('["GET /login", "POST /login"]', "login"),
    route('["GET /keys", "POST /keys"]', "keys", 'auth = ["session"]\n'),
    route('"GET /assets/{*rest}"', "assets"),
  ].join("\n");
  const { page } = await visit(t, browser, await serve(t, rules));
  await page.goto("/");
  await page.getByText("Sign up, make a key, and call it").waitFor();
  await logIn(page, "ada");
  await page.goto("/");
  await page.getByText("Make a key, and call it").waitFor();
  assert.doesNotMatch(await page.locator("body").innerText(), /sign up/i);
});

test("a wrong password is named beside the form and keeps the name that was typed", async (t) => {
  const { page } = await visit(t, browser, await serve(t));
  await fillIn(page, "/signup", "ada");
  await page.goto("/login");
  await page.getByLabel("Username").fill("ada");
  await page.getByLabel("Password", { exact: true }).fill("not this one, not at all");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await page.getByLabel("Username").inputValue(), "ada");
  assert.equal(await page.getByLabel("Password", { exact: true }).inputValue(), "");
});

test("after five numbers a 403 page counts down the seconds of Retry-After, and then the same address shows a number", async (t) => {
  const person = await visit(t, browser, await serve(t));
  const { page } = person;
  await logIn(page);
  const refused = await useUp(person);

  assert.equal(refused.status(), 403);
  assert.match(refused.headers()["content-type"], /^text\/html/);
  assert.match(await page.title(), /403/);
  assert.match(await page.getByRole("heading", { level: 1 }).innerText(), /Too many requests/);
  assert.doesNotMatch(await page.locator(".lead").innerText(), /seconds/, "no figure stands still beside the one that counts");
  const seconds = Number(refused.headers()["retry-after"]);
  assert.equal(seconds, 60);
  assert.equal(await wait(page).locator("b").innerText(), `${seconds} s`);
  assert.match(await row(page, "minute").innerText(), /0 of 5 left/);

  const again = page.getByRole("link", { name: "Try again" });
  await person.advance(seconds - 1);
  assert.equal(await wait(page).locator("b").innerText(), "1 s");
  await again.click({ force: true });
  assert.equal(await wait(page).locator("b").innerText(), "1 s", "the link waits");

  await person.advance(1);
  assert.equal(await page.locator(".wait").innerText(), "You can try again now.");
  const [response] = await Promise.all([page.waitForResponse((r) => r.request().isNavigationRequest()), again.click()]);
  assert.equal(response.status(), 200);
  assert.equal(new URL(page.url()).pathname, NUMBER);
  assert.match(await page.locator(".number").innerText(), /^\d+$/);
  assert.match(await row(page, "minute").innerText(), /4 of 5 left/);
  assert.match(await row(page, "hour").innerText(), /294 of 300 left/);
  assert.deepEqual(person.complaints(), []);
});

test("refreshing during the lock does not extend it", async (t) => {
  const person = await visit(t, browser, await serve(t));
  await logIn(person.page);
  const before = Number((await useUp(person)).headers()["retry-after"]);
  for (let i = 0; i < 10; i++) await person.page.reload();
  await person.advance(10);
  const after = Number((await person.page.reload()).headers()["retry-after"]);
  assert.equal(after, before - 10);
  await person.advance(after);
  assert.equal((await person.page.reload()).status(), 200);
});

test("the same address answers a JSON client with a problem document", async (t) => {
  const person = await visit(t, browser, await serve(t));
  await logIn(person.page);
  await useUp(person);
  const { status, type, body } = await person.json(NUMBER);
  assert.equal(status, 403);
  assert.match(type, /^application\/problem\+json/);
  assert.equal(body.status, 403);
});

test("what is left is live: it counts down, follows other tabs, and refills when the window resets", async (t) => {
  const person = await visit(t, browser, await serve(t));
  const { page } = person;
  await logIn(page);
  await page.goto(NUMBER);
  const { remaining, resets_in } = (await person.json(LEFT)).body.minute;
  assert.match(await row(page, "minute").innerText(), new RegExp(`${remaining} of 5 left`));
  assert.match(await row(page, "minute").innerText(), new RegExp(`resets in ${resets_in} s`));

  await person.advance(10);
  assert.match(await row(page, "minute").innerText(), new RegExp(`resets in ${resets_in - 10} s`));

  const other = await person.context.newPage();
  await other.goto(NUMBER);
  await other.close();
  const asked = page.waitForResponse((response) => new URL(response.url()).pathname === LEFT);
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await asked;
  await row(page, "minute").getByText(`${remaining - 1} of 5 left`).waitFor();

  await person.advance(resets_in - 10);
  await row(page, "minute").getByText("5 of 5 left").waitFor();
  await row(page, "minute").getByText("nothing used yet").waitFor();
  assert.deepEqual(person.complaints(), []);
});

test("a key's secret is shown once, and a revoked key says so", async (t) => {
  const { page, complaints } = await visit(t, browser, await serve(t));
  await logIn(page);
  await page.goto("/keys");
  await page.getByLabel("Name of a new key").fill("laptop");
  await page.getByRole("button", { name: "Create key" }).click();
  const secret = (await page.locator("#secret").innerText()).trim();
  assert.ok(secret.length >= 20, `a secret, not "${secret}"`);
  const example = await page.locator("#example").innerText();
  assert.equal(example, `curl -i -H 'X-API-Key: ${secret}' '${new URL(NUMBER, page.url())}'`);
  await page.getByRole("button", { name: "Copy the call" }).click();
  await page.getByRole("status").getByText(/^(Copied|Selected)/).waitFor();
  assert.equal((await run(example)).status, 200);

  await page.goto("/keys");
  assert.ok(!(await page.content()).includes(secret), "the secret is gone");
  const key = page.getByRole("listitem").filter({ hasText: "laptop" });
  assert.match(await key.innerText(), /active/);

  await key.getByRole("button", { name: "Revoke laptop" }).click();
  await key.getByText("revoked").waitFor();
  assert.equal(await key.getByRole("button").count(), 0, "nothing is left to do with it");
  assert.deepEqual(complaints(), []);
});

/** Every page once, as [name, path]; the last two are refusals. */
async function everyPage(person, look) {
  for (const [name, path] of [["home", "/"], ["signup", "/signup"], ["login", "/login"]]) {
    await look(name, await person.page.goto(path));
  }
  await look("no-login", await person.page.goto(NUMBER));
  await logIn(person.page);
  await look("number", await person.page.goto(NUMBER));
  await person.page.goto("/keys");
  await person.page.getByLabel("Name of a new key").fill("laptop");
  const [created] = await Promise.all([
    person.page.waitForResponse((response) => response.request().method() === "POST"),
    person.page.getByRole("button", { name: "Create key" }).click(),
  ]);
  await person.page.locator("#secret").waitFor();
  await person.page.waitForLoadState();
  await look("key-created", created);
  await look("keys", await person.page.goto("/keys"));
  await look("missing", await person.page.goto("/no-such-page"));
  await look("limited", await useUp(person));
}

test("nothing is requested from elsewhere, and no page breaks its own strict policy", async (t) => {
  const gateway = await serve(t);
  const person = await visit(t, browser, gateway);
  await everyPage(person, async (name, response) => {
    if (response.request().redirectedFrom()) return;
    const policy = response.headers()["content-security-policy"] ?? "";
    assert.match(policy, /default-src 'none'/, name);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/, name);
  });
  assert.deepEqual(person.complaints(), []);
  assert.ok(person.requests.some((url) => url.endsWith("/style.css")), "the pages have their style");

  // Swagger UI needs a clock that runs.
  const reader = await visit(t, browser, gateway);
  await reader.page.clock.resume();
  await reader.page.goto("/docs");
  await reader.page.locator(".opblock").first().waitFor();
  assert.deepEqual(reader.complaints(), []);
});

test("every page has a title, one heading, a main part, and a name on each control", async (t) => {
  const person = await visit(t, browser, await serve(t));
  const { page } = person;
  await everyPage(person, async (name) => {
    assert.match(await page.title(), /\S.* · Tollgate/, name);
    assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1, name);
    assert.equal(await page.getByRole("main").count(), 1, name);
    assert.deepEqual(await nameless(page), [], name);
  });
  await page.goto("/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.querySelector("main").contains(document.activeElement)));
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none");
});

test("without JavaScript one signs up, logs in, draws numbers, is refused and comes back", async (t) => {
  const gateway = await serve(t);
  const person = await visit(t, browser, gateway, { javaScriptEnabled: false });
  const { page } = person;
  await logIn(page);
  const refused = await useUp(person);
  assert.equal(refused.status(), 403);
  assert.equal(await wait(page).locator("b").innerText(), `${refused.headers()["retry-after"]} s`);
  await gateway.advance(60);
  await page.getByRole("link", { name: "Try again" }).click();
  await page.locator(".number").waitFor();
  assert.deepEqual(person.complaints(), []);
});

test("who wants to log out does not end every session by a slip of the finger", async (t) => {
  const { page } = await visit(t, browser, await serve(t));
  await logIn(page);
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 800 });
    assert.equal(await page.getByRole("button", { name: /^Log out/ }).count(), 0, "they are in a menu");
    await page.getByRole("button", { name: "Account of ada" }).click();
    assert.deepEqual([...await cutOff(page), ...await tooSmall(page), ...await faint(page)], [], String(width));
    const [one, all] = await Promise.all(["Log out", "Log out everywhere"].map((name) => page.getByRole("button", { name, exact: true }).boundingBox()));
    const apart = all.y >= one.y + one.height || all.x - (one.x + one.width) >= 16;
    assert.ok(apart, `${width}: ${JSON.stringify([one, all])}`);
    await page.keyboard.press("Escape");
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`no page scrolls sideways on a phone, hides a control or has one too small for a finger, and every text can be read (${colorScheme})`, async (t) => {
    const person = await visit(t, browser, await serve(t), { colorScheme });
    const { page } = person;
    await everyPage(person, async (name) => {
      for (const width of [360, 390, 768]) {
        await page.setViewportSize({ width, height: 844 });
        assert.deepEqual([...await cutOff(page), ...await tooSmall(page)], [], `${name} at ${width}`);
        const nav = await page.getByRole("navigation", { name: "Main" }).boundingBox();
        assert.ok(nav.y + nav.height <= (width < 600 ? 130 : 90), `${name} at ${width}: a header of few lines`);
      }
      assert.deepEqual(await faint(page), [], name);
      for (const width of process.env.SCREENSHOTS ? [390, 1280] : []) {
        await page.setViewportSize({ width, height: 800 });
        await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    });
  });
}
