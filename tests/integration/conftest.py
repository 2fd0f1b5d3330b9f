"""Stacks and sales for the tests.

A test that takes the fixture "stack" runs once for every stack its module
names by `pytestmark = pytest.mark.stacks(...)`, by default on nginx and on
lighttpd.  A stack is started when its first test comes and stopped after its
last one; under xdist all tests of one stack stay in one process (run with
--dist loadgroup).  Tests share a stack, so each makes SKUs of its own, and
those that stop parts of the stack keep to stacks that nobody else uses.
"""

import itertools
import re
import resource
import uuid

import pytest

from harness.restricted import Restricted
from harness.sentinel import Group
from harness.stack import ROOT, Stack

STACKS = {
    "nginx": {"WEB": "nginx"},
    "lighttpd": {"WEB": "lighttpd"},
    "nginx-spawn-fcgi": {"WEB": "nginx", "FCGI_LAUNCH": "spawn-fcgi"},
    "lighttpd-spawn-fcgi": {"WEB": "lighttpd", "FCGI_LAUNCH": "spawn-fcgi"},
    # No SQS: the worker reads the outboxes.
    "queue-redis": {"WEB": "nginx", "QUEUE": "redis"},
    "lighttpd-queue-redis": {"WEB": "lighttpd", "QUEUE": "redis",
                             "FCGI_LAUNCH": "bin-path"},
    # Their parts get stopped and killed.
    "queue-redis-outages": {"WEB": "nginx", "QUEUE": "redis"},
    "outages": {"WEB": "nginx"},
    "recovery": {"WEB": "nginx"},
    "processes": {"WEB": "nginx", "settings": {"GATE_DIR": ""}},
    # Their data gets damaged.
    "books": {"WEB": "nginx"},
    # An SQS that checks signatures and fails on demand.
    "sqs-faults": {"WEB": "nginx", "SQS_SERVER": "standin", "settings": {
        "SQS_TIMEOUT_MS": "2000", "SEND_DEADLINE_MS": "2400",
        "OUTBOX_AGE_MS": "4000", "RESPONDERS": "2"}},
    # Two Redis and three Sentinels of their own.
    "sentinel": {"WEB": "nginx"},
    # A Redis of its own, with the rights that the documents tell.
    "restricted": {"WEB": "nginx"},
}
REDIS_GROUPS = {"sentinel": Group, "restricted": Restricted}
EVERYDAY = ("nginx", "lighttpd")


def pytest_configure(config):
    # Some tests hold a thousand connections.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    config.addinivalue_line(
        "markers", "stacks(name, ...): the stacks that these tests run on")


def pytest_make_parametrize_id(val):
    """Short names for long values."""
    if isinstance(val, (str, bytes)) and len(val) > 40:
        return f"{val[:12]!r}...{len(val)}"
    return None


def pytest_generate_tests(metafunc):
    if "stack" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("stacks")
        names = marker.args if marker else EVERYDAY
        metafunc.parametrize("stack", [
            pytest.param(name, marks=pytest.mark.xdist_group(name))
            for name in names], indirect=True, scope="session")


@pytest.fixture(scope="session")
def stack(request):
    """A running Stack, see harness/stack.py."""
    name = request.param
    group = REDIS_GROUPS[name](ROOT / f"build/test/{name}-redis") \
        if name in REDIS_GROUPS else None
    this = Stack(ROOT / "build/test" / name, redis_group=group, **STACKS[name])
    try:
        yield this.up()
    finally:
        this.down()


@pytest.fixture(autouse=True)
def clean_logs(request):
    """No test may make a process log an error, or a sanitizer report,
    unless it takes the fixture expect_errors."""
    yield
    if "stack" in request.fixturenames:
        stack = request.getfixturevalue("stack")
        found = stack.new_complaints()
        assert not found, "\n".join(found)


@pytest.fixture
def expect_errors(stack):
    """expect_errors("regex", ...): such lines of level error are fine."""
    yield lambda *texts: stack.expected_errors.extend(texts)
    # Read them away before the next test is asked about them.
    found = stack.new_complaints()
    stack.expected_errors.clear()
    assert not found, "\n".join(found)


@pytest.fixture
def new_sku(request):
    """new_sku(): a SKU that no other test and no earlier run knows."""
    name = re.sub(r"[^a-z0-9]+", "-", request.function.__name__)[5:35]
    run = uuid.uuid4().hex[:8]
    numbers = itertools.count(1)
    return lambda: f"{name}.{run}.{next(numbers)}"


@pytest.fixture
def new_sale(stack, new_sku):
    """new_sale(stock=10, limit=1, ...): opens a sale, returns its SKU."""
    def make(stock=10, limit=1, **fields):
        sku = new_sku()
        reply = stack.web.reset(sku, stock, limit=limit, **fields)
        assert reply.status == 200, reply
        return sku
    return make
