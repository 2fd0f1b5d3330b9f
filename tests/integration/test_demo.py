"""The first command of the README."""

import os
import subprocess

import pytest

from harness.stack import PROGRAMS, ROOT, SANITIZERS

OK = ("DEMO ok: 1000 requests, 100 accepted, 900 refused, 100 orders in MySQL,"
      " 0 oversold, 0 lost")

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def demo(tmp_path):
    """demo(programs): its exit status and its last line."""
    directory = ROOT / "build/test/demo"

    def run(programs):
        output = tmp_path / "output"
        with output.open("w") as file:
            status = subprocess.run(
                [ROOT / "deploy/local/demo"], stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, timeout=300,
                env={**os.environ, **SANITIZERS, "DEMO_DIR": str(directory),
                     "PROGRAMS": str(programs)}).returncode
        assert not list(directory.glob("pids/*.pid")), "it stops its stack"
        return status, output.read_text().strip().splitlines()[-1]
    return run


def test_the_demo_ends_well(demo):
    assert demo(PROGRAMS) == (0, OK)


@pytest.mark.parametrize("command, reason", [
    ("attack", "not every buyer got a clean answer"),
    ("books", "the books do not add up")])
def test_the_demo_fails_with_its_reason(demo, tmp_path, command, reason):
    """That command does what it does, and says that it went wrong."""
    for name in ("flashsale-fcgi", "flashsale-worker"):
        (tmp_path / name).symlink_to(PROGRAMS / name)
    (tmp_path / "flashsale").write_text(
        f'#!/bin/sh\n{PROGRAMS}/flashsale "$@" || exit\n'
        f'case " $* " in *" {command} "*) exit 1 ;; esac\n')
    (tmp_path / "flashsale").chmod(0o755)
    assert demo(tmp_path) == (1, f"DEMO FAILED: {reason}")
