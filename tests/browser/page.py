"""One browser window, asked and told as a person would."""

import base64
import pathlib

from selenium.common.exceptions import (
    NoSuchElementException, StaleElementReferenceException)
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

from harness.wait import eventually

PICTURES = pathlib.Path(__file__).resolve().parents[2] / "build/screenshots"
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--disable-sync",
             "--no-proxy-server")


def start_browser():
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(service=Service("/usr/bin/chromedriver"), options=options)


class Page:
    """In a browser that is given back as it was, with give_back()."""

    def __init__(self, browser, url, size=(1280, 900), phone=False,
                 dark=False, clock_ahead_ms=0):
        self.driver, self.url, self.scope = browser, url, ""
        width, height = (390, 844) if phone else size
        self.tell("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=2 if phone else 1,
                  mobile=phone)
        self.tell("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])
        self.tell("Network.enable")
        self.script = clock_ahead_ms and self.tell(
            "Page.addScriptToEvaluateOnNewDocument", source=(
                "const real = Date.now;"
                f"Date.now = () => real() + {clock_ahead_ms};"))["identifier"]

    def give_back(self):
        self.offline(False).block()
        if self.script:
            self.tell("Page.removeScriptToEvaluateOnNewDocument",
                      identifier=self.script)
        self.run("localStorage.clear(); sessionStorage.clear()")
        self.tell("Network.clearBrowserCache")
        self.driver.get("about:blank")
        return self.driver

    def tell(self, command, **parameters):
        """A command of the browser's own protocol (CDP)."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def open(self, path="/"):
        self.driver.get(self.url + path)
        return self

    def on(self, sku):
        """From now on selectors are of that product's card, but for those
        that begin with #.  For a moment, the web server's cache may still
        show what was on sale before."""
        self.scope = f"[data-sku='{sku}'] "
        return self

    def find(self, selector):
        scope = "" if selector.startswith("#") else self.scope
        return self.driver.find_element("css selector", scope + selector)

    def text(self, selector):
        """What a person reads there, "" while it is not there."""
        try:
            return self.find(selector).text
        except (NoSuchElementException, StaleElementReferenceException):
            return ""

    def shows(self, selector, text, timeout=20):
        """Wait until the text can be read there."""
        return eventually(lambda: text in self.text(selector), timeout,
                          f"{text!r} in {selector}: "
                          f"{self.text(selector)!r}") and self

    def click(self, selector):
        self.find(selector).click()
        return self

    def click_fast(self, selector, times):
        """So many times, without a look at what comes of it."""
        found = self.find(selector)
        chain = ActionChains(self.driver, duration=0)  # of its moves, ms
        for _ in range(times):
            chain.click(found)
        chain.perform()
        return self

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()
        return self

    def tab_to(self, selector):
        """By the Tab key alone."""
        for _ in range(30):
            if self.run("return document.activeElement === arguments[0]",
                        self.find(selector)):
                return self
            self.press(Keys.TAB)
        raise AssertionError(f"Tab never gets to {selector}")

    def fill(self, selector, text):
        field = self.find(selector)
        field.clear()
        field.send_keys(str(text))
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def offline(self, is_offline=True):
        self.tell("Network.emulateNetworkConditions", offline=is_offline,
                  latency=0, downloadThroughput=-1, uploadThroughput=-1)
        return self

    def block(self, *addresses):
        """From now on these cannot be had; none: all can."""
        self.tell("Network.setBlockedURLs", urls=list(addresses))
        return self

    def picture(self, name):
        """Of the whole page, into build/screenshots/."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        data = self.tell("Page.captureScreenshot", format="png",
                         captureBeyondViewport=True, clip={
                             "x": 0, "y": 0, "width": width,
                             "height": height, "scale": 1})["data"]
        (PICTURES / f"{name}.png").write_bytes(base64.b64decode(data))
        return self

    def complaints(self):
        """Script errors and what the policy forbade; that a request was
        refused, which Chromium tells too, is no news."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["source"] != "network"]

    def serious(self, axe):
        """What axe-core holds against the page, as one line each."""
        self.run(axe)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document).then((r) => done(r.violations))")
        return [f"{v['id']} ({v['impact']}): {node['html']} "
                f"{node.get('failureSummary')}"
                for v in found for node in v["nodes"]
                if v["impact"] in ("serious", "critical")]
