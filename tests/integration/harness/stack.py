"""A whole engine on this machine, started by deploy/local/stack."""

import contextlib
import fcntl
import os
import pathlib
import shlex
import signal
import subprocess

import redis

from . import processes
from .books import Books
from .crowd import count_states, rush
from .logs import SANITIZER, LogReader, complaints
from .queue import Nothing, Outboxes, Queue
from .standin import Standin
from .wait import eventually
from .web import Web, assert_problem

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / os.environ.get("PROGRAMS", "build/san")

# Shorter times than in production, so that tests need not wait for them.
SETTINGS = {
    "DEFAULT_SKU": "the-default",
    "REDIS_TIMEOUT_MS": "2000",
    "MYSQL_TIMEOUT_MS": "4000",
    "SQS_TIMEOUT_MS": "3000",
    "SEND_DEADLINE_MS": "4000",
    "OUTBOX_AGE_MS": "5000",
    "POLL_WAIT_SECONDS": "1",
    "VISIBILITY_SECONDS": "10",
    "DRAIN_SECONDS": "20",
}

# A report must neither be cut short nor hidden; leaks count as bugs.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "LSAN_OPTIONS": "exitcode=99",
}


def _read_env(path):
    env = {}
    for line in path.read_text().splitlines():
        for word in shlex.split(line, comments=True):
            name, equals, value = word.partition("=")
            if equals:
                env[name] = value
    return env


