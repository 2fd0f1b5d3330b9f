"""A stack of the benchmark's own, and the tools that measure it."""

import json
import os
import pathlib
import re
import resource
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = ROOT / os.environ.get("PROGRAMS", "build")
OUT = ROOT / "build/bench"
DIRECTORY = OUT / "stack"
LOG = OUT / "stack.log"
TICKS = os.sysconf("SC_CLK_TCK")
SERVICES = ("nginx", "fcgi", "redis", "sqs", "worker", "mariadb")
PARTS = ("lighttpd",) + SERVICES

CEILING = """
		location = /bench-ceiling {
			types { }
			default_type application/problem+json;
			add_header Cache-Control no-store always;
			add_header X-Content-Type-Options nosniff always;
			add_header Referrer-Policy no-referrer always;
			return 409 '%s';
		}

"""


class BenchFailed(Exception):
    """Something does not come up."""


def _output(*command, **options):
    return subprocess.run([str(word) for word in command], check=True,
                          text=True, stdout=subprocess.PIPE,
                          **options).stdout


# --- Processes, through /proc ---

def _stat(pid):
    """The fields after the name: state, parent, ..."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()


def _children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(_stat(entry.name)[1]) == pid:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return sorted(found)


def _cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            total += sum(map(int, _stat(pid)[11:13]))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / TICKS


def _machine_seconds():
    """Of all processes on all cores; a core that a neighbour of this
    virtual machine took counts too."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, *rest = map(int, fields[1:9])
    return (user + nice + system + sum(rest)) / TICKS


def _resident_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", text).group(1))


