"""Headless browsers, driven over their own remote protocols: open a page, run a script, type, take a picture.

Chromium speaks the DevTools protocol, Firefox WebDriver BiDi; both are JSON over a WebSocket on loopback.
"""

import asyncio
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import aiohttp
from slix import Failed

START_SECONDS_MAX = 40
ANSWER_SECONDS_MAX = 30
ENTER = "\ue007"  # the key's name in WebDriver


class Browser:
    """One browser with a profile of its own, new and empty; `async with` starts and ends it."""

    program = ""
    arguments = ()
    announced = ""  # a pattern of what it prints when its port is open; group 1 is the address

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="conformance-browser-"))
        self.console = []  # what the page logged: (level, text)
        self._answers = {}
        self._number = 0

    async def __aenter__(self):
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MOZ_HEADLESS": "1"}
        self.log = open(self.home / "browser.log", "w+b")
        self.process = subprocess.Popen(
            [self.program, *[argument.format(home=self.home) for argument in self.arguments]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = await self._address()
            self._http = aiohttp.ClientSession()
            self.socket = await self._http.ws_connect(await self.endpoint(address), max_msg_size=0)
            self._reader = asyncio.ensure_future(self._read())
            await self.begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        if hasattr(self, "_http"):
            if hasattr(self, "_reader"):
                self._reader.cancel()
            await self._http.close()
        # A browser is a family of processes; it was made the leader of a group of its own.
        for number in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(30):
                if self.process.poll() is not None:
                    break
                try:
                    os.killpg(self.process.pid, number)
                except ProcessLookupError:
                    break
                await asyncio.sleep(0.2)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    async def _address(self):
        for _ in range(START_SECONDS_MAX * 5):
            found = re.search(self.announced, (self.home / "browser.log").read_text(errors="replace"))
            if found:
                return found[1]
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.2)
        last = (self.home / "browser.log").read_text(errors="replace")[-300:]
        raise Failed(f"{self.program} did not open its port within {START_SECONDS_MAX} s: {last}")

    async def _read(self):
        async for message in self.socket:
            data = json.loads(message.data)
            waiting = self._answers.pop(data.get("id"), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(data)
            elif "method" in data:
                self.event(data["method"], data.get("params", {}))

    async def ask(self, method, **parameters):
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": self._number, "method": method, "params": parameters})
        try:
            data = await asyncio.wait_for(answer, ANSWER_SECONDS_MAX)
        except TimeoutError:
            raise Failed(f"{self.program} did not answer {method} within {ANSWER_SECONDS_MAX} s") from None
        if "error" in data:
            raise Failed(f"{self.program}: {method}: {data['error']} {data.get('message', '')}")
        return data.get("result", {})

    async def until(self, script, what, seconds=20):
        """Waits until `script` gives something that is true, and returns it."""
        for _ in range(seconds * 5):
            value = await self.run(script)
            if value:
                return value
            await asyncio.sleep(0.2)
        raise Failed(f"{self.program} did not show {what} within {seconds} s")


class Chromium(Browser):
    program = "chromium"
    arguments = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1000,620",
        "--remote-debugging-port=0",
        "--user-data-dir={home}/profile",
        "about:blank",
    )
    announced = r"DevTools listening on (ws://\S+)"

    async def endpoint(self, address):
        host = re.match(r"ws://([^/]+)/", address)[1]
        async with self._http.get(f"http://{host}/json") as answer:
            pages = [target for target in await answer.json() if target["type"] == "page"]
        return pages[0]["webSocketDebuggerUrl"]

    async def begin(self):
        for domain in ("Page", "Runtime", "Log"):
            await self.ask(f"{domain}.enable")

    def event(self, method, parameters):
        if method == "Runtime.consoleAPICalled":
            words = [str(argument.get("value", argument.get("description", ""))) for argument in parameters["args"]]
            self.console.append((parameters["type"], " ".join(words)))
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            self.console.append((entry["level"], f"{entry['text']} {entry.get('url', '')}"))
        elif method == "Runtime.exceptionThrown":
            self.console.append(("error", json.dumps(parameters["exceptionDetails"])[:500]))

    async def open(self, url):
        await self.ask("Page.navigate", url=url)

    async def run(self, script):
        result = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return result.get("result", {}).get("value")

    async def type(self, text):
        await self.ask("Input.insertText", text=text)
        await asyncio.sleep(0.2)
        for kind in ("keyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    async def picture(self, path):
        path.write_bytes(base64.b64decode((await self.ask("Page.captureScreenshot"))["data"]))


class Firefox(Browser):
    program = "firefox-esr"
    arguments = ("--headless", "--width=1000", "--height=620", "--remote-debugging-port=0", "--no-remote", "--profile", "{home}")
    announced = r"WebDriver BiDi listening on (ws://\S+)"

    async def endpoint(self, address):
        return f"{address}/session"

    async def begin(self):
        await self.ask("session.new", capabilities={})
        tree = await self.ask("browsingContext.getTree")
        self.context = tree["contexts"][0]["context"]
        await self.ask("session.subscribe", events=["log.entryAdded"])

    def event(self, method, parameters):
        if method == "log.entryAdded":
            self.console.append((parameters["level"], parameters.get("text") or ""))

    async def open(self, url):
        await self.ask("browsingContext.navigate", context=self.context, url=url, wait="none")

    async def run(self, script):
        # As JSON: BiDi's own values come in pieces with their types.
        result = await self.ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({script})))()",
            target={"context": self.context},
            awaitPromise=True,
        )
        if result["type"] == "exception":
            return None
        value = result["result"].get("value")
        return json.loads(value) if value else None

    async def type(self, text):
        keys = [{"type": kind, "value": key} for key in [*text, ENTER] for kind in ("keyDown", "keyUp")]
        await self.ask("input.performActions", context=self.context, actions=[{"type": "key", "id": "keyboard", "actions": keys}])

    async def picture(self, path):
        answer = await self.ask("browsingContext.captureScreenshot", context=self.context)
        path.write_bytes(base64.b64decode(answer["data"]))
