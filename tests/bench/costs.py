"""What a request costs: commands in Redis, system calls of a responder, and
(BENCH_LONG) its instructions."""

import re
import signal
import subprocess
import time

from bench import LONG, REFUSED
from stack import OUT, PROGRAMS

COUNTED = 20_000  # requests whose instructions are counted


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


def _instructions(s, what, sku):
    """Of one responder under callgrind, for so many purchases."""
    report = OUT / f"callgrind.{what}"
    for old in OUT.glob(f"{report.name}*"):
        old.unlink()
    s.set(RESPONDERS=1)
    s.use_responders(PROGRAMS, "valgrind", "--tool=callgrind",
                     f"--callgrind-out-file={report}.%p")

    def attack(n):
        s.cli("attack", "--sku", sku, "--connections", 256, "--requests", n)

    attack(2_000)  # scripts are loaded, connections are there
    pid = str(s.responders()[0])
    subprocess.run(["callgrind_control", "--zero", pid], check=True,
                   stdout=subprocess.DEVNULL)
    attack(COUNTED)
    subprocess.run(["callgrind_control", "--dump", pid], check=True,
                   stdout=subprocess.DEVNULL)
    dump = OUT / f"{report.name}.{pid}.1"
    total = int(re.search(r"(?m)^(?:summary|totals): (\d+)",
                          dump.read_text()).group(1))
    return total / COUNTED


def instructions(bench, s):
    counts = {"refusal": _instructions(s, "refuse", bench.SOLD_OUT),
              "order": _instructions(s, "accept", bench.new_sale(s))}
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
