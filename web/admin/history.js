// What the engine's totals tell over time: rates, percentiles, ages.  Takes
// answers of /admin/stats, gives points; knows nothing of the page.

const KEPT = 180; // points; one a second
const SHORTEST = 500; // ms between two looks that make a rate
const LONGEST = 5000; // ms; what happened in a longer pause, nobody has seen

const ACCEPTED = ["queued", "reserved", "replayed"];
const REFUSED = ["sold_out"];
const LOOKED = ["looked", "admin"];
const FAILED = ["unavailable", "recovering", "internal"];
const NAMED = [...ACCEPTED, ...REFUSED, ...LOOKED, ...FAILED];

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

/** Totals begin at 0 again when the engine is started again. */
function grown(now, before) {
  return now >= before ? now - before : now;
}

/** The time that a share of the requests stayed under, in seconds: between
 * the bounds of its bucket, in proportion.  null: there were none. */
export function percentile({ bounds, counts }, share) {
  const wanted = sum(counts) * share;
  let passed = 0;
  if (wanted === 0) {
    return null;
  }
  for (let i = 0; i < bounds.length; i += 1) {
    if (passed + counts[i] >= wanted) {
      const low = i > 0 ? bounds[i - 1] : 0;
      return low + (bounds[i] - low) * (wanted - passed) / counts[i];
    }
    passed += counts[i];
  }
  return bounds[bounds.length - 1]; // or more: the last bucket has no bound
}

const takenOf = (sale) => sale.total - sale.remaining;

/** What grew since the sample before, over all sales. */
function growth(sales, before, measure) {
  const known = new Map(before.map((sale) => [sale.saleId, measure(sale)]));
  return sum(sales.map((sale) => Math.max(
    0, measure(sale) - (known.get(sale.saleId) ?? 0))));
}

/** Orders on their way whose sale has ended: nobody tells when they arrive,
 * so they count as if they had. */
function unseen(sales, before) {
  const known = new Set(sales.map((sale) => sale.saleId));
  return sum(before.filter((sale) => !known.has(sale.saleId))
    .map((sale) => takenOf(sale) - sale.confirmed));
}

export class History {
  constructor() {
    this.points = [];
    this.last = null;
    this.taken = 0; // units since we look
    this.confirmed = 0;
  }

  /** The point that an answer makes, or null for the first: it has nothing
   * to be compared with. */
  add(stats) {
    const { last } = this;
    if (last !== null && stats.now < last.now + SHORTEST) {
      return null;
    }
    this.last = stats;
    if (last === null) {
      this.confirmed = -sum(stats.sales.map(
        (sale) => takenOf(sale) - sale.confirmed));
      return null;
    }
    const point = {
      time: stats.now / 1000,
      ...this.rates(stats, last),
      ...this.latency(stats, last),
      ...this.backlog(stats, last),
    };
    if (stats.now > last.now + LONGEST) {
      this.points.push({ time: last.now / 1000 + 1 }); // a gap: no values
    }
    this.points.push(point);
    this.points.splice(0, this.points.length - KEPT);
    point.age = this.age(point, stats);
    return point;
  }

  rates(stats, last) {
    const seconds = (stats.now - last.now) / 1000;
    const rate = (names) => sum(names.map((name) => grown(
      stats.requests[name] ?? 0, last.requests[name] ?? 0))) / seconds;
    const others = Object.keys(stats.requests)
      .filter((name) => !NAMED.includes(name));
    return {
      all: rate(Object.keys(stats.requests)),
      accepted: rate(ACCEPTED),
      soldOut: rate(REFUSED),
      looked: rate(LOOKED),
      failed: rate(FAILED),
      other: rate(others),
      booked: growth(stats.sales, last.sales, (s) => s.confirmed) / seconds,
    };
  }

  latency(stats, last) {
    const { bounds, counts } = stats.latency;
    const since = {
      bounds,
      counts: counts.map((n, i) => grown(n, last.latency.counts[i])),
    };
    const ms = (share) => {
      const seconds = percentile(since, share);
      return seconds === null ? null : seconds * 1000;
    };
    return { p50: ms(0.5), p90: ms(0.9), p99: ms(0.99) };
  }

  backlog(stats, last) {
    const { queue, sales } = stats;
    this.taken += growth(sales, last.sales, takenOf);
    this.confirmed += growth(sales, last.sales, (s) => s.confirmed)
      + unseen(sales, last.sales);
    return {
      taken: this.taken,
      remaining: sum(sales.map((s) => s.remaining)),
      acceptedUnits: sum(sales.map(takenOf)),
      confirmedUnits: sum(sales.map((s) => s.confirmed)),
      outbox: sum(sales.map((s) => s.outbox)),
      queue: queue === null ? null
        : queue.visible + queue.inFlight + queue.delayed,
    };
  }

  // How long the oldest order waits: orders are confirmed about in the order
  // in which they came, so it came when as many had been taken as are
  // confirmed now.  Where nothing waits, the books begin anew: a rejected
  // order would be waited for forever.
  age(point, stats) {
    const waits = point.outbox > 0 || (point.queue ?? 0) > 0;
    if (!waits || this.confirmed >= this.taken) {
      this.confirmed = waits ? this.confirmed : this.taken;
      return 0;
    }
    const oldest = this.points.find((p) => p.taken > this.confirmed);
    return oldest ? stats.now / 1000 - oldest.time : 0;
  }
}
