// The table of sales with its switches, and the form that opens one.

import { serverNow } from "../shared/clock.js";
import { element, mark, write } from "../shared/dom.js";
import { fetchSale, resetSale, setState } from "../shared/engine.js";
import { currencyDigits, formatNumber } from "../shared/text.js";

const TONES = {
  on_sale: "good", not_open: "caution", paused: "caution",
  recovering: "caution",
};

// What a state may be switched to, with the word for it.
const SWITCHES = {
  paused: [["open", "Resume"], ["closed", "Close"]],
  closed: [["open", "Reopen"]],
};
const ELSE = [["paused", "Pause"], ["closed", "Close"]];

function say(target, text, tone) {
  write(target, text);
  mark(target, "data-tone", tone);
}

class Row {
  constructor(sku, press) {
    this.press = press;
    this.name = element("span");
    this.badge = element("span", { class: "badge" });
    this.numbers = [0, 1, 2, 3].map(
      () => element("td", { class: "number" }));
    this.switches = element("td");
    this.root = element("tr", { "data-sku": sku },
      element("th", { scope: "row" }, this.name, element("small", {}, sku)),
      element("td", {}, this.badge), ...this.numbers, this.switches);
  }

  update(sale) {
    write(this.name, sale.name);
    write(this.badge, sale.status.replace("_", " "));
    mark(this.badge, "data-tone", TONES[sale.status] ?? "");
    [sale.remaining, sale.total, sale.confirmed, sale.outbox].forEach(
      (n, i) => write(this.numbers[i], formatNumber(n)));
    // Buttons are changed only when they differ: one may have the focus.
    const wanted = SWITCHES[sale.status] ?? ELSE;
    if (this.wanted !== wanted) {
      const focused = this.switches.contains(document.activeElement);
      this.wanted = wanted;
      this.switches.replaceChildren(...wanted.map(([state, label]) => {
        const button = element("button", {
          type: "button", "aria-label": `${label} ${sale.sku}`,
        }, label);
        button.addEventListener("click", () => this.press(sale.sku, state));
        return button;
      }));
      if (focused) { // it was pressed; the keyboard stays where it is
        this.switches.firstElementChild?.focus();
      }
    }
  }
}

/** {update(sales)}; admin: runs what needs the token, look: asks again. */
export function makeSales({ body, word }, admin, look) {
  const rows = new Map();

  async function press(sku, state) {
    try {
      await admin((token) => setState(token, sku, state));
      say(word, `${sku} is ${state} now.`, "good");
    } catch (error) {
      say(word, error.message, "bad");
    }
    look();
  }

  return {
    update(sales) {
      for (const [sku, row] of rows) {
        if (!sales.some((sale) => sale.sku === sku)) {
          row.root.remove();
          rows.delete(sku);
        }
      }
      for (const sale of sales) {
        if (!rows.has(sale.sku)) {
          rows.set(sale.sku, new Row(sale.sku, press));
          body.append(rows.get(sale.sku).root);
        }
        rows.get(sale.sku).update(sale);
      }
    },
  };
}

/** That of the SKU's sale, which a reset leaves as it is. */
async function currencyOf(sku) {
  try {
    return (await fetchSale(sku)).currency;
  } catch (error) {
    if (error.code === "no_such_sale") {
      return "USD"; // what the engine takes for a new one
    }
    throw error;
  }
}

/** What the form says, as POST /reset wants it; what is empty stays. */
async function readSale(field) {
  const sale = { sku: field("sku").value, stock: Number(field("stock").value) };
  const delay = Number(field("delay").value);
  sale.opensAt = delay > 0 ? Math.round(serverNow() + delay * 1000) : 0;
  if (field("name").value !== "") {
    sale.name = field("name").value;
  }
  if (field("price").value !== "") {
    const digits = currencyDigits(await currencyOf(sale.sku));
    sale.priceMinor = Math.round(Number(field("price").value) * 10 ** digits);
  }
  if (field("limit").value !== "") {
    sale.limit = Number(field("limit").value);
  }
  return sale;
}

export function watchOpenForm(form, word, admin, look) {
  const field = (name) => document.getElementById(`open-${name}`);
  let busy = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) {
      return; // a double click: each reset begins a sale
    }
    busy = true;
    try {
      const wanted = await readSale(field);
      const sale = await admin((token) => resetSale(token, wanted));
      say(word, `${sale.name}: ${formatNumber(sale.total)} units.`, "good");
    } catch (error) {
      say(word, error.message, "bad");
    }
    busy = false;
    look();
  });
}
