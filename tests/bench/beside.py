"""What the benchmark starts beside its stack: lighttpd in front of the same
responders, a bare FastCGI program behind it, and a slow way to SQS."""

import os
import re
import resource
import socket
import subprocess
import time
import urllib.parse

from stack import OUT, PROGRAMS, ROOT, BenchFailed

# Answered by lighttpd and by the bare program, for comparison.
COMPARISON = """
$HTTP["url"] == "/bench-static.json" {
	server.document-root = "%(folder)s"
}
$HTTP["url"] == "/bench-hello" {
	fastcgi.server = ( "" => ( (
		"socket" => "%(folder)s/hello.sock", "check-local" => "disable"
	) ) )
}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what):
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise BenchFailed(what)
        time.sleep(0.05)


def _accepts(address):
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


class Beside:
    """Processes that end with the `with` statement; parts: which they are,
    by the part whose CPU theirs is added to."""

    def __init__(self):
        self._processes = []
        self.parts = {}

    def _start(self, *command):
        OUT.mkdir(parents=True, exist_ok=True)
        with open(OUT / "beside.log", "a", encoding="utf-8") as log:
            self._processes.append(subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log))
        return self._processes[-1].pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()


class Lighttpd(Beside):
    """lighttpd as it is shipped, the responders behind it."""

    def __init__(self, fcgi_socket):
        super().__init__()
        self._folder = OUT / "lighttpd"
        self._fcgi_socket = fcgi_socket

    def __enter__(self):
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "bench-static.json").write_text(
            '{"status":"sold_out","remaining":0}\n')
        hello = self._folder / "hello.sock"
        hello.unlink(missing_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = self._folder / "lighttpd.conf"
        config.write_text(self._config(port))
        self.parts = {
            "fcgi": [self._start(PROGRAMS / "bench/hello", hello,
                                 os.cpu_count())],
            "lighttpd": [self._start("lighttpd", "-D", "-f", config)]}
        wait_for(lambda: _accepts(("127.0.0.1", port)), "lighttpd")
        wait_for(lambda: _accepts(str(hello)), "hello")
        return self

    def _config(self, port):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = 65536 if files < 0 else min(files, 65536)
        lines = {"bind": 'server.bind = "127.0.0.1"',
                 "port": f"server.port = {port}",
                 "root": f'server.document-root = "{ROOT}/web"',
                 "uploads": f'server.upload-dirs = ( "{self._folder}" )',
                 "files": f"server.max-fds = {files}",
                 "connections": f"server.max-connections = {files // 4}",
                 "socket": f'"socket" => "{self._fcgi_socket}",'}
        text = (ROOT / "deploy/lighttpd.conf").read_text()
        text = re.sub(r"(?m)^.*# <- (\w+)$",
                      lambda mark: lines.get(mark.group(1), ""), text)
        return text + COMPARISON % {"folder": self._folder}


class Late(Beside):
    """A way to an HTTP server whose answers take so much longer."""

    def __init__(self, url, milliseconds):
        super().__init__()
        self._to = urllib.parse.urlsplit(url)
        self._milliseconds = milliseconds

    def __enter__(self):
        port = free_port()
        self.url = self._to._replace(netloc=f"127.0.0.1:{port}").geturl()
        self.parts = {"sqs": [self._start(
            PROGRAMS / "bench/late", port, self._to.port,
            self._milliseconds)]}
        wait_for(lambda: _accepts(("127.0.0.1", port)), "late")
        return self
