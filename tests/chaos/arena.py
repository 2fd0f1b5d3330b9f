"""Where the rounds are played: a stack whose programs can be ended at
failpoints, whose clocks can be moved, and whose listening socket outlives
flashsale-fcgi, as it does under systemd."""

import collections
import concurrent.futures
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
os.environ.setdefault("PROGRAMS", "build/fail")

import redis                                    # noqa: E402

import network                                  # noqa: E402
from harness import processes                   # noqa: E402
from harness.sentinel import Group              # noqa: E402
from harness.stack import PROGRAMS, Stack       # noqa: E402
from harness.wait import eventually             # noqa: E402

# Short times, for a round has only seconds.  Their order is the documents':
# SQS_TIMEOUT < SEND_DEADLINE < OUTBOX_AGE, SEND_DEADLINE < RECOVERY_SETTLE.
SETTINGS = {
    "REDIS_TIMEOUT_MS": "1000",
    "MYSQL_TIMEOUT_MS": "2000",
    "SQS_TIMEOUT_MS": "600",
    "SEND_DEADLINE_MS": "900",
    "OUTBOX_AGE_MS": "1000",
    "RECOVERY_SETTLE_MS": "1000",
    "POLL_WAIT_SECONDS": "1",
    "VISIBILITY_SECONDS": "10",
    "DRAIN_SECONDS": "10",
    "RESPONDERS": "2",
    "CONSUMERS": "2",
}

def _find_faketime():
    for path in pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(path)
    return None


class Masters:
    """flashsale-fcgi under a supervisor that keeps the listening socket, as
    systemd does: who connects while nobody serves waits in its queue."""

    def __init__(self, program, path, environment, log):
        self._program = program
        self._environment, self._log = environment, log
        if os.path.exists(path):
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(4096)
        self.deaths = []        # (exit status, was it expected)
        self._expected = False
        self._closing = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._supervise)
        self._thread.start()
        self._started.wait()

    def _supervise(self):
        while not self._closing:
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    [self._program], stdin=self._socket,
                    stdout=log, stderr=log, env=self._environment)
            self._started.set()
            status = self.process.wait()
            self.deaths.append((status, self._expected))
            self._expected = False

    @property
    def pid(self):
        return self.process.pid

    def stop(self, number):
        """End the master that runs; its successor follows by itself."""
        self._expected = True
        old = self.process
        old.send_signal(number)
        eventually(lambda: self.process is not old
                   and processes.children(self.pid), 30, "a new master")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def family(self):
        return [self.pid, *processes.children(self.pid)]

    def close(self):
        self._closing = self._expected = True
        self.process.terminate()
        self._thread.join()
        self._socket.close()


class Sqs:
    """The stand-in's faults, of which several may be at work at a time."""

    def __init__(self, standin):
        self._standin = standin
        self._active = {}       # name -> definitions
        self._happened = collections.Counter()
        self._lock = threading.Lock()

    def _count(self):
        """Before they are set anew, which sets them to 0."""
        faults = iter(self._standin.control()["faults"])
        for name, definitions in self._active.items():
            for _, fault in zip(definitions, faults):
                self._happened[name] += fault["happened"]

    def _change(self, change, **wishes):
        def once():
            self._count()
            return True
        with self._lock:
            eventually(once, 20, "SQS' control answers")
            change()
            definitions = [one for several in self._active.values()
                           for one in several]
            eventually(lambda: self._standin.control(
                faults=definitions, **wishes), 20, "SQS' control answers")

    def begin(self, name, definitions, seed):
        self._happened[name] = 0
        self._change(lambda: self._active.update({name: definitions}),
                     seed=seed)

    def end(self, name):
        """How often it has happened."""
        self._change(lambda: self._active.pop(name))
        return self._happened[name]

    def release(self):
        """Nobody has time for leases that dead workers hold."""
        self._standin.control(release=True)

    def refusals(self):
        """kind -> how many requests; "date" are those of a wrong clock."""
        return self._standin.control()["refused"]


