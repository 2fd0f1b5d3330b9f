// The storefront: looks what is on sale, once a second, and keeps a card for
// each product.  Everything a card does is its own.

import { write } from "../shared/dom.js";
import { fetchSales } from "../shared/engine.js";
import { poll } from "../shared/poll.js";
import { browserStore, newId } from "../shared/store.js";
import { Card } from "./card.js";

const TICK = 250; // ms between two looks at the clock
const products = document.getElementById("products");
const notice = document.getElementById("notice");
const connection = document.getElementById("connection");
const cards = new Map(); // SKU -> Card

/** There is no login here: a name of our own, the same at each visit. */
function whoBuys() {
  let user = browserStore.read("flashsale.user");
  if (user === null) {
    user = `web-${newId()}`;
    browserStore.write("flashsale.user", user);
  }
  return user;
}

function show(sales) {
  for (const [sku, card] of cards) {
    if (!sales.some((sale) => sale.sku === sku)) {
      card.leave();
      card.root.remove();
      cards.delete(sku);
    }
  }
  for (const sale of sales) {
    const card = cards.get(sale.sku);
    if (card) {
      card.update(sale);
    } else {
      const made = new Card(sale, user);
      cards.set(sale.sku, made);
      products.append(made.root);
    }
  }
  notice.hidden = sales.length > 0;
  write(notice, "Nothing is on sale right now. This page will show it as soon "
    + "as there is something.");
}

const user = whoBuys();
write(document.getElementById("user"), user);
setInterval(() => cards.forEach((card) => card.render()), TICK);
poll(async () => {
  show(await fetchSales());
  write(connection, "");
}, {
  failed(error) {
    write(connection, `${error.message} Looking again …`);
  },
});
