// "Simulate a rush": a new sale, a crowd, and in the end the books.

import { element, mark, write } from "../shared/dom.js";
import { fetchStats, resetSale } from "../shared/engine.js";
import { poll } from "../shared/poll.js";
import { formatNumber } from "../shared/text.js";
import { Crowd } from "./crowd.js";
import { rush } from "./rush.js";

const SHOWN = 6; // winners
const PATIENCE = 60; // looks at the books

const get = (id) => document.getElementById(id);

function makeCounts(where) {
  const counts = {};
  where.replaceChildren();
  for (const [name, label] of [["accepted", "Accepted"],
    ["refused", "Refused"], ["failed", "No answer"]]) {
    const value = element("dd", { id: `crowd-${name}` }, "0");
    where.append(element("div", {}, element("dt", {}, label), value));
    counts[name] = { n: 0, value };
  }
  return counts;
}

function tellWinner(user) {
  const list = get("winners");
  list.prepend(element("li", {}, `✓ ${user}`));
  while (list.children.length > SHOWN) {
    list.lastChild.remove();
  }
}

async function sendBuyers(sku, buyers) {
  get("crowd").hidden = false;
  get("winners").replaceChildren();
  const counts = makeCounts(get("crowd-counts"));
  const crowd = new Crowd(get("crowd-picture"), buyers);

  await rush({ sku, buyers }, (number, user, outcome) => {
    const kind = outcome in counts ? outcome : "refused";
    counts[kind].n += 1;
    write(counts[kind].value, formatNumber(counts[kind].n));
    crowd.dot(number, kind);
    if (kind === "accepted") {
      tellWinner(user);
    }
  });
  return { accepted: counts.accepted.n, failed: counts.failed.n };
}

/** The sale when MySQL has all that was accepted, or as it is when it has
 * not got there after a long while. */
async function waitForBooks(admin, saleId, accepted) {
  let seen;
  let looks = 0;
  await poll(async () => {
    looks += 1;
    if (looks > PATIENCE) {
      return false;
    }
    const stats = await admin(fetchStats);
    seen = stats.sales.find((sale) => sale.saleId === saleId);
    return seen !== undefined && seen.confirmed < accepted;
  }, { every: 500 });
  return seen;
}

function judge(sale, seen, { accepted, failed }, buyers) {
  if (seen === undefined) {
    return ["Somebody has reset this sale meanwhile.", "bad"];
  }
  const n = formatNumber(seen.confirmed);
  const expected = Math.min(sale.total, buyers);
  if (failed > 0) {
    return [`${n} orders in MySQL; ${formatNumber(failed)} buyers got no `
      + "answer, so what they bought is not known here.", "bad"];
  }
  if (accepted !== expected || seen.confirmed !== accepted
      || seen.remaining !== sale.total - accepted) {
    return [`The books do not add up: ${formatNumber(accepted)} accepted, `
      + `${n} orders in MySQL, ${formatNumber(seen.remaining)} of `
      + `${formatNumber(sale.total)} units left.`, "bad"];
  }
  return [`Exactly ${n} orders in MySQL for ${formatNumber(sale.total)} units `
    + `and ${formatNumber(buyers)} buyers: nothing oversold, nothing lost.`,
  "good"];
}

async function simulate(admin, sku, stock, buyers) {
  const sale = await admin((token) => resetSale(token, {
    sku,
    stock,
    name: sku === "simulation" ? "Simulated rush" : undefined, // as before
    limit: 1,
    opensAt: 0,
    closesAt: 0,
  }));
  write(get("verdict"), "The buyers are coming …");
  const outcome = await sendBuyers(sku, buyers);
  write(get("verdict"), "All answered. Waiting until MySQL has them …");
  const seen = await waitForBooks(admin, sale.saleId, outcome.accepted);
  return judge(sale, seen, outcome, buyers);
}

export function watchSimulationForm(admin) {
  const button = get("simulation-run");
  const number = (name) => Number(get(`simulation-${name}`).value);

  get("simulation-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") {
      return;
    }
    mark(button, "aria-disabled", "true");
    mark(get("verdict"), "data-tone", null);
    write(get("verdict"), "");
    let text, tone;
    try {
      [text, tone] = await simulate(admin, get("simulation-sku").value,
        number("stock"), number("buyers"));
    } catch (error) {
      [text, tone] = [error.message, "bad"];
    }
    write(get("verdict"), text);
    mark(get("verdict"), "data-tone", tone);
    mark(button, "aria-disabled", "false");
  });
}