class Arena:
    """The stack, and what the faults need of it."""

    def __init__(self, directory, with_sentinels=False):
        """with_sentinels: a master and its replica instead of one Redis."""
        self.directory = directory
        self.group = Group(directory / "redis") if with_sentinels else None
        self.stack = Stack(directory / "stack", settings=SETTINGS,
                           redis_group=self.group, WEB="nginx",
                           SQS_SERVER="standin")
        self.programs = directory / "programs"      # a link
        self.points = directory / "failpoints"
        self.clock = directory / "clock"
        # Who breaks things.  These threads stay, for a server of the group
        # dies with the thread that has started it.
        self.hands = concurrent.futures.ThreadPoolExecutor(max_workers=8)
        self.redis_turn = threading.Lock()
        self.killed = 0     # processes that a fault has killed
        self.network = None     # where the worker is alone, if it can be
        self.masters = None

    # --- Up and down ---

    def up(self):
        shutil.rmtree(self.points, ignore_errors=True)
        self.points.mkdir(parents=True)
        self.set_clock(0)
        self._link_programs(PROGRAMS)
        os.environ["FAILPOINTS"] = str(self.points)
        self.stack.up()
        self.sqs = Sqs(self.stack.standin)
        if not self.group:
            self._durable_redis()
        if network.is_possible() and not self.group:
            self.network = network.Network(
                int(self.stack.env["SQS_ENDPOINT"].rpartition(":")[2]),
                str(self.stack.directory / "run/redis.sock"))
        self._supervise_worker()
        self.stack.sv("down", "fcgi")
        run = self.stack.directory / "run"
        self.masters = Masters(
            self.programs / "flashsale-fcgi", str(run / "fcgi.sock"),
            {**self.stack.program_env(), **self.environment()},
            self.stack.directory / "log/fcgi.log")
        self.stack.wait_healed()

    def down(self):
        """Also when it did not get quite up."""
        if self.masters:
            self.masters.close()
        self.stack.down()
        self.hands.shutdown()
        if self.network:
            self.network.close()

    def environment(self):
        """Of the programs: failpoints, and a clock that can be moved."""
        environment = {"FAILPOINTS": str(self.points)}
        faketime = _find_faketime()
        if faketime:
            environment.update(
                LD_PRELOAD=faketime, FAKETIME_DONT_FAKE_MONOTONIC="1",
                FAKETIME_CACHE_DURATION="1", DONT_FAKE_MONOTONIC="1",
                FAKETIME_TIMESTAMP_FILE=str(self.clock))
        return environment

    def _durable_redis(self):
        """A killed Redis has everything that it has acknowledged: written
        before each answer ("everysec" may put that off), and the kernel
        lives on.  Waiting for the disk would only bring its hiccups in."""
        with (self.stack.directory / "etc/redis.conf").open("a") as file:
            file.write("appendfsync no\n")
        self.stack.redis.config_set("appendfsync", "no")

    def _supervise_worker(self):
        """The stack's own way of starting it, with our environment."""
        run = self.stack.directory / "service/worker/run"
        first, rest = run.read_text().split("\n", 1)
        environment = self.environment()
        if self.network:
            environment.update(self.network.environment)
            rest = rest.replace("exec chpst", "exec ip netns exec "
                                f"{self.network.name} chpst")
        rest = rest.replace(str(PROGRAMS), str(self.programs))
        exports = "".join(f"export {name}='{value}'\n"
                          for name, value in environment.items())
        run.write_text(f"{first}\n{exports}{rest}")
        self.stack.sv("restart", "worker")

    def _link_programs(self, folder):
        part = self.directory / "programs.part"
        part.unlink(missing_ok=True)
        part.symlink_to(folder.resolve())
        part.rename(self.programs)

    def use_programs(self, folder):
        """From now on others run, on what there is."""
        self._link_programs(folder)
        self.masters.stop(signal.SIGTERM)
        self.stack.sv("restart", "worker")
        self.stack.wait_healed()

    # --- What the faults use ---

    def arm(self, point, action, nth=1):
        part = self.directory / f"{point}.part"
        part.write_text(f"{action} {nth}\n")
        part.rename(self.points / point)

    def disarm(self, point):
        """False: it had happened already."""
        try:
            (self.points / point).unlink()
        except FileNotFoundError:
            return False
        return True

    def set_clock(self, seconds):
        part = self.directory / "clock.part"
        part.write_text(f"{seconds:+d}\n")
        part.rename(self.clock)

    def ask_redis(self, question):
        """question(client), as soon as Redis answers."""
        def once():
            try:
                question(self.stack.redis)
            except redis.exceptions.RedisError as error:
                raise ConnectionError(str(error)) from error
            return True
        eventually(once, 60, "Redis answers")

    def worker_family(self):
        pid = self.stack.pid("worker")
        return [pid, *processes.children(pid)]

    def kill_all(self, pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed += 1

    # --- What SQS has seen ---

    def journal(self):
        return self.stack.directory / "data/sqs/journal.jsonl"
