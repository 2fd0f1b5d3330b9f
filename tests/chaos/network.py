"""Two hosts on one machine, and the cable between them.

The worker and MySQL are on one, the rest on the other: the worker runs in a
network namespace of its own, which reaches SQS and Redis only through a pair
of virtual Ethernet devices.  With the cable out packets vanish without a
word, as they do in a real network.  Needs root; where that is not to be had,
there is no network to cut, and the runner says so.
"""

import asyncio
import os
import shutil
import subprocess
import threading

from harness.wait import eventually

PREFIX = "fs-chaos-"


class NetworkFailed(Exception):
    """What ip(8) says."""


def _ip(*words, check=True):
    done = subprocess.run(["ip", *words], check=False, text=True,
                          capture_output=True)
    if check and done.returncode != 0:
        raise NetworkFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def is_possible():
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    probe = f"{PREFIX}probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
        # To enter one takes more: the root has to be a mount.
        _ip("-n", probe, "link")
    except NetworkFailed:
        return False
    finally:
        _ip("netns", "del", probe, check=False)
    return True


class _Relay:
    """Servers listen on the loopback only: this carries their bytes."""

    def __init__(self, address, servers):
        self._address, self._servers = address, servers
        self.ports = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()

    async def _listen(self):
        for connect in self._servers:
            server = await asyncio.start_server(
                lambda r, w, connect=connect: self._serve(r, w, connect),
                self._address)
            self.ports.append(server.sockets[0].getsockname()[1])

    async def _serve(self, reader, writer, connect):
        try:
            there_reader, there_writer = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._carry(reader, there_writer),
                             self._carry(there_reader, writer))

    @staticmethod
    async def _carry(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)


class Network:
    """The namespace, with SQS and Redis as it sees them in `environment`."""

    def __init__(self, sqs_port, redis_path):
        self._remove_leftovers()
        number = os.getpid()
        self.name = f"{PREFIX}{number}"
        self._device = f"fsc{number}"
        here, there = self._addresses(number)
        _ip("netns", "add", self.name)
        _ip("link", "add", self._device, "type", "veth", "peer", "name",
            "worker", "netns", self.name)
        _ip("addr", "add", f"{here}/30", "dev", self._device)
        _ip("-n", self.name, "addr", "add", f"{there}/30", "dev", "worker")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "set", "worker", "up")
        self.mend()
        self._relay = eventually(lambda: _Relay(here, (
            lambda: asyncio.open_connection("127.0.0.1", sqs_port),
            lambda: asyncio.open_unix_connection(redis_path))))
        sqs, redis = self._relay.ports
        self.environment = {"AWS_ENDPOINT_URL_SQS": f"http://{here}:{sqs}",
                            "REDIS_URL": f"redis://{here}:{redis}"}

    @staticmethod
    def _addresses(number):
        """Two of a network that hardly anybody uses."""
        base = number % 16000 * 4
        return tuple(f"10.213.{(base + n) // 256}.{(base + n) % 256}"
                     for n in (1, 2))

    @staticmethod
    def _remove_leftovers():
        """Of runs that were killed."""
        for line in _ip("netns", "list").splitlines():
            name = line.split(" ")[0]
            owner = name[len(PREFIX):]
            if name.startswith(PREFIX) and owner.isdigit() \
                    and not os.path.exists(f"/proc/{owner}"):
                _ip("netns", "del", name, check=False)

    def cut(self):
        _ip("link", "set", self._device, "down")

    def mend(self):
        _ip("link", "set", self._device, "up")

    def close(self):
        self._relay.close()
        _ip("netns", "del", self.name)
