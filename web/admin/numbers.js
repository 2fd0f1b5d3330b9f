// Numbers as the dashboard shows them: short, and "–" for what is not known.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function formatRate(n) {
  if (n === null || n === undefined) {
    return "–";
  }
  return Math.abs(n) < 10 ? fine.format(n) : whole.format(n);
}

export function formatMs(ms) {
  return ms === null ? "–" : `${formatRate(ms)} ms`;
}

export function formatSeconds(s) {
  return `${formatRate(s)} s`;
}
