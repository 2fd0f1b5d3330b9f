// Asking again and again without being a nuisance: never twice at once, not
// while nobody looks, with some chance in each pause so that a crowd does not
// fall into step, and with longer pauses after errors.

const LONGEST = 20000; // ms

/** A pause before attempt number `failures` (1, 2, ...), in ms. */
export function backOff(failures, retryAfter = 0) {
  const pause = Math.min(LONGEST, 500 * 2 ** failures);
  return Math.max(retryAfter * 1000, pause) * (0.75 + Math.random() / 2);
}

function whenVisible() {
  if (!document.hidden) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", function look() {
      if (!document.hidden) {
        document.removeEventListener("visibilitychange", look);
        resolve();
      }
    });
  });
}

/**
 * Call `step` about every `every` ms until it returns false.  When it throws,
 * `failed` is told, and the next call comes later.
 */
export async function poll(step, { every = 1000, failed = () => {} } = {}) {
  let failures = 0;
  for (;;) {
    await whenVisible();
    let pause = every * (0.8 + Math.random() * 0.4);
    try {
      if (await step() === false) {
        return;
      }
      failures = 0;
    } catch (error) {
      failures += 1;
      pause = backOff(failures, error.retryAfter);
      failed(error);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
