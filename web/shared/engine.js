// The engine's HTTP interface (docs/protocol.md), as far as pages need it.

import { observe } from "./clock.js";

/** No answer, or one that is no answer: ask again later. */
export class NoAnswer extends Error {
  constructor(message, retryAfter = 0) {
    super(message);
    this.retryAfter = retryAfter; // seconds, as the server asked
  }
}

/** A refusal with a stable code: "sold_out", "unauthorized"... */
export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "Refused");
    this.code = problem.code ?? "unknown";
    this.problem = problem;
  }
}

async function readJson(response) {
  try {
    return await response.json();
  } catch {
    throw new NoAnswer("The answer could not be read.");
  }
}

/** Ask; the JSON of a good answer.  Else throws NoAnswer or Refusal. */
export async function ask(path, { timeout = 10000, ...options } = {}) {
  const askedAt = Date.now();
  let response;
  try {
    response = await fetch(path, {
      ...options,
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(timeout),
    });
  } catch {
    throw new NoAnswer("The shop cannot be reached.");
  }
  observe(response, askedAt, Date.now());
  if (response.status >= 500) {
    const seconds = Number(response.headers.get("Retry-After"));
    throw new NoAnswer("The shop is busy.", seconds || 0);
  }
  if (response.ok) {
    return readJson(response);
  }
  const type = response.headers.get("Content-Type") ?? "";
  throw new Refusal(type.startsWith("application/problem+json")
    ? await readJson(response) : { title: `HTTP ${response.status}` });
}

function post(body, headers = {}) {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
}

export async function fetchSales() {
  return (await ask("/sales")).sales;
}

export function fetchSale(sku) {
  return ask(`/stock/${encodeURIComponent(sku)}`);
}

export function fetchOrder(sku, orderId) {
  return ask(`/orders/${sku}/${orderId}`);
}

/** One purchase, however often it is asked with the same key. */
export function buy(sku, userId, key) {
  return ask(`/buy/${sku}`, post({ userId, quantity: 1 },
    { "Idempotency-Key": key }));
}

// --- For operators: all of these take the admin token ---

function bearer(token) {
  return { Authorization: `Bearer ${token}` };
}

export function fetchStats(token) {
  return ask("/admin/stats", { headers: bearer(token) });
}

/** sale: {sku, stock, ...}; what is not given stays as before. */
export function resetSale(token, sale) {
  return ask("/reset", post(sale, bearer(token)));
}

/** state: "open", "paused" or "closed". */
export function setState(token, sku, state) {
  return ask(`/admin/state/${sku}`, post({ state }, bearer(token)));
}
