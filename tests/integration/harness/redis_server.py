"""A Redis of its own, on a free port of the loopback address."""

import contextlib
import random
import socket
import subprocess

import redis

from .wait import eventually

_given = set()


def _free_port():
    """None that was given before, for its server may not listen yet; below
    those that the kernel gives to clients, and those of the stacks."""
    while True:
        port = random.randrange(11000, 20000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


class Server:
    """A redis-server, as what it is told; it keeps its port, its data and
    what it has written to its configuration when it is stopped."""

    def __init__(self, directory, *lines, sentinel=False):
        self.directory, self.port = directory, _free_port()
        self._mode = ["--sentinel"] if sentinel else []
        self._process = None
        directory.mkdir(parents=True)
        self._config = directory / "conf"
        self.configure(*lines)
        self.client = redis.Redis("127.0.0.1", self.port,
                                  decode_responses=True)

    def configure(self, *lines):
        self._config.write_text("\n".join((
            "bind 127.0.0.1", f"port {self.port}", f"dir {self.directory}",
            *lines, "")))

    def start(self):
        # It is not to outlive the tests, however they end.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "redis-server", self._config,
             *self._mode], stdin=subprocess.DEVNULL,
            stdout=(self.directory / "log").open("ab"))
        eventually(self.answers, 30, f"{self.directory} answers")

    def answers(self):
        try:
            return self.client.ping()
        except redis.exceptions.RedisError:
            return False

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(30)

    @property
    def role(self):
        return self.client.role()[0] if self.answers() else "away"
