// The row of numbers on top: the newest point, for one glance.

import { element, write } from "../shared/dom.js";
import { formatMs, formatRate, formatSeconds } from "./numbers.js";

const TILES = [
  ["Requests / s", (p) => formatRate(p.all)],
  ["Accepted / s", (p) => formatRate(p.accepted)],
  ["Units left", (p) => formatRate(p.remaining)],
  ["Latency p50", (p) => formatMs(p.p50)],
  ["Latency p99", (p) => formatMs(p.p99)],
  ["Outbox", (p) => formatRate(p.outbox)],
  ["Queue", (p) => formatRate(p.queue)],
  ["Oldest waits", (p) => formatSeconds(p.age)],
  ["Booked / s", (p) => formatRate(p.booked)],
];

export function makeTiles(where) {
  const values = TILES.map(([label]) => {
    const value = element("dd", {}, "–");
    where.append(element("div", {}, element("dt", {}, label), value));
    return value;
  });
  return {
    update: (point) => TILES.forEach(([, format], i) => {
      write(values[i], format(point));
    }),
  };
}
