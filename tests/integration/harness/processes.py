"""Looking at processes through /proc, and ending them."""

import os
import pathlib
import signal

from .wait import eventually


def _stat(pid):
    """Fields of /proc/PID/stat after the name, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def is_alive(pid):
    fields = _stat(pid)
    return fields is not None and fields[0] != "Z"


def children(pid):
    """Living children, oldest first."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(entry.name)
            if fields and int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)


def command_line(pid):
    raw = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return raw.replace(b"\0", b" ").decode("utf-8", "replace")


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


def wait_gone(pids, timeout=30):
    eventually(lambda: not any(is_alive(pid) for pid in pids), timeout,
               f"processes {pids} gone")


def ok(done):
    """What a program has printed, which has to have ended well."""
    assert done.returncode == 0, done
    return done.stdout
