"""A flashsale-fcgi of our own beside a stack's, and FastCGI to talk to it.

For what one cannot do to a stack's responders: other settings, a master that
nobody restarts, exit statuses.
"""

import contextlib
import pathlib
import socket
import struct
import subprocess
import tempfile

from . import processes
from .logs import SANITIZER
from .stack import PROGRAMS
from .wait import eventually

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def _record(kind, content=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def _length(n):
    return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)


def encode_request(method, path, body=b"", **parameters):
    """One request, its connection to be kept (FCGI_KEEP_CONN)."""
    parameters = {"REQUEST_METHOD": method, "SCRIPT_NAME": path,
                  "CONTENT_LENGTH": str(len(body)),
                  "CONTENT_TYPE": "application/json", **parameters}
    pairs = b"".join(
        _length(len(name)) + _length(len(value)) + name + value
        for name, value in ((n.encode(), v.encode())
                            for n, v in parameters.items()))
    text = _record(BEGIN, struct.pack(">HB5x", 1, 1))
    text += _record(PARAMS, pairs) + _record(PARAMS)
    if body:
        text += _record(STDIN, body)
    return text + _record(STDIN)


def read_answer(file):
    """(status, body) of one answer; EOFError when the peer leaves."""
    out = b""
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise EOFError("the responder closed the connection")
        _, kind, _, length, padding = struct.unpack(">BBHHBx", head)
        content = file.read(length + padding)[:length]
        if kind == STDOUT:
            out += content
        elif kind == END:
            break
    head, _, body = out.partition(b"\r\n\r\n")
    status = 200
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
    return status, body


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(path)
    return sock


def ask(path, *request, **parameters):
    """One request to whoever listens on that socket."""
    with connect(path) as sock:
        sock.sendall(encode_request(*request, **parameters))
        return read_answer(sock.makefile("rb"))


class Responder:
    """Its master process; use as a context manager."""

    def __init__(self, stack, **settings):
        self._stack, self._settings = stack, settings

    def __enter__(self):
        # Short, for a socket's path has 107 bytes at most.
        self._directory = tempfile.TemporaryDirectory(prefix="fs-")
        path = pathlib.Path(self._directory.name)
        self.socket, self.log = str(path / "socket"), path / "log"
        self._process = subprocess.Popen(
            [PROGRAMS / "flashsale-fcgi", "-s", self.socket],
            env=self._stack.program_env(**self._settings),
            stdin=subprocess.DEVNULL, stderr=self.log.open("wb"))
        self.pid = self._process.pid
        with contextlib.ExitStack() as undo:
            undo.callback(self.__exit__)
            eventually(lambda: self.ask("GET", "/readyz")[0] == 200, 30,
                       "own responder ready")
            # The first child may serve before the others are there.
            eventually(lambda: "processes: " in self.log.read_text(), 30,
                       "all children started")
            undo.pop_all()
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
        text = self.log.read_text(errors="replace")
        self._directory.cleanup()
        assert not SANITIZER.search(text), text

    def connect(self):
        return connect(self.socket)

    def ask(self, *request, **parameters):
        return ask(self.socket, *request, **parameters)

    def signal(self, number):
        processes.kill(self.pid, number)

    @property
    def children(self):
        return processes.children(self.pid)

    def wait(self, timeout=60):
        """Its exit status; negative: of which signal it died."""
        return self._process.wait(timeout)
