"""Waiting for conditions, never for time."""

import time

import redis


def eventually(check, timeout=30, what=None):
    """Call check() until it is true and return its result.

    An AssertionError, an OSError or a Redis that cannot be reached counts as
    "not yet", so check() may assert, and may talk to a part that is still
    starting.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen = check()
            if seen:
                return seen
        except (AssertionError, OSError, redis.ConnectionError) as error:
            seen = error
        if time.monotonic() > deadline:
            what = what or getattr(check, "__doc__", None) or check
            raise AssertionError(f"not within {timeout} s: {what} ({seen!r})")
        time.sleep(0.05)


def stays(check, seconds=1.0):
    """Assert that check() is true now and all the time for some seconds.

    For what must *not* happen.  The only place where time is waited for.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check()
        time.sleep(0.05)
