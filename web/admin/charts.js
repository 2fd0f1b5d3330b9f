// The charts, by uPlot.  Without it there are none, and the page says so.

import { element, write } from "../shared/dom.js";
import { formatRate } from "./numbers.js";

const HEIGHT = 170; // px
const SPAN = 180; // seconds

const CHARTS = [
  ["Requests a second, by outcome", [
    ["accepted", "accepted", "accepted"],
    ["sold out", "soldOut", "refused"],
    ["other refusals", "other", "other"],
    ["looks", "looked", "looked"],
    ["failed", "failed", "failed"]]],
  ["Orders of all sales, in units", [
    ["accepted", "acceptedUnits", "accepted"],
    ["confirmed", "confirmedUnits", "confirmed"]]],
  ["Units left in all sales", [["left", "remaining", "refused"]]],
  ["Latency of the responders, ms", [
    ["p50", "p50", "accepted"],
    ["p90", "p90", "refused"],
    ["p99", "p99", "failed"]]],
  ["Waiting on their way to MySQL", [
    ["outbox", "outbox", "other"],
    ["queue", "queue", "confirmed"]]],
  ["Worker", [
    ["orders a second", "booked", "confirmed"],
    ["oldest waits, s", "age", "refused"]]],
];

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Chart {
  constructor([title, series]) {
    this.series = series;
    this.values = series.map(() => element("b", {}, "–"));
    const key = series.map(([label, , name], i) => {
      const item = element("li", {}, `${label} `, this.values[i]);
      item.style.setProperty("--colour", `var(--series-${name})`);
      return item;
    });
    this.plotted = element("div", { "aria-hidden": "true" });
    this.root = element("figure", { class: "chart" },
      element("h3", {}, title), element("ul", { class: "key" }, ...key),
      this.plotted);
    this.root.style.margin = 0;
  }

  draw() {
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--muted"), grid, ticks: grid };
    this.plot?.destroy();
    this.plot = new globalThis.uPlot({
      width: this.plotted.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { range: (u, low, high) => [(high ?? SPAN) - SPAN, high ?? SPAN] },
        y: { range: (u, low, high) => [0, Math.max(1, high * 1.08)] },
      },
      axes: [{
        ...axis,
        space: 80,
        values: (u, ticks) => ticks.map((t) => clock.format(t * 1000)),
      }, { ...axis, size: 52 }],
      series: [{}, ...this.series.map(([, , name]) => ({
        stroke: colour(`--series-${name}`), width: 2, points: { show: false },
      }))],
    }, this.columns ?? [[], ...this.series.map(() => [])], this.plotted);
  }

  update(points) {
    this.columns = [points.map((p) => p.time),
      ...this.series.map(([, field]) => points.map((p) => p[field] ?? null))];
    this.series.forEach(([, field], i) => {
      write(this.values[i], formatRate(points.at(-1)?.[field] ?? null));
    });
    this.plot?.setData(this.columns);
  }
}

/** {update(points)}; where: the element they go into. */
export function makeCharts(where) {
  const charts = CHARTS.map((each) => new Chart(each));
  where.append(...charts.map((chart) => chart.root));
  if (globalThis.uPlot === undefined) {
    charts.forEach((chart) => chart.plotted.remove());
  } else {
    const drawAll = () => charts.forEach((chart) => chart.draw());
    new ResizeObserver(drawAll).observe(where);
    matchMedia("(prefers-color-scheme: dark)")
      .addEventListener("change", drawAll);
  }
  return {
    update: (points) => charts.forEach((chart) => chart.update(points)),
  };
}
