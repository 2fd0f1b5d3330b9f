// A rush of buyers, made by this browser: each asks once, and again with the
// same key when there was no answer.  A browser has about six connections to
// a server, so it is a crowd at a narrow door, and no benchmark.

import { buy, NoAnswer, Refusal } from "../shared/engine.js";
import { backOff } from "../shared/poll.js";
import { newId } from "../shared/store.js";

const DOOR = 24; // questions at once; the browser queues what it must
const PATIENCE = 6; // attempts of a buyer

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function buyOne(sku, user) {
  const key = newId();
  for (let attempt = 1; ; attempt += 1) {
    try {
      await buy(sku, user, key);
      return "accepted";
    } catch (error) {
      if (error instanceof Refusal) {
        return error.code;
      }
      if (!(error instanceof NoAnswer) || attempt === PATIENCE) {
        return "failed";
      }
      await pause(backOff(attempt, error.retryAfter));
    }
  }
}

/** told(number, user, outcome) after each buyer: "accepted", the code of the
 * refusal, or "failed".  Resolves when all have been told. */
export async function rush({ sku, buyers }, told) {
  const name = newId().slice(0, 8);
  let next = 0;

  async function oneAfterTheOther() {
    while (next < buyers) {
      const number = next;
      next += 1;
      const user = `sim-${name}-${number + 1}`;
      told(number, user, await buyOne(sku, user));
    }
  }
  await Promise.all(Array.from({ length: Math.min(DOOR, buyers) },
    oneAfterTheOther));
}
