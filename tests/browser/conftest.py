"""A stack and browsers for the tests of the pages.

Each test gets a page in a browser that nobody has used before.  Whatever it
does, the console may tell of no script error and of nothing that the
Content-Security-Policy forbade.  Pictures go to build/screenshots/.
"""

import pathlib
import subprocess
import sys
import uuid

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]

from harness.stack import ROOT, Stack  # noqa: E402
from page import Page, start_browser  # noqa: E402


@pytest.fixture(scope="session")
def stack():
    this = Stack(ROOT / "build/test/browser", WEB="nginx")
    try:
        yield this.up()
    finally:
        this.down()


@pytest.fixture(scope="session")
def axe():
    """axe-core's source, from the npm registry, by its checksum."""
    folder = ROOT / "build/cache/axe-core-4.14.1"
    if not folder.is_dir():
        done = subprocess.run(
            [ROOT / "deploy/local/npm", HERE / "axe.lock",
             ROOT / "build/cache"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no axe-core: {done.stderr.strip()}")
    return (folder / "axe.min.js").read_text()


@pytest.fixture(autouse=True)
def no_other_sales(stack):
    """The shop shows only what this test opens."""
    stack.redis.delete("fs:sales")


@pytest.fixture(scope="session")
def browsers():
    """Those that nobody uses just now: starting one takes seconds."""
    idle = []
    yield idle
    for browser in idle:
        browser.quit()


@pytest.fixture
def open_page(stack, browsers):
    """open_page(path="/", ...): see page.py.  Each is a browser of its
    own, so another one is another buyer."""
    pages = []

    def make(path="/", **options):
        browser = browsers.pop() if browsers else start_browser()
        pages.append(Page(browser, stack.web.url, **options))
        return pages[-1].open(path)
    yield make
    complaints = [line for page in pages for line in page.complaints()]
    browsers.extend(page.give_back() for page in pages)
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def new_sale(stack):
    """new_sale(sku="phone", stock=10, ...): its whole SKU, which no other
    test has."""
    run = uuid.uuid4().hex[:8]

    def make(sku="phone", stock=10, **fields):
        fields.setdefault("name", "Aurora Phone 16")
        fields.setdefault("priceMinor", 79900)
        sku = f"{run}.{sku}"
        reply = stack.web.reset(sku, stock, **fields)
        assert reply.status == 200, reply
        return sku
    return make
