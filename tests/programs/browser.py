# SPDX-License-Identifier: MIT
"""A headless Chromium, driven by WebDriver (https://www.w3.org/TR/webdriver2) over plain HTTP."""
import base64
import http.client
import json
import re
import shutil
import subprocess
import tempfile

from harness import wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # as the specification has it


def missing():
    """What is not installed, as a sentence; nothing: all is."""
    lacking = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(lacking)} (packages chromium, chromium-driver) not installed" if lacking else None


class Browser:
    """No name leads anywhere but 127.0.0.1: a request that would leave the machine fails, and is in `requests`."""

    ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-extensions", "--disable-sync", "--mute-audio", "--window-size=1100,1200", "about:blank",
                 "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = None
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                port = int(found[1])
                break
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.requests, self.complaints = [], []
        options = {"args": [*self.ARGUMENTS, f"--user-data-dir={self.profile.name}"]}
        logs = {"browser": "ALL", "performance": "ALL"}
        self.session = "/session/" + self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": logs}}})["sessionId"]

    def ask(self, method, path, body=None):
        self.http.request(method, path, json.dumps(body if body is not None else {}) if method == "POST" else None, {"Content-Type": "application/json"})
        value = json.loads(self.http.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['error']}: {value['message']}")
        return value

    def command(self, name, body=None):
        return self.ask("POST", f"{self.session}/{name}", body or {})

    def devtools(self, name, **parameters):
        return self.command("goog/cdp/execute", {"cmd": name, "params": parameters})

    def open(self, url):
        self.command("url", {"url": url})

    def run(self, script, *arguments):
        return self.command("execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e ? e.textContent : null;", selector)

    def wait(self, script, *arguments, seconds=20):
        try:
            wait_for(lambda: self.run("return " + script, *arguments), seconds)
        except AssertionError as problem:
            raise AssertionError(f"{script}: not in time; the page says: {self.run('return document.body.innerText')}") from problem

    def find(self, xpath):
        return self.command("element", {"using": "xpath", "value": xpath})[ELEMENT]

    def click(self, xpath):
        self.command(f"element/{self.find(xpath)}/click")

    def type(self, text):
        """Keys, to whatever has the focus."""
        keys = [{"type": down_or_up, "value": key} for key in text for down_or_up in ("keyDown", "keyUp")]
        self.command("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("GET", f"{self.session}/screenshot")))

    def listen(self):
        """Fetches what the browser has complained of, and which URLs it has asked for."""
        self.complaints += [f"{e['level']}: {e['message']}" for e in self.command("se/log", {"type": "browser"})]
        for entry in self.command("se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    def quit(self):
        try:
            self.ask("DELETE", self.session)
        finally:
            self.http.close()
            self.driver.terminate()
            self.driver.wait(timeout=20)
            self.driver.stdout.close()
            self.profile.cleanup()