class Stack:
    def __init__(self, sqs_server):
        self._server = sqs_server
        self.beside = {}  # processes that are not of the stack, by part

    # --- Up and down ---

    def _stack(self, command):
        """What it says goes to a file: its processes would hold a pipe."""
        OUT.mkdir(parents=True, exist_ok=True)
        with open(LOG, "w", encoding="utf-8") as log:
            return subprocess.run(
                [ROOT / "deploy/local/stack", command], cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "STACK_DIR": str(DIRECTORY),
                     "WEB": "nginx", "SQS_SERVER": self._server,
                     "PROGRAMS": str(PROGRAMS)}).returncode

    def __enter__(self):
        self._stack("down")
        if self._stack("up") != 0:
            raise BenchFailed(LOG.read_text().strip())
        words = shlex.split((DIRECTORY / "env").read_text())
        self.env = dict(word.split("=", 1) for word in words)
        self.url = self.env["BASE_URL"]
        self._bench_queue = self.sqs(
            "CreateQueue", QueueName="bench")["QueueUrl"]
        return self

    def __exit__(self, *_):
        self._stack("down")

    def _pids(self, name):
        try:
            text = pathlib.Path(self.env["PID_DIR"], f"{name}.pid").read_text()
        except FileNotFoundError:
            return []
        return [int(text), *_children(int(text))] if text.strip() else []

    def _sv(self, command, name):
        _output("sv", "-w", "60", command, DIRECTORY / "service" / name)

    @property
    def fcgi_socket(self):
        return DIRECTORY / "run/fcgi.sock"

    def restart_responders(self):
        """With what set() has changed."""
        self.use_responders(PROGRAMS)

    def use_responders(self, programs, *under):
        """Restart flashsale-fcgi as that directory has it, perhaps under
        another program."""
        run = DIRECTORY / "service/fcgi/run"
        words = " ".join(f"'{word}'" for word in
                         (*under, f"{programs}/flashsale-fcgi"))
        run.write_text(re.sub(r"chpst -P '.*?/flashsale-fcgi'",
                              f"chpst -P {words}", run.read_text()))
        before = self._pids("fcgi")[:1]
        self._sv("restart", "fcgi")
        deadline = time.monotonic() + 30
        # sv may be content with those that are about to leave.
        while (self._pids("fcgi")[:1] in ([], before)
               or self._post("/buy/no-such-sale")[0] != 404):
            assert time.monotonic() < deadline, f"{programs} does not serve"
            time.sleep(0.1)

    def set(self, **settings):
        """In the file that the programs read when they start."""
        config = pathlib.Path(self.env["FLASHSALE_CONFIG"])
        lines = [line for line in config.read_text().splitlines()
                 if line.partition("=")[0] not in settings]
        lines += [f"{name}={value}" for name, value in settings.items()]
        config.write_text("\n".join(lines) + "\n")

    def use_gate(self, wanted, path=None):
        """Let nginx refuse by itself, or have Redis asked each time.  Wait
        for the marker of a path that is refused."""
        gate = DIRECTORY / "run/gate"
        self.set(GATE_DIR=gate if wanted else "")
        self.use_responders(PROGRAMS)
        self._configure_nginx(r"(?m)^\s*(# )?break;$",
                              "# break;" if wanted else "break;")
        deadline = time.monotonic() + 10
        while wanted and not list(gate.glob(f"*/POST{path}.sold_out")):
            assert time.monotonic() < deadline, f"no marker of {path}"
            time.sleep(0.1)

    def _configure_nginx(self, pattern, replacement):
        """Change its configuration once, and wait until no worker is left
        that has the one of before."""
        config = DIRECTORY / "etc/nginx.conf"
        text, n = re.subn(pattern, replacement, config.read_text(), count=1)
        assert n == 1, f"nginx.conf has no {pattern}"
        config.write_text(text)
        master, *workers = self._pids("nginx")
        os.kill(master, signal.SIGHUP)
        deadline = time.monotonic() + 30
        while set(workers) & set(self._pids("nginx")):
            assert time.monotonic() < deadline, "nginx does not reload"
            time.sleep(0.05)

    def stop_worker(self):
        self._sv("down", "worker")

    def start_worker(self, consumers=0):
        """0: as many as it has by itself."""
        self.set(**{"CONSUMERS": consumers} if consumers else {})
        self._sv("up", "worker")

    # --- Its parts ---

    def cli(self, *arguments):
        return _output(PROGRAMS / "flashsale", "--config",
                       self.env["FLASHSALE_CONFIG"], *arguments)

    def sqs(self, action, **parameters):
        request = urllib.request.Request(
            self.env["SQS_ENDPOINT"] + "/", json.dumps(parameters).encode(),
            {"Content-Type": "application/x-amz-json-1.0",
             "X-Amz-Target": f"AmazonSQS.{action}"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"{}")

    def depth(self):
        name = "ApproximateNumberOfMessages"
        return int(self.sqs(
            "GetQueueAttributes", QueueUrl=self.env["SQS_QUEUE_URL"],
            AttributeNames=[name])["Attributes"][name])

    def mysql(self, statement):
        return _output(
            "mariadb", "--no-defaults", "--batch", "--skip-column-names",
            "--socket", self.env["MYSQL_SOCKET"],
            "--user", self.env["MYSQL_USER"], "--execute", statement,
            self.env["MYSQL_DATABASE"])

    def booked(self):
        """Confirmed orders of one unit, without counting them: of millions
        that would take longer than the sample."""
        return int(self.mysql("SELECT COALESCE(SUM(sold), 0) FROM sales"))

    @property
    def redis_socket(self):
        return self.env["REDIS_URL"].partition("//")[2]

    def redis(self, *words):
        return _output("redis-cli", "-s", self.redis_socket, *words)

    def redis_rewritten(self):
        """Let Redis free what was removed and write its file anew now, and
        not in the next sample."""
        busy = r"aof_rewrite_(in_progress|scheduled):1|" \
               r"lazyfree_pending_objects:[1-9]"
        self.redis("BGREWRITEAOF")
        time.sleep(0.2)
        while re.search(busy, self.redis("INFO", "persistence")
                        + self.redis("INFO", "memory")):
            time.sleep(0.1)

    def mysql_flushed(self):
        """Give MySQL the time to write most of what was inserted."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            pages = self.mysql(
                "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
            if int(pages.split()[1]) < 500:
                break
            time.sleep(0.5)

    def redis_commands(self):
        """Calls of each command since the start, those of scripts too."""
        text = self.redis("INFO", "commandstats")
        return {name: int(calls) for name, calls in re.findall(
            r"cmdstat_([^:]+):calls=(\d+)", text)}

    def responders(self):
        return self._pids("fcgi")[1:]

    def responders_kb(self):
        return [_resident_kb(pid) for pid in self.responders()]

    # --- The ceiling ---

    def _post(self, path):
        request = urllib.request.Request(
            self.url + path, b'{"userId":"u"}',
            {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read(), response.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def add_ceiling(self, path):
        """nginx itself gives at /bench-ceiling the answer of that path."""
        wanted = self._post(path)
        body = wanted[1].decode().replace("\n", "\\n").replace("'", "\\'")
        self._configure_nginx(r"(?m)^.*# --- The engine", lambda mark:
                              CEILING % body + mark.group(0))
        got = self._post("/bench-ceiling")
        assert got[:2] == wanted[:2], f"nginx answers {got}"
        del got[2]["Date"], wanted[2]["Date"]
        assert sorted(got[2].items()) == sorted(wanted[2].items()), (
            f"not the same headers: {got[2]} {wanted[2]}")

    # --- Samples ---

    def _measured(self, run):
        """run() and what it cost: CPU seconds by part; the share of the
        machine that others had."""
        pids = {name: self._pids(name) for name in PARTS}
        for name, more in self.beside.items():
            for pid in more:
                pids[name] += [pid, *_children(pid)]
        before = {name: _cpu_seconds(pids[name]) for name in PARTS}
        machine, started = _machine_seconds(), time.monotonic()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        value = run()
        elapsed = time.monotonic() - started
        machine = _machine_seconds() - machine
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = {name: _cpu_seconds(pids[name]) - before[name]
               for name in PARTS}
        cpu["load"] = (after.ru_utime + after.ru_stime
                       - children.ru_utime - children.ru_stime)
        others = (machine - sum(cpu.values())) / (elapsed * os.cpu_count())
        return value, cpu, max(others, 0.0)

    def _run_wrk(self, url, connections, seconds, arguments):
        process = subprocess.Popen(
            ["wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds}s",
             "--timeout", "10s", "-s", HERE / "buyers.lua", url, "--",
             *arguments], stdout=subprocess.PIPE, text=True)
        time.sleep(seconds * 0.7)
        memory = self.responders_kb()
        text = process.communicate()[0]
        line = re.search(r"^wrk: (.*)$", text, re.M)
        assert process.returncode == 0 and line, text
        words = line.group(1).split()
        sample = {k: float(v) for k, v in zip(words[::2], words[1::2])}
        sample["responders_kb"] = memory
        return sample

    def wrk(self, connections, seconds, *arguments, url=None):
        """Buyers on so many connections, a closed loop; the arguments are
        those of buyers.lua."""
        sample, cpu, others = self._measured(lambda: self._run_wrk(
            url or self.url, connections, seconds, arguments))
        requests = max(sample["requests"], 1)
        sample["rate"] = requests / sample["seconds"]
        sample["cpu_us"] = {k: v / requests * 1e6 for k, v in cpu.items()}
        sample["others"] = others
        return sample

    def dashboard(self, looks=200):
        """What an open dashboard asks for once a second, again and again."""
        request = urllib.request.Request(
            self.url + "/admin/stats",
            headers={"Authorization": f"Bearer {self.env['ADMIN_TOKEN']}"})

        def run():
            started = time.monotonic()
            for _ in range(looks):
                with urllib.request.urlopen(request, timeout=10) as response:
                    response.read()
            return time.monotonic() - started
        seconds, cpu, others = self._measured(run)
        return {"rate": looks / seconds, "others": others,
                "cpu_us": {k: v / looks * 1e6 for k, v in cpu.items()}}

    def attack(self, sku, connections, rate, seconds):
        """An open loop: so many purchases a second, whatever the answers;
        latencies from when each was due."""
        def run():
            return json.loads(subprocess.run(
                [PROGRAMS / "flashsale", "--config",
                 self.env["FLASHSALE_CONFIG"], "attack", "--json",
                 "--sku", sku, "--rate", str(int(rate)),
                 "--connections", str(connections),
                 "--requests", str(int(rate * seconds))],
                stdout=subprocess.PIPE, check=False).stdout)
        report, _, others = self._measured(run)
        return {"rate": report["perSecond"], "wanted": int(rate),
                "failed": report["failed"], "others": others,
                **report["latencyMs"]}

    def loop(self, name, *numbers, queue_url=None):
        """One of the bare loops, the last number is its seconds; its queue
        is one of its own unless given."""
        environment = {**os.environ,
                       "SQS_QUEUE_URL": queue_url or self._bench_queue}
        text, cpu, others = self._measured(lambda: _output(
            PROGRAMS / "bench" / name, "--config",
            self.env["FLASHSALE_CONFIG"], *numbers, env=environment))
        rate = float(text)
        return {"rate": rate, "others": others, "cpu_us": {
            k: v / max(rate * numbers[-1], 1) * 1e6 for k, v in cpu.items()}}

    def purge(self):
        """A queue that has grown for minutes is another one to measure."""
        for url in (self._bench_queue, self.env["SQS_QUEUE_URL"]):
            self.sqs("PurgeQueue", QueueUrl=url)

