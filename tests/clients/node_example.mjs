// examples/node: PORT of the service, PORT of nothing.
import assert from "node:assert/strict";
import http from "node:http";
import { once } from "node:events";
import Redis from "ioredis";
import { Limits, PATIENCE } from "../../examples/node/limit.mjs";

const [port, nothing] = process.argv.slice(2);
const connect = (to, options) => new Redis({ ...PATIENCE, ...options, port: Number(to) });
// A machine may stand still for longer than a service that is away is waited for.
const limits = new Limits(connect(port, { commandTimeout: 60_000, connectTimeout: 60_000 }));
const quota = { burst: 4, count: 5, periodS: 60 };
const server = http.createServer(limits.limited(quota, (_, response) => response.end("hello\n")));
server.listen(0, "127.0.0.1");
await once(server, "listening");

const url = `http://127.0.0.1:${server.address().port}/`;
const statuses = [];
let retryAfter;
for (let count = 0; count < 7; count += 1) {
  const answer = await fetch(url);
  await answer.text();
  statuses.push(answer.status);
  retryAfter = answer.headers.get("retry-after");
}
assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429]);
assert.ok(Number(retryAfter) > 0);
await assert.rejects(limits.check("ann", { burst: 4, count: 0, periodS: 60 }), /count/);

for (const [onError, allowed] of [["open", true], ["closed", false]]) {
  const away = new Limits(connect(nothing), { onError });
  assert.equal((await away.check("ann", quota)).allowed, allowed);
  away.client.disconnect();
}
limits.client.disconnect();
server.close();
server.closeAllConnections();
console.log("fine");
// The client's timers go on, also of commands that were answered.
process.exit();
