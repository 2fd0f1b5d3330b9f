"""The reserve script by itself, asked by redis-benchmark, beside the least
that a script can do that sells: look and count down."""

import hashlib
import pathlib
import re
import subprocess

from bench import SOLD_OUT
from stack import ROOT

BARE = """\
local left = tonumber(redis.call('GET', KEYS[1]))
if left and left > 0 then return redis.call('DECR', KEYS[1]) end
return -1"""
# Of an accepted order, nothing but what it leaves.
WRITES = """\
redis.call('HINCRBY', KEYS[1], 'remaining', -1)
redis.call('XADD', KEYS[5], '*', 'type', 'order', 'order_id', ARGV[2],
  'sale_id', '01a203e4-6d69-7522-8ce2-ca40fe6d7920', 'revision', '1',
  'total', '100000000', 'user', ARGV[3], 'quantity', '1', 'price', '0',
  'currency', 'USD', 'request_key', '', 'reserved_at', '1795353362988')
redis.call('HSET', KEYS[2], ARGV[3], 1)
redis.call('HSET', KEYS[4], ARGV[2], 'reserved 1 ' .. ARGV[3])
return 1"""
SHORTEST = """\
for i = 1, tonumber(ARGV[1]) do
  redis.call('HSET', KEYS[1], string.format('%016d', i),
    string.format('%016d', i))
end"""
KEYED, KEYED_SHORT = "with a key", "with one of 16 bytes"
CLIENTS = 16
CALLS = 20_000
TOGETHER = 25  # requests that share a call


def _rate(s, keys, arguments, script, calls):
    digest = s.redis("SCRIPT", "LOAD", script).strip()
    assert digest == hashlib.sha1(script.encode()).hexdigest()
    text = subprocess.run(
        ["redis-benchmark", "-s", s.redis_socket, "-q", "-c", str(CLIENTS),
         "-n", str(calls), "-r", "1000000000", "EVALSHA", digest,
         str(len(keys)), *keys, *arguments],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(re.findall(r"([\d.]+) requests per second", text)[-1])


def _keys(sku):
    names = ("sale", "buyers", "requests", "orders", "outbox", "gates")
    return [f"fs:{{{sku}}}:{name}" for name in names]


def _requests(n):
    """Ids and users are new each time: redis-benchmark counts for us."""
    words = []
    for i in range(n):
        words += [f"{i:08}-0000-7000-8000-__rand_int__",
                  f"user-{i}-__rand_int__", "1", ""]
    return words


def round_of(bench, s):
    script = (ROOT / "lua/reserve.lua").read_text()
    s.redis("SET", "bench:left", 2_000_000_000)
    bare = "script: bare check and decrement"
    bench.add(bare, {"rate": _rate(s, ["bench:left"], [], BARE, CALLS)})
    open_sku = bench.new_sale(s)
    for what, sku in (("refuse", SOLD_OUT), ("accept", open_sku)):
        for together in (1, TOGETHER):
            rate = _rate(s, _keys(sku), ["", *_requests(together)], script,
                         CALLS // together)
            bench.add(f"script: {what}, {together} a call",
                      {"rate": rate * together}, bare)
    bench.add("script: an order's writes alone", {"rate": _rate(
        s, _keys(open_sku), ["", *_requests(1)], WRITES, CALLS)}, bare)
    # Nobody is to send these on.
    s.redis("DEL", *_keys(open_sku))
    s.redis("SREM", "fs:sales", open_sku)


def _bytes(s, key):
    return int(s.redis("MEMORY", "USAGE", key, "SAMPLES", 0).strip() or 0)


def memory(bench, s):
    """Bytes of Redis for a unit sold: all that is left of an order when MySQL
    has it, and what an Idempotency-Key adds; at the least, were user and key
    16 bytes together, and the order's id as well."""
    bytes_ = {}
    for what, options in (("plain", []), (KEYED, ["--keys"])):
        sku = bench.new_sale(s)
        s.cli("attack", "--sku", sku, "--requests", 20_000, *options)
        keys = _keys(sku)[1:4]
        used = sum(_bytes(s, key) for key in keys)
        bytes_[what] = used / int(s.redis("HLEN", keys[2]))
    s.redis("EVAL", SHORTEST, 1, "bench:short", 20_000)
    bytes_[KEYED_SHORT] = (bytes_["plain"]
                           + _bytes(s, "bench:short") / 20_000)
    s.redis("DEL", "bench:short")
    return bytes_
