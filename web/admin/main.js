// The dashboard: asks for the token, then once a second for the numbers.

import { mark, write } from "../shared/dom.js";
import { fetchStats, Refusal } from "../shared/engine.js";
import { poll } from "../shared/poll.js";
import { tabStore } from "../shared/store.js";
import { makeCharts } from "./charts.js";
import { History } from "./history.js";
import { makeSales, watchOpenForm } from "./sales.js";
import { watchSimulationForm } from "./simulation.js";
import { makeTiles } from "./tiles.js";

const TOKEN = "flashsale.token";
const get = (id) => document.getElementById(id);

const tiles = makeTiles(get("tiles"));
const charts = makeCharts(get("charts"));
const history = new History();
let token = tabStore.read(TOKEN);
let watches = 0; // the newest one counts

function showGate(word) {
  token = null;
  tabStore.remove(TOKEN);
  get("dashboard").hidden = true;
  get("leave").hidden = true;
  get("gate").hidden = false;
  tell("", "");
  write(get("gate-word"), word);
  get("token").value = "";
  get("token").focus();
}

function tell(text, tone) {
  write(get("connection"), text);
  get("connection").hidden = text === "";
  mark(get("connection"), "data-tone", tone);
}

/** Run what needs the token; a wrong one leads back to the gate. */
async function admin(ask) {
  const mine = token;
  if (mine === null) {
    throw new Error("Signed out.");
  }
  try {
    return await ask(mine);
  } catch (error) {
    if (error instanceof Refusal && error.code === "unauthorized"
        && token === mine) {
      showGate("This token is wrong, or the engine has none.");
    }
    throw error;
  }
}

function show(stats) {
  const signedIn = !get("gate").hidden;
  get("gate").hidden = true;
  get("dashboard").hidden = false;
  if (signedIn) {
    get("dashboard").focus(); // the keyboard was at the gate
  }
  get("leave").hidden = false;
  if (stats.redis === "ok") {
    tell("Live", "good");
  } else {
    tell(`Redis: ${stats.redis}`, "bad");
    return; // it knows no sales now
  }
  const point = history.add(stats);
  if (point !== null) {
    tiles.update(point);
    charts.update(history.points);
  }
  sales.update(stats.sales);
}

async function look() {
  const mine = token;
  const stats = await admin(fetchStats);
  if (token === mine) { // else somebody has signed out meanwhile
    show(stats);
  }
}

function watch() {
  watches += 1;
  const mine = watches;
  poll(async () => {
    if (token === null || mine !== watches) {
      return false;
    }
    await look();
    return true;
  }, {
    failed: (error) => tell(token === null ? "" : error.message, "bad"),
  });
}

get("gate-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = get("token").value.trim();
  tabStore.write(TOKEN, token);
  write(get("gate-word"), "");
  watch();
});
get("leave").addEventListener("click", () => showGate(""));

const sales = makeSales({
  body: get("sales").tBodies[0], word: get("sales-word"),
}, admin, look);
watchOpenForm(get("open-form"), get("open-word"), admin, look);
watchSimulationForm(admin);
get("no-charts").hidden = globalThis.uPlot !== undefined;
if (token === null) {
  showGate("");
} else {
  watch();
}
