// The server's clock, from the Date of its answers.  A phone may be minutes
// wrong, and a sale opens for everybody at the same moment.
//
// A Date has whole seconds, so an answer tells only that the server's clock
// was between that second and the next, some time between question and
// answer.  Each answer narrows it down.

let least = -Infinity; // the server is ahead of us by at least, at most (ms)
let most = Infinity;

/** Learn from an answer that was asked for at a time and came at another. */
export function observe(response, askedAt, answeredAt) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  const age = Number(response.headers.get("Age") ?? 0) * 1000; // of a cache
  if (Number.isNaN(date) || age > 0) {
    return;
  }
  const low = date - answeredAt;
  const high = date + 1000 - askedAt;
  if (low > most || high < least) {
    // One of the clocks was set: forget.
    [least, most] = [low, high];
  } else {
    [least, most] = [Math.max(least, low), Math.min(most, high)];
  }
}

/** Milliseconds since 1970, as the server would say. */
export function serverNow() {
  const ahead = Number.isFinite(least) ? (least + most) / 2 : 0;
  return Date.now() + ahead;
}