class Stack:
    """All parts, by name: redis, mariadb, sqs, fcgi, worker, web.  With
    QUEUE=redis there is no sqs."""

    def __init__(self, directory, settings=None, redis_group=None,
                 **variables):
        """With a redis_group (harness/sentinel.py, restricted.py) the
        programs use that; the stack's own Redis idles."""
        self.directory = directory
        self.redis_group = redis_group
        self._settings = {**SETTINGS, **(settings or {})}
        self.server = variables["WEB"]
        self.expected_errors = []
        self._variables = variables
        self._readers = [LogReader(directory / "log" / f"{name}.log")
                         for name in ("fcgi", "worker")]

    # --- Up and down ---

    def _run(self, command):
        # Into a file: what it starts may hold on to its output.
        output = pathlib.Path(f"{self.directory}.{command}.log")
        with output.open("w") as file:
            done = subprocess.run(
                [ROOT / "deploy/local/stack", command], cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                timeout=300,
                env={**os.environ, **SANITIZERS, "QUEUE": "sqs",
                     **self._variables,
                     "STACK_DIR": str(self.directory),
                     "PROGRAMS": str(PROGRAMS),
                     "FLASHSALE_EXTRA_ENV": f"{self.directory}.env"})
        assert done.returncode == 0, output.read_text()

    def up(self):
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        # Two runs in one work tree take turns.
        self._lock = open(f"{self.directory}.lock", "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._run("down")
        if self.redis_group:
            self.redis_group.start()
            self._settings["REDIS_URL"] = self.redis_group.url
        pathlib.Path(f"{self.directory}.env").write_text(
            "".join(f"{k}={v}\n" for k, v in self._settings.items()))
        self._run("up")
        self.env = _read_env(self.directory / "env")
        host, _, port = self.env["BASE_URL"].rpartition("/")[2].partition(":")
        self.web = Web(host, int(port), self.env["ADMIN_TOKEN"])
        self.books = Books(self.env)
        self.redis = self.redis_group.client if self.redis_group \
            else redis.Redis.from_url(
                self.env["REDIS_URL"], decode_responses=True)
        self._find_queues()
        return self

    def _find_queues(self):
        if self.env["QUEUE"] == "redis":
            self.queue, self.dlq = Outboxes(self.redis), Nothing()
            return
        self.queue, self.dlq = (
            Queue(self.env, self.env[name])
            for name in ("SQS_QUEUE_URL", "SQS_DLQ_URL"))
        self.standin = Standin(self.env["SQS_ENDPOINT"],
                               self.directory / "data/sqs")

    def down(self):
        self._run("down")
        if self.redis_group:
            self.redis_group.stop()
        # What the processes say when they leave: leaks, for instance.
        found = self.new_complaints()
        self._lock.close()
        assert not found, "\n".join(found)

    def new_complaints(self):
        """What a clean log would not have, since the last call."""
        found = []
        for reader in self._readers:
            found += complaints(reader.new_lines(), self.expected_errors)
        return found

    # --- Processes ---

    def pid(self, name):
        name = self.server if name == "web" else name
        path = pathlib.Path(self.env["PID_DIR"], f"{name}.pid")
        # Empty while the supervisor starts a successor.
        return int(eventually(path.read_text, 10, f"a pid in {path}"))

    def kill(self, name, number=signal.SIGKILL):
        """Send a signal to a part's main process."""
        processes.kill(self.pid(name), number)

    def sv(self, command, name):
        name = self.server if name == "web" else name
        service = self.directory / "service" / name
        done = subprocess.run(["sv", "-w", "60", command, service],
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    @contextlib.contextmanager
    def without(self, name):
        """A part is stopped in an orderly way; afterwards it runs again."""
        self.sv("down", name)
        try:
            yield
        finally:
            self.sv("up", name)

    @contextlib.contextmanager
    def frozen(self, name):
        """A part answers nothing for a while, but is not gone."""
        pid = self.pid(name)
        family = [pid, *processes.children(pid)]
        for each in family:
            processes.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in family:
                processes.kill(each, signal.SIGCONT)

    def wait_healed(self):
        """Every responder reaches Redis and SQS again.  The web server may
        keep to one of them while requests come singly, so many come at once,
        and more than once."""
        sku = "are-you-well"
        eventually(lambda: self.web.reset(sku, 10 ** 9, limit=0).status
                   == 200, 60, "a sale can be opened")

        def all_well():
            return count_states(rush(self.web, sku, ["probe"] * 100, 50)) \
                == {"queued": 100}
        eventually(lambda: all_well() and all_well(), 60,
                   "all orders are queued at once")
        eventually(lambda: self.web.get("/readyz").status == 200)

    def assert_refused(self, reply, status, code):
        """The web server refuses by itself, before the engine sees it.
        lighttpd's pages are HTML, nginx' look like the engine's."""
        if self.server == "lighttpd":
            assert reply.status == status, reply
        else:
            assert_problem(reply, status, code)

    # --- The programs ---

    def program_env(self, **settings):
        """Environment of a program that is to join this stack."""
        return {"PATH": os.environ["PATH"], **SANITIZERS,
                "FLASHSALE_CONFIG": str(self.directory / "flashsale.env"),
                "BASE_URL": self.web.url, **settings}

    def cli(self, *arguments, **settings):
        """Run flashsale(1); its result has returncode, stdout, stderr."""
        done = subprocess.run(
            [PROGRAMS / "flashsale", *map(str, arguments)], text=True,
            capture_output=True, timeout=180,
            env=self.program_env(**settings))
        assert not SANITIZER.search(done.stderr), done.stderr
        return done

    # --- Both ends of the path ---

    def outbox(self, sku):
        return self.redis.xlen(f"fs:{{{sku}}}:outbox")

    def is_quiet(self):
        """No order of any sale is on its way."""
        return Outboxes(self.redis).depth() == self.queue.depth() == 0

    def wait_settled(self, sku, orders, timeout=60):
        """Exactly these orders of the SKU are confirmed in MySQL, and
        nothing is on its way any more."""
        orders = sorted(orders)
        eventually(lambda: len(self.books.ids(sku)) >= len(orders), timeout,
                   f"{len(orders)} orders of {sku} in MySQL")
        eventually(lambda: self.outbox(sku) == 0, timeout,
                   f"empty outbox of {sku}")
        eventually(lambda: self.queue.depth() == 0, timeout, "empty queue")
        assert self.books.ids(sku) == orders
        assert self.dlq.depth() == 0
