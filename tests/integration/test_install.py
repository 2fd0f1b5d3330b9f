"""What `make install` puts somewhere, and the script that starts it there by
spawn-fcgi."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

import pytest

from harness import processes
from harness.processes import ok
from harness.responder import ask
from harness.stack import ROOT
from harness.wait import eventually


def run(*words, **environment):
    return subprocess.run(
        list(map(str, words)), cwd=ROOT, text=True, capture_output=True,
        timeout=120, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], **environment})


def install(prefix, destination=""):
    """What is built, as it is: other tests run it."""
    ok(run("make", "-o", "all", "install", f"PREFIX={prefix}",
           f"DESTDIR={destination}"))


@pytest.fixture
def folder():
    """One that anybody may enter: the script gives up root."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="fs-install-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_all_of_it_is_below_destdir(tmp_path):
    install("/usr", tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["usr"]
    usr = tmp_path / "usr"
    for program in ("bin/flashsale", "sbin/flashsale-fcgi",
                    "sbin/flashsale-worker"):
        ok(run(usr / program, "--version"))
        page, = usr.glob(f"share/man/man?/{pathlib.Path(program).name}.?")
        assert page.stat().st_mode & 0o777 == 0o644
    share = usr / "share/flashsale"
    for file in share.rglob("*"):
        if file.is_file() and "web" not in file.parts:
            assert "/usr/local" not in file.read_text(), file
    assert (share / "web/index.html").is_file()
    unit = (share / "systemd/flashsale-fcgi.service").read_text()
    program = re.search(r"^ExecStart=(\S+)", unit, re.M).group(1)
    assert os.access(f"{tmp_path}{program}", os.X_OK)


class Script:
    """The script, installed, with all that it makes in one folder."""

    def __init__(self, folder):
        install(folder)
        self.run_as = "nobody" if os.geteuid() == 0 else \
            pwd.getpwuid(os.geteuid()).pw_name
        self.socket, self.pid_file = folder / "run/socket", folder / "run/pid"
        self.config = folder / "env"
        self.config.write_text(
            f"REDIS_URL=unix://{folder}/no-redis\nQUEUE=redis\nRESPONDERS=1\n")
        self._path = folder / "share/flashsale/spawn-fcgi"
        self._environment = {
            "CONFIG": str(self.config), "SOCKET": str(self.socket),
            "PIDFILE": str(self.pid_file), "GATE_DIR": str(folder / "gate"),
            "RUN_AS": self.run_as, "WEB_GROUP": "nogroup"}

    def __call__(self, command):
        return run(self._path, command, **self._environment)

    @property
    def pid(self):
        return int(self.pid_file.read_text())

    def serves(self):
        return ask(str(self.socket), "GET", "/healthz")[0] == 200


@pytest.fixture
def script(folder):
    script = Script(folder)
    yield script
    script("stop")


def test_spawn_fcgi(script):
    assert script("status").returncode == 3
    ok(script("start"))
    eventually(script.serves)
    pid = script.pid
    assert str(pid) in ok(script("status"))
    owner = pathlib.Path(f"/proc/{pid}").stat().st_uid
    assert owner == pwd.getpwnam(script.run_as).pw_uid, "root was given up"
    assert script.socket.stat().st_mode & 0o007 == 0, "not for everybody"
    assert "runs already" in script("start").stderr
    before = set(processes.children(pid))
    ok(script("reload"))
    eventually(lambda: processes.children(pid)
               and not before & set(processes.children(pid)),
               what="other responders")
    assert script.pid == pid
    ok(script("restart"))
    assert script.pid != pid and not processes.is_alive(pid)
    eventually(script.serves)
    pid = script.pid
    ok(script("stop"))
    assert not processes.is_alive(pid) and not script.socket.exists()
    assert script("status").returncode == 3


def test_spawn_fcgi_looks_at_the_settings_first(script):
    ok(script("start"))
    eventually(script.serves)
    pid = script.pid
    script.config.write_text("RESPONDERS=two\n")
    for command in ("reload", "restart"):
        done = script(command)
        assert done.returncode == 78 and "RESPONDERS" in done.stderr, done
        assert script.pid == pid and script.serves()


def test_spawn_fcgi_takes_no_stranger_for_its_own(script):
    """A pid file that was left over, whose number is another one's now."""
    script.pid_file.parent.mkdir()
    script.pid_file.write_text(str(os.getpid()))
    assert script("status").returncode == 3
    ok(script("stop"))
    assert processes.is_alive(os.getpid())
