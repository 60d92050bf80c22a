"""Debian's Chromium without a window, as a visitor of the dashboard."""

import json
from importlib.resources import files

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

AXE = files("axe_core_python").joinpath("axe.min.js").read_text()
# WCAG 2.1, levels A and AA.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


class Browser:
    """One browser; `open` loads a page in a look: a width, and dark or light."""

    def __init__(self, *, script=True):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(flag)
        # The coordinator's certificate is of its own authority.
        options.accept_insecure_certs = True
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(30)

    def look(self, *, width=1200, height=900, dark=False):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]},
        )

    def open(self, address):
        # The page before asks its coordinator for news until it is left; that one may have ended.
        self.driver.get("about:blank")
        self.messages()
        self.driver.get(address)

    def messages(self):
        """What the console has said since the last call: errors, warnings, anything."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def first_paint_seconds(self):
        """From the start of the navigation to the first contentful paint."""
        return self.driver.execute_async_script(
            """
            const done = arguments[0];
            const tell = (entries) => {
              const paint = entries.find((one) => one.name === "first-contentful-paint");
              if (paint) done(paint.startTime / 1000);
            };
            tell(performance.getEntriesByType("paint"));
            new PerformanceObserver((list) => tell(list.getEntries())).observe({type: "paint", buffered: true});
            """
        )

    def transferred_bytes(self):
        """Bytes of the page and of everything that it loaded, as they came over the wire."""
        total = 0
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.loadingFinished":
                total += message["params"]["encodedDataLength"]
        return total

    def accessibility_problems(self):
        """What axe finds against WCAG's levels A and AA, a line for each element."""
        self.driver.execute_script(AXE)
        result = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {runOnly: arguments[0]}).then(done, (error) => done({error: String(error)}));",
            RULES,
        )
        assert "error" not in result, result
        return [
            f"{rule['id']}: {rule['help']}: {node['html'][:160]} {node.get('failureSummary', '')}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]

    def overflow(self):
        """Pixels by which the page is wider than the window."""
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def text(self, selector="main"):
        return self.driver.execute_script("return document.querySelector(arguments[0]).innerText", selector)

    def screenshot(self, path):
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return window.innerWidth")
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": min(height, 4000), "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.save_screenshot(str(path))

    def close(self):
        self.driver.quit()
