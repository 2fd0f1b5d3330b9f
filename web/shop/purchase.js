// One buyer's purchase of one product, from the wish to the confirmed order.
// Knows nothing of the page: it tells whoever asks about its state.
//
//   idle      nothing asked for, or refused (then `refusal` is the code)
//   asking    the question is out
//   waiting   no answer: asks again by itself, with the same key
//   stuck     no answer to many questions: waits to be told
//   ordered   `orderId`, and `status` as the engine tells it
//
// A wish has an Idempotency-Key from its first moment on.  It is kept over
// reloads until there is an answer, so whatever gets lost on the way, the
// wish becomes one order at most.  An earlier order of the same sale is kept
// beside it, and shown again when the wish is refused.

import { serverNow } from "../shared/clock.js";
import { buy, fetchOrder, Refusal } from "../shared/engine.js";
import { backOff, poll } from "../shared/poll.js";
import { browserStore, newId } from "../shared/store.js";

const PATIENCE = 6; // attempts before somebody has to press the button
const CALM = 2000; // ms, see isCalm()
const EARLY = 2000; // ms
const SETTLED = ["confirmed", "rejected", "cancelled", "expired"];

export class Purchase {
  /** changed() is called after every change. */
  constructor(sale, userId, changed) {
    this.sku = sale.sku;
    this.userId = userId;
    this.changed = changed;
    this.name = `flashsale.purchase.${sale.saleId}`;
    this.state = "idle";
    this.refusal = null;
    this.remaining = null; // as the answer told it
    this.attempts = 0;
    this.calmAt = 0; // ms
    this.#restore();
  }

  /** The button was pressed.  Presses while a question is out do nothing. */
  press() {
    if (this.state === "asking") {
      return;
    }
    clearTimeout(this.timer);
    if (this.state !== "waiting" && this.state !== "stuck") {
      const kept = this.#read();
      if (kept?.orderId && !kept.key && kept.orderId !== this.orderId) {
        this.#adopt(kept); // another tab was faster
        return;
      }
      this.key = kept?.key ?? newId();
      this.#keep({ ...kept, key: this.key });
    }
    this.attempts = 0;
    this.#ask();
  }

  /** The sale is another one now, or gone: ask nothing more in its name, for
   * a key is forgotten with its sale. */
  leave() {
    this.left = true;
    this.changed = () => {};
    clearTimeout(this.timer);
  }

  /** The button says something else since the answer came.  Who was about
   * to press it for the old word, or clicks twice, buys nothing more. */
  isCalm() {
    return this.state !== "ordered" || Date.now() >= this.calmAt;
  }

  #read() {
    try {
      return JSON.parse(browserStore.read(this.name));
    } catch {
      return null;
    }
  }

  #keep(record) {
    browserStore.write(this.name, JSON.stringify(record));
  }

  #adopt(order) {
    this.#become("ordered", order);
    this.#follow();
  }

  #restore() {
    const kept = this.#read();
    if (kept?.key) {
      this.key = kept.key;
      this.#ask();
    } else if (kept?.orderId) {
      this.#adopt(kept);
    }
  }

  #become(state, facts = {}) {
    Object.assign(this, { state, refusal: null }, facts);
    this.changed();
  }

  async #ask() {
    this.attempts += 1;
    this.#become("asking");
    try {
      const order = await buy(this.sku, this.userId, this.key);
      this.#keep({ orderId: order.orderId, status: order.status });
      this.calmAt = Date.now() + CALM;
      this.#adopt(order);
    } catch (error) {
      if (error instanceof Refusal && !this.#isTooEarly(error)) {
        this.#refused(error);
      } else if (!this.left) {
        this.#wait(error);
      }
    }
  }

  #refused({ code, problem }) {
    const { orderId, status } = this.#read() ?? {};
    const facts = { refusal: code, remaining: problem.remaining ?? null };
    if (orderId) {
      this.#keep({ orderId, status });
      this.#become("ordered", { ...facts, orderId, status });
      this.#follow();
    } else {
      browserStore.remove(this.name);
      this.#become("idle", facts);
    }
  }

  // The server's clock is known to a fraction of a second: whoever presses in
  // that moment has not to press again.
  #isTooEarly({ code, problem }) {
    return code === "not_open" && problem.opensAt - serverNow() < EARLY;
  }

  #wait(error) {
    if (this.attempts >= PATIENCE) {
      this.#become("stuck");
      return;
    }
    const pause = backOff(this.attempts, error.retryAfter);
    this.timer = setTimeout(() => this.#ask(), pause);
    this.#become("waiting", { refusal: error.code ?? null });
  }

  // A 404 is no answer yet: the engine may be recovering.
  #follow() {
    const { orderId } = this;
    if (this.followed === orderId) {
      return;
    }
    this.followed = orderId;
    poll(async () => {
      if (this.left || this.orderId !== orderId || SETTLED.includes(this.status)) {
        return false;
      }
      const { status } = await fetchOrder(this.sku, orderId);
      if (this.orderId === orderId && status !== this.status) {
        const kept = this.#read();
        if (kept?.orderId === orderId) { // no later one of another tab
          this.#keep({ ...kept, status });
        }
        this.#become(this.state, { status, refusal: this.refusal });
      }
      return !SETTLED.includes(status);
    });
  }
}
