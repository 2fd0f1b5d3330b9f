// What a browser keeps over a reload.  Where it may not keep anything, it is
// remembered for as long as the page is open.

const memory = new Map();

function area(kind) {
  try {
    return globalThis[kind];
  } catch {
    return null;
  }
}

function makeStore(kind) {
  return {
    read(name) {
      try {
        return area(kind).getItem(name) ?? memory.get(name) ?? null;
      } catch {
        return memory.get(name) ?? null;
      }
    },
    write(name, value) {
      memory.set(name, value);
      try {
        area(kind).setItem(name, value);
      } catch {
        // Full, or forbidden: memory has it.
      }
    },
    remove(name) {
      memory.delete(name);
      try {
        area(kind).removeItem(name);
      } catch {
        // Nothing was kept.
      }
    },
  };
}

/** For this browser: who buys, and what was asked for. */
export const browserStore = makeStore("localStorage");

/** For this tab, until it is closed: the operator's token. */
export const tabStore = makeStore("sessionStorage");

/** A random UUID, also where the page did not come by HTTPS. */
export function newId() {
  if (crypto.randomUUID) {
    return crypto.randomUUID();
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0"));
  return hex.join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
