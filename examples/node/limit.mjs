// Limits in Node.js, with ioredis and CL.THROTTLE: `tollgate serve --resp 127.0.0.1:6380`, then
//
//   const limits = new Limits(new Redis("redis://127.0.0.1:6380", PATIENCE));
//   const server = http.createServer(limits.limited({ burst: 4, count: 5, periodS: 60 }, (request, response) => …));

/** Options of ioredis with which a service that is away is noticed after half a second. */
export const PATIENCE = { commandTimeout: 500, connectTimeout: 500, maxRetriesPerRequest: 1 };

/** Decisions of a Tollgate service, over one connection for all requests of the process. */
export class Limits {
  /** `client` is one of ioredis. `onError` says what happens while the service cannot be reached: "open" lets requests
   * pass, "closed" does not. */
  constructor(client, { onError = "open" } = {}) {
    this.onError = onError;
    this.client = client;
    // Errors reach those who ask; an event that nobody hears would end the process.
    client.on("error", () => {});
  }

  /** Charges `cost` units to `key`: `burst` at once and one, refilled by `count` each `periodS` seconds. */
  async check(key, { burst, count, periodS }, cost = 1) {
    try {
      const [denied, limit, remaining, retryAfterS, resetAfterS] = await this.client.call(
        "CL.THROTTLE", key, burst, count, periodS, cost,
      );
      return { allowed: denied === 0, limit, remaining, retryAfterS, resetAfterS };
    } catch (error) {
      if (error.name === "ReplyError") throw error;
      return { allowed: this.onError === "open", away: true };
    }
  }

  /** A handler for `http.createServer` that asks first, by the client's address unless `key(request)` says else. */
  limited(quota, handler, key = (request) => request.socket.remoteAddress) {
    return async (request, response) => {
      const decision = await this.check(key(request), quota);
      if (decision.allowed) return handler(request, response);
      const headers = decision.away ? {} : { "Retry-After": Math.max(1, decision.retryAfterS) };
      response.writeHead(decision.away ? 503 : 429, { "Content-Type": "application/json", ...headers });
      return response.end('{"error":"too many requests"}\n');
    };
  }
}
