"""What a request costs: commands in Redis, system calls of a responder, and
(BENCH_LONG) its instructions."""

import re
import signal
import subprocess
import time

from bench import LONG, REFUSED, SOLD_OUT
from stack import OUT, PROGRAMS

COUNTED = 2_000, 12_000  # requests to a responder under callgrind


def _trace(s, run):
    """System calls of the responders by name while run() runs, and what it
    returns.  Tracing slows them, so the rate means nothing."""
    report = OUT / "strace.txt"
    command = ["strace", "-q", "-c", "-U", "name,calls", "-o", report]
    for pid in s.responders():
        command += ["-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        time.sleep(0.3)
        value = run()
        process.send_signal(signal.SIGINT)
    calls = re.findall(r"^(\w+)\s+(\d+)$", report.read_text(), re.M)
    return {name: int(n) for name, n in calls if name != "total"}, value


def _under_callgrind(s, sku, requests):
    """Instructions of one responder from its start to its end."""
    for old in OUT.glob("callgrind.*"):
        old.unlink()
    s.use_responders(PROGRAMS, "valgrind", "--tool=callgrind",
                     f"--callgrind-out-file={OUT}/callgrind.%p")
    s.cli("attack", "--sku", sku, "--connections", 32,
          "--requests", requests)
    s.restart_responders()  # so that it writes its file
    return max(int(re.search(r"(?m)^totals: (\d+)", dump.read_text()).group(1))
               for dump in OUT.glob("callgrind.*"))


def _instructions(s, sku):
    """Of one request: what more of them cost more."""
    few, many = (_under_callgrind(s, sku, n) for n in COUNTED)
    return (many - few) / (COUNTED[1] - COUNTED[0])


def instructions(bench, s):
    s.set(RESPONDERS=1)
    counts = {"refusal": _instructions(s, SOLD_OUT),
              "order": _instructions(s, bench.new_sale(s))}
    s.set(RESPONDERS=0)
    s.restart_responders()
    return counts


def measure(bench, s):
    """By kind of request; the worker is down."""
    kinds = {"refusal": lambda: bench.refuse(s, REFUSED, 256),
             "order": lambda: bench.accept(s, 256)}
    costs = {}
    for kind, run in kinds.items():
        before = s.redis_commands()
        requests = run()["requests"]
        after = s.redis_commands()
        calls, traced = _trace(s, lambda: run()["requests"])
        costs[kind] = {
            "redis": {name: (n - before.get(name, 0)) / requests
                      for name, n in after.items()},
            "system_calls": {name: n / traced for name, n in calls.items()}}
    if LONG:
        for kind, count in instructions(bench, s).items():
            costs[kind]["instructions"] = count
    return costs
