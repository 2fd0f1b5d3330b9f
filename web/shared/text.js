// Numbers and times for people.

const numbers = new Intl.NumberFormat("en");

export function formatNumber(n) {
  return numbers.format(n);
}

function moneyFormat(currency) {
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency });
  } catch {
    return null; // three letters that are no currency
  }
}

/** "USD" -> 2, "JPY" -> 0: digits after the point, of the smallest unit. */
export function currencyDigits(currency) {
  return moneyFormat(currency)?.resolvedOptions().maximumFractionDigits ?? 2;
}

/** 79900, "USD" -> "$799.00". */
export function formatMoney(minor, currency) {
  const amount = minor / 10 ** currencyDigits(currency);
  return moneyFormat(currency)?.format(amount) ?? `${amount} ${currency}`;
}

/** 3723000 -> "1:02:03"; days where there are any. */
export function formatCountdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (days > 0) {
    return `${days} d ${two(hours)}:${rest}`;
  }
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** For ears and for one glance: "about 3 minutes". */
export function describeWait(ms) {
  const units = [[86400000, "day"], [3600000, "hour"], [60000, "minute"]];
  for (const [size, name] of units) {
    if (ms >= size) {
      const n = Math.round(ms / size);
      return `about ${n} ${name}${n === 1 ? "" : "s"}`;
    }
  }
  return "less than a minute";
}
