// One product as the buyer sees it.

import { serverNow } from "../shared/clock.js";
import { element, mark, write } from "../shared/dom.js";
import { describeWait, formatCountdown, formatMoney, formatNumber }
  from "../shared/text.js";
import { Purchase } from "./purchase.js";

// Label, and the tone of its badge.
const STATES = {
  on_sale: ["On sale", "good"],
  sold_out: ["Sold out", ""],
  not_open: ["Opens soon", "caution"],
  paused: ["Paused", "caution"],
  closed: ["Closed", ""],
  recovering: ["Back in a moment", "caution"],
};

const REFUSALS = {
  sold_out: "Sold out: others were faster.",
  limit_reached: "Limit reached: you have as many as one buyer may.",
  not_open: "Not open yet: a moment more.",
  paused: "The sale is paused. Try again in a moment.",
  closed: "The sale is over.",
  no_such_sale: "This product is not on sale any more.",
};

const WAY = [["reserved", "Reserved"], ["queued", "Queued"],
  ["confirmed", "Confirmed"]];

const FRESH = 3000; // ms for which our own answer knows better than a cache

const HUES = [14, 36, 158, 188, 214, 248, 282, 334]; // degrees

/** A colour for each SKU, the same at each visit. */
function hueOf(sku) {
  let hash = 7;
  for (const letter of sku) {
    hash = (hash * 31 + letter.codePointAt(0)) % 9973;
  }
  return HUES[hash % HUES.length];
}

export class Card {
  constructor(sale, userId) {
    this.userId = userId;
    this.build(sale.sku);
    this.update(sale);
  }

  build(sku) {
    const id = `product-${sku}`;
    this.art = element("div", { class: "art", "aria-hidden": "true" });
    this.art.style.setProperty("--hue", hueOf(sku));
    this.name = element("h2", { id });
    this.badge = element("span", { class: "badge", role: "status" });
    this.price = element("span");
    this.terms = element("small");
    this.left = element("b");
    this.ofTotal = element("span");
    this.meter = element("progress", { "aria-label": "Units left" });
    this.stock = element("div", { class: "stock" },
      element("p", {}, this.left, this.ofTotal), this.meter);
    this.clock = element("b", { "aria-hidden": "true" });
    this.wait = element("span", { class: "unseen" });
    this.countdown = element("p", { class: "countdown" },
      "Opens in ", this.clock, this.wait);
    this.button = element("button",
      { class: "buy primary", type: "button", "aria-describedby": id });
    this.button.addEventListener("click", () => this.press());
    this.word = element("p", { class: "word", role: "status" });
    this.orderId = element("code");
    this.stations = WAY.map(([, label]) => element("li", {}, label));
    this.order = element("div", { class: "order" },
      element("p", {}, "Order ", this.orderId),
      element("ul", { class: "way", "aria-label": "How far it has come" },
        ...this.stations));
    this.root = element("li", { class: "card", "data-sku": sku },
      this.art,
      element("div", { class: "facts" },
        element("div", { class: "title" }, this.name, this.badge),
        element("p", { class: "price" }, this.price, this.terms),
        this.countdown, this.stock, this.button, this.word, this.order));
  }

  /** It is not on the page any more. */
  leave() {
    this.purchase?.leave();
  }

  /** What the engine says of this product now. */
  update(sale) {
    if (this.sale?.saleId !== sale.saleId) {
      this.leave();
      this.purchase = null; // its changed() comes before it is ours
      this.learned = null;
      this.purchase = new Purchase(sale, this.userId, () => this.learn());
    }
    this.sale = sale;
    this.render();
  }

  press() {
    if (this.mayPress()) {
      this.purchase.press();
    }
  }

  // Our own answer may be newer than what a cache shows.
  learn() {
    if (this.purchase === null || this.sale === undefined) {
      return;
    }
    if (this.purchase.remaining !== null) {
      this.learned = {
        remaining: this.purchase.remaining,
        until: Date.now() + FRESH,
      };
      this.purchase.remaining = null;
    }
    this.render();
  }

  remaining() {
    const fresh = this.learned !== null && Date.now() < this.learned.until;
    return fresh ? Math.min(this.learned.remaining, this.sale.remaining)
      : this.sale.remaining;
  }

