// ioredis against the decision service: PORT TOKEN.
import assert from "node:assert/strict";
import Redis from "ioredis";

const [port, password] = process.argv.slice(2);
const client = new Redis({ port: Number(port), password, connectionName: "tests" });

const one = await client.call("CL.THROTTLE", "node-one", 15, 30, 60);
assert.deepEqual(one, [0, 16, 15, -1, 2]);

const pipeline = client.pipeline();
for (let count = 0; count < 10; count += 1) pipeline.call("CL.THROTTLE", "node-pipeline", 4, 5, 60);
const limited = (await pipeline.exec()).map(([error, reply]) => {
  assert.equal(error, null);
  return reply[0];
});
assert.deepEqual(limited, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);

const asks = Array.from({ length: 100 }, () => client.call("CL.THROTTLE", "node-many", 4, 5, 60));
const passed = (await Promise.all(asks)).filter((reply) => reply[0] === 0);
assert.equal(passed.length, 5);

await assert.rejects(client.get("nothing"), /unknown command/);
await client.quit();
console.log("fine");
