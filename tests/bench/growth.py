"""Whether a request costs the same when there is more of everything: SKUs,
buyers, responders, consumers, orders on record.  A ratio is to the smallest
size."""

import books
from bench import LONG, REFUSED, SECONDS, SOLD_OUT

SKUS = (1, 100_000)
BUYERS = (1, 1_000_000) + ((10_000_000,) if LONG else ())
RESPONDERS = (1, 2, 4)
CONSUMERS = (1, 2, 4, 8)
ORDERS = (0, 1_000_000) + ((10_000_000,) if LONG else ())
CHUNK = 50_000  # of what a script adds before others have their turn
MILLION = 1_000_000

ADD_SALES = """
for i = ARGV[1] + 0, ARGV[2] - 1 do
  local sku = 'bench-sku-' .. i
  redis.call('COPY', KEYS[1], 'fs:{' .. sku .. '}:sale')
  redis.call('SADD', 'fs:sales', sku)
end"""
REMOVE_SALES = ADD_SALES.replace(
    "'COPY', KEYS[1],", "'UNLINK',").replace("SADD", "SREM")
# As reserve.lua and settle.lua leave them.
ADD_BUYERS = """
for i = ARGV[1] + 0, ARGV[2] - 1 do
  local user = string.format('before-%d', i)
  redis.call('HSET', KEYS[1], user, 1)
  redis.call('HSET', KEYS[2], string.format(
    '%08x-0000-7000-8000-000000000000', i), 'confirmed 1 ' .. user)
end"""
# An earlier sale's: its ids are older than all that come.
ADD_ORDERS = """
INSERT INTO orders (id, sale_id, sku, user_id, quantity, status, price_minor,
  currency, reserved_at)
SELECT UNHEX(CONCAT('0180', LPAD(HEX(seq), 12, '0'), '7000800000000000')),
  '01800000-0000-7000-8000-000000000000', 'bench-before',
  CONCAT('before-', seq), 1, 'confirmed', 79900, 'USD', NOW(3)
FROM seq_{first}_to_{last}"""


def _in_chunks(s, script, keys, first, end):
    for start in range(first, end, CHUNK):
        s.redis("EVAL", script, len(keys), *keys, start,
                min(start + CHUNK, end))


def _cost(sample):
    """CPU of a request; 0 where it was not measured."""
    return sum(cpu for part, cpu in sample.get("cpu_us", {}).items()
               if part != "load")


class Growth:
    """points: by axis and by what is done, one dictionary a size.  A cost
    is the CPU of one, or else its time."""

    def __init__(self, bench, s):
        self._bench, self._s = bench, s
        self.points = {}

    def _add(self, axis, size, what, sample):
        series = self.points.setdefault(axis, {}).setdefault(what, [])
        series.append({"size": size, "rate": sample["rate"],
                       "cost_us": _cost(sample) or 1e6 / sample["rate"]})
        name = f"growth: {size:,} {axis}: {what}"
        first = f"growth: {series[0]['size']:,} {axis}: {what}"
        self._bench.add(name, sample, None if name == first else first)

    def _buy(self, axis, size, sku=None):
        bench, s = self._bench, self._s
        self._add(axis, size, "refuse", bench.refuse(s, REFUSED, 256))
        self._add(axis, size, "accept", bench.accept(s, 256, sku))

    def skus(self):
        pattern = [f"fs:{{{SOLD_OUT}}}:sale"]
        for size in SKUS:
            _in_chunks(self._s, ADD_SALES, pattern, 1, size)
            self._s.redis_rewritten()
            self._buy("SKUs", size)
        _in_chunks(self._s, REMOVE_SALES, pattern, 1, SKUS[-1])

    def buyers(self):
        sku, before = self._bench.new_sale(self._s), 0
        keys = [f"fs:{{{sku}}}:{name}" for name in ("buyers", "orders")]
        for size in BUYERS:
            _in_chunks(self._s, ADD_BUYERS, keys, before, size)
            self._s.redis_rewritten()
            self._buy("buyers", size, sku)
            before = size
        self._s.redis("UNLINK", *keys)
        self._s.redis_rewritten()

    def responders(self):
        for size in RESPONDERS:
            self._s.set(RESPONDERS=size)
            self._s.restart_responders()
            self._buy("responders", size)
        self._s.set(RESPONDERS=0)
        self._s.restart_responders()

    def consumers(self):
        for size in CONSUMERS:
            self._add("consumers", size, "drain",
                      books.drain(self._bench, self._s, size))

    def orders(self):
        """The worker and the ledger with that many orders on record."""
        before = 0
        for size in ORDERS:
            for first in range(before, size, MILLION):
                self._s.mysql(ADD_ORDERS.format(
                    first=first + 1, last=min(first + MILLION, size)))
            before = size
            self._s.mysql_flushed()
            self._add("orders", size, "ledger", self._s.loop(
                "insert", books.CONSUMERS, books.HAUL, SECONDS))
            self._add("orders", size, "drain",
                      books.drain(self._bench, self._s))