  // Between two looks the clock goes on, and our own answer counts.
  state() {
    let { status } = this.sale;
    if (status === "not_open" && serverNow() >= this.sale.opensAt) {
      status = "on_sale";
    }
    return status === "on_sale" && this.remaining() === 0
      ? "sold_out" : status;
  }

  /** Does the buyer have a unit, as far as this page knows? */
  isBought() {
    const { state, status } = this.purchase;
    return state === "ordered" && status !== "rejected";
  }

  mayPress() {
    switch (this.purchase.state) {
      case "asking":
        return false;
      case "waiting":
      case "stuck":
        return true; // the answer may be an order from before
      case "ordered":
        return (this.sale.limit !== 1 || !this.isBought())
          && this.purchase.isCalm()
          && this.state() === "on_sale";
      default:
        return this.state() === "on_sale";
    }
  }

  render() {
    const state = this.state();
    const [label, tone] = STATES[state] ?? [state, ""];
    mark(this.root, "data-state", state);
    mark(this.art, "data-initial", [...this.sale.name][0].toUpperCase());
    write(this.name, this.sale.name);
    write(this.badge, label);
    mark(this.badge, "data-tone", tone);
    write(this.price, formatMoney(this.sale.priceMinor, this.sale.currency));
    write(this.terms, this.sale.limit === 0 ? ""
      : `${formatNumber(this.sale.limit)} for each buyer`);
    this.renderStock(state);
    this.renderButton(state);
    this.renderWord();
    this.renderOrder();
  }

  renderStock(state) {
    const remaining = this.remaining();
    write(this.left, formatNumber(remaining));
    write(this.ofTotal, ` of ${formatNumber(this.sale.total)} left`);
    this.meter.max = Math.max(1, this.sale.total);
    this.meter.value = remaining;
    this.countdown.hidden = state !== "not_open";
    if (state === "not_open") {
      const wait = this.sale.opensAt - serverNow();
      write(this.clock, formatCountdown(wait));
      write(this.wait, describeWait(wait));
    }
  }

  renderButton(state) {
    const labels = {
      asking: "Buying …",
      waiting: "Try again now",
      stuck: "Try again",
    };
    if (this.isBought()) {
      labels.ordered = this.sale.limit === 1 ? "It is yours" : "Buy another";
    }
    const [label] = STATES[state] ?? [state];
    const idle = state === "on_sale" ? "Buy now" : label;
    const waits = this.isBought() && this.sale.limit !== 1
      && state !== "on_sale";
    write(this.button,
      waits ? label : labels[this.purchase.state] ?? idle);
    mark(this.button, "aria-disabled", String(!this.mayPress()));
  }

  renderWord() {
    const [text, tone] = this.explain();
    write(this.word, text);
    mark(this.word, "data-tone", tone);
  }

  explain() {
    const { state, refusal, status } = this.purchase;
    switch (state) {
      case "asking":
        return ["Asking for your unit …", ""];
      case "waiting":
        return [REFUSALS[refusal] ?? "No answer yet. This page asks again by "
          + "itself, and it stays one purchase.", "caution"];
      case "stuck":
        return ["Still no answer. Try again: it stays one purchase.", "bad"];
      case "ordered":
        return this.explainRefusal() ?? this.explainOrder(status);
      default:
        return this.explainRefusal() ?? ["", ""];
    }
  }

  /** Null: it was not refused, or for a state that the sale has left. */
  explainRefusal() {
    const { refusal } = this.purchase;
    const isPast = refusal in STATES && refusal !== this.state();
    return refusal === null || isPast ? null
      : [REFUSALS[refusal] ?? "That did not work.", "bad"];
  }

  explainOrder(status) {
    switch (status) {
      case "confirmed":
        return ["Confirmed: the order is in our books.", "good"];
      case "reserved":
      case "queued":
        return ["It is yours. We are writing it into our books …", "good"];
      default:
        return ["We are sorry: this order could not be kept.", "bad"];
    }
  }

  renderOrder() {
    const { orderId, status, state } = this.purchase;
    this.order.hidden = state !== "ordered";
    if (state !== "ordered") {
      return;
    }
    const reached = WAY.findIndex(([name]) => name === status);
    write(this.orderId, orderId);
    mark(this.order, "data-status", status);
    this.stations.forEach((station, i) => {
      mark(station, "data-reached", i <= reached ? "" : null);
      mark(station, "aria-current", i === reached ? "step" : null);
    });
  }
}
