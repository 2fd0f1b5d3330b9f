"""Whether a request costs the same when there is more of everything: SKUs,
buyers, responders, consumers, orders on record.  A ratio is to the smallest
size."""

import contextlib
import statistics

import books
from bench import LONG, REFUSED, SECONDS, SOLD_OUT

SKUS = (1, 100_000)
BUYERS = (1, 1_000_000) + ((10_000_000,) if LONG else ())
RESPONDERS = (1, 2, 4)
CONSUMERS = (1, 2, 4, 8)
ORDERS = (0, 1_000_000) + ((10_000_000,) if LONG else ())
ROUNDS = 4 if LONG else 1
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
INSERT INTO {table} (id, sale_id, sku, user_id, quantity, status, price_minor,
  currency, reserved_at)
SELECT UNHEX(CONCAT('0180', LPAD(HEX(seq), 12, '0'), '7000800000000000')),
  '01800000-0000-7000-8000-000000000000', 'bench-before',
  CONCAT('before-', seq), 1, 'confirmed', 79900, 'USD', NOW(3)
FROM seq_{first}_to_{last}"""


def _in_chunks(s, script, keys, first, end):
    for start in range(first, end, CHUNK):
        s.redis("EVAL", script, len(keys), *keys, start,
                min(start + CHUNK, end))


def _turns(sizes):
    """Upwards, then downwards: no size always comes after the others."""
    for n in range(ROUNDS):
        yield from sizes if n % 2 == 0 else reversed(sizes)


def _buyers_of(sku):
    """The keys that buyers leave."""
    return [f"fs:{{{sku}}}:{name}" for name in ("buyers", "orders")]


def _cost(sample):
    """CPU of a request; 0 where it was not measured."""
    return sum(cpu for part, cpu in sample.get("cpu_us", {}).items()
               if part != "load")


class Growth:
    """A cost is the CPU of one, or else its time.  Sizes take turns, as far
    as they can: what the host does meanwhile hits all of them."""

    def __init__(self, bench, s):
        self._bench, self._s = bench, s
        self._samples = {}  # by axis, by what is done, by size: a list

    @property
    def points(self):
        """By axis and by what is done, one dictionary a size: medians."""
        return {axis: {what: [{
            "size": size,
            "rate": statistics.median(s["rate"] for s in samples),
            "cost_us": statistics.median(
                _cost(s) or 1e6 / s["rate"] for s in samples)}
            for size, samples in sizes.items()]
            for what, sizes in kinds.items()}
            for axis, kinds in self._samples.items()}

    def _add(self, axis, size, what, sample):
        sizes = self._samples.setdefault(axis, {}).setdefault(what, {})
        sizes.setdefault(size, []).append(sample)
        name = f"growth: {size:,} {axis}: {what}"
        first = f"growth: {next(iter(sizes)):,} {axis}: {what}"
        self._bench.add(name, sample, None if name == first else first)

    def _buy(self, axis, size, sku=None):
        bench, s = self._bench, self._s
        self._add(axis, size, "refuse", bench.refuse(s, REFUSED, 256))
        self._add(axis, size, "accept", bench.accept(s, 256, sku))

    def skus(self):
        pattern = [f"fs:{{{SOLD_OUT}}}:sale"]
        for _ in range(ROUNDS):
            for size in SKUS:
                _in_chunks(self._s, ADD_SALES, pattern, 1, size)
                self._s.redis_rewritten()
                self._buy("SKUs", size)
            _in_chunks(self._s, REMOVE_SALES, pattern, 1, SKUS[-1])

    def buyers(self):
        """Of sales that are there at the same time."""
        sales = {size: self._bench.new_sale(self._s) for size in BUYERS}
        for size, sku in sales.items():
            _in_chunks(self._s, ADD_BUYERS, _buyers_of(sku), 0, size)
        self._s.redis_rewritten()
        for size in _turns(BUYERS):
            self._buy("buyers", size, sales[size])
        for sku in sales.values():
            self._s.redis("UNLINK", *_buyers_of(sku))
        self._s.redis_rewritten()

    def responders(self):
        for size in _turns(RESPONDERS):
            self._s.set(RESPONDERS=size)
            self._s.restart_responders()
            self._buy("responders", size)
        self._s.set(RESPONDERS=0)
        self._s.restart_responders()

    def consumers(self):
        self._s.purge()  # a queue server may be slow when it is very full
        for size in _turns(CONSUMERS):
            self._add("consumers", size, "drain",
                      books.drain(self._bench, self._s, size))

    def orders(self):
        """The worker and the ledger with that many orders on record."""
        for size in ORDERS:
            self._fill_table(size)
        self._s.mysql_flushed()
        for size in _turns(ORDERS):
            with self._table(size):
                self._add("orders", size, "ledger", self._s.loop(
                    "insert", books.CONSUMERS, books.HAUL, SECONDS))
                self._add("orders", size, "drain",
                          books.drain(self._bench, self._s))

    def _fill_table(self, size):
        self._s.mysql(f"CREATE TABLE orders_{size} LIKE orders")
        for first in range(0, size, MILLION):
            self._s.mysql(ADD_ORDERS.format(
                table=f"orders_{size}", first=first + 1,
                last=min(first + MILLION, size)))

    @contextlib.contextmanager
    def _table(self, size):
        """It is the table of orders for a while; nobody is at work."""
        self._s.mysql(f"RENAME TABLE orders TO orders_before, "
                      f"orders_{size} TO orders")
        yield
        self._s.mysql(f"RENAME TABLE orders TO orders_{size}, "
                      f"orders_before TO orders")
