"""Members of a bubble that have windows: Gajim on a virtual screen, converse.js in headless Chromium. See members.py."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import urllib.parse

import client_converse
import client_gajim
import slix
from browser import Chromium
from desktop import Desktop
from members import FETCH_SECONDS_MAX, until
from slix import PASSWORD, Failed

# What a click in a menu does, told over the session bus: OBJECT Activate ACTION [PARAMETER], or OBJECT Describe ACTION, which prints
# whether the menu offers it now.
ACTION = """
import sys
from gi.repository import Gio, GLib
where, verb, name, *parameters = sys.argv[1:]
parameters = [GLib.Variant.parse(None, text, None, None) for text in parameters]
about = GLib.Variant("(s)", (name,)) if verb == "Describe" else GLib.Variant("(sava{sv})", (name, parameters, {}))
bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
answer = bus.call_sync("org.gajim.Gajim", where, "org.gtk.Actions", verb, about, None, 0, 10_000, None)
print(answer.unpack()[0][0] if verb == "Describe" else "done")
"""
APPLICATION = "/org/gajim/Gajim"
WINDOW = f"{APPLICATION}/window/1"
END_OF_PNG = b"IEND\xaeB`\x82"


class Gajim:
    client = "Gajim"

    def __init__(self, stage, person):
        self.stage = stage
        self.jid = stage.client(person).boundjid.bare
        self.nick = self.jid.split("@")[0]
        self.desktop = Desktop("1000x700x24")
        self.program = client_gajim.Gajim(stage, self.jid, self.desktop)
        self.program.out = (slix.OUT / "bubble").resolve()

    @contextlib.asynccontextmanager
    async def on_screen(self):
        """The screen outlives the program, as what it wrote down does."""
        async with self.desktop:
            try:
                yield self
            except BaseException:
                await self.program.picture("gajim-failure")
                raise
            finally:
                self.program.keep_log()

    @contextlib.asynccontextmanager
    async def running(self, name):
        self.begun = len(self.wire())
        self.program.start()
        await until(lambda: "Received Roster" in self.wire()[self.begun :], "Gajim's login", 60)
        yield self
        await self.picture(name)
        await self.program.quit()

    def wire(self):
        path = self.desktop.home / self.program.log
        return path.read_text(errors="replace") if path.exists() else ""

    def is_in(self, room):
        """Whether its own presence has come back from the room since it was started."""
        own = rf"<presence [^>]*from='{re.escape(f'{room}/{self.nick}')}'(?:(?!</presence>).)*<status code='110'/>"
        return re.search(own, self.wire()[self.begun :])

    async def _act(self, *words):
        return (await self.desktop.run("/usr/bin/python3", "-c", ACTION, *words)).strip()

    async def make_room(self, name):
        """In the dialogue for it, which makes one of members only, with an address of its own choice."""
        mark = len(self.wire())
        await self._act(APPLICATION, "Activate", "create-groupchat", "''")
        window = await self._window("Create Group Chat")
        await self.desktop.run("xdotool", "windowfocus", "--sync", window)
        # Nothing but the mouse comes to the entry of the name; the places are those of the dialogue, wherever it stands.
        await self.desktop.run("xdotool", "mousemove", "--window", window, "290", "92", "click", "1")
        await self.desktop.run("xdotool", "type", "--delay", "15", name)
        await self.desktop.run("xdotool", "mousemove", "--window", window, "442", "294", "click", "1")
        room = rf'to="([^"@]+@{re.escape(os.environ["MUC_DOMAIN"])})" type="set"[^>]*><query xmlns="http://jabber.org/protocol/muc#owner"'
        self.room = (await until(lambda: re.search(room, self.wire()[mark:]), "Gajim's configuration of the room"))[1]
        return self.room

    async def _window(self, title):
        for _ in range(60):
            with contextlib.suppress(Failed):  # there is none yet
                return (await self.desktop.run("xdotool", "search", "--onlyvisible", "--name", title)).split()[-1]
            await asyncio.sleep(0.5)
        raise Failed(f"Gajim did not open the window {title!r} within 30 s")

    async def invite(self, jid):
        """By the command of its input, which is one only at the key."""
        mark = len(self.wire())
        await self.desktop.run("gajim", f"xmpp:{self.room}?message;body={urllib.parse.quote(f'/invite {jid}')}")
        await self._press_return_until("^Gajim$", lambda: re.search("jabber:x:conference|<invite ", self.wire()[mark:]), "Gajim's invitation")

    async def enter(self, room):
        """By the address of the room, as a click on it does; the dialogue that opens says first where it leads, then enters."""
        self.room = room
        await self.desktop.run("gajim", f"xmpp:{room}?join")
        await self._window("Start / Join Chat")
        # Its list is narrowed down to the room when it has been drawn: the key before that opens whoever stands first.
        await asyncio.sleep(1.5)
        await self._press_return_until("Start / Join Chat", lambda: self.is_in(room), "Gajim's entering the room")

    async def enter_again(self, room):
        """It has made a bookmark, and enters by itself."""
        await until(lambda: self.is_in(room), "Gajim's entering the room again", 60)

    async def _press_return_until(self, title, done, what):
        """What asks for the key may open later than we press it; where nothing asks it does nothing."""
        for _ in range(120):
            if done():
                return
            await self._press_return(title)
            await asyncio.sleep(0.5)
        raise Failed(f"{what}: not within 60 s")

    async def _press_return(self, title):
        with contextlib.suppress(Failed):  # the window may be gone, or not yet there
            for window in (await self.desktop.run("xdotool", "search", "--onlyvisible", "--name", title)).split():
                await self.desktop.run("xdotool", "windowfocus", "--sync", window)
                await self.desktop.run("xdotool", "key", "Return")

    async def say(self, text):
        await self.desktop.run("gajim", f"xmpp:{self.room}?message;body={urllib.parse.quote(text)}")
        for _ in range(60):
            if await self._act(WINDOW, "Describe", "send-message") == "True":
                break
            await asyncio.sleep(0.5)
        await self._act(WINDOW, "Activate", "send-message")

    async def see(self, text, seconds=30):
        await self.program.history(text, seconds)

    async def lines(self, texts):
        path = self.desktop.home / "data" / "gajim" / "logs.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            found = database.execute("SELECT message FROM logs ORDER BY time, log_line_id").fetchall()
        return [text for (text,) in found if text in texts]

    async def send_file(self, path):
        # It runs as somebody else.
        copy = self.desktop.home / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o644)
        mark = len(self.wire())
        await self._act(WINDOW, "Activate", "send-file", f"['{copy.as_uri()}']")
        await self._press_return_until("^Gajim$", lambda: "Sending request for slot" in self.wire()[mark:], "Gajim's upload")

    async def fetch(self, url):
        """Gajim fetches a picture by itself to show it, and keeps it."""
        name = url.rsplit("/", 1)[1].removesuffix(".png")
        folder = self.desktop.home / "data" / "gajim" / "downloads"

        def whole():
            found = [path.read_bytes() for path in folder.glob(f"{name}_*.png")]
            return [data for data in found if data.endswith(END_OF_PNG)]

        return (await until(whole, f"Gajim's download of {url}", FETCH_SECONDS_MAX))[0]

    async def picture(self, name):
        await self.program.picture(f"gajim-{name}")

    def complaints(self):
        return self.program.complaints()


class TrustingChromium(Chromium):
    """Takes the key of the certificate at HOST:PORT for a good one, after it has been checked against the test CA."""

    def __init__(self, host, port):
        super().__init__()
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", host, "-CAfile", os.environ["CA_FILE"]]
            + ["-verify_return_error", "-verify_hostname", host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=True,
        ).stdout
        key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=shown, capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
        pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
        self.arguments = (f"--ignore-certificate-errors-spki-list={pin}", *Chromium.arguments)


LINES = """[...document.querySelectorAll('converse-muc .chat-msg__text')].map(
    (line) => line.textContent.trim() || (line.querySelector('img') || {}).src || '')"""
AREA = "converse-muc textarea.chat-textarea"


class Converse:
    """converse.js over WebSocket; every start is a new device, with nothing kept."""

    client = "converse.js"

    def __init__(self, stage, person, dist):
        self.nick = person
        self.jid = stage.client(person).boundjid.bare
        self.out = (slix.OUT / "bubble").resolve()
        client_converse.DIST = dist
        self.console = []

    @contextlib.asynccontextmanager
    async def running(self, name):
        port = os.environ["HTTPS_PORT"]
        door = {"websocket_url": f"wss://localhost:{port}/xmpp-websocket", "nickname": self.nick}
        async with client_converse.pages([(self.jid, door)]) as (url,), TrustingChromium("localhost", port) as self.browser:
            try:
                await self.browser.open(url)
                roster = "#converse-roster, converse-rosterview"
                await self.browser.until(f"!!(window.converse && document.querySelector('{roster}'))", "the roster", seconds=60)
                yield self
            finally:
                with contextlib.suppress(Failed):
                    await self.picture(name)
                self.console += self.browser.console
                log = "\n".join(f"{level} {text}" for level, text in self.browser.console)
                (self.out / f"converse-{name}.console.log").write_text(log)

    async def make_room(self, name):
        room = f"{name}@{os.environ['MUC_DOMAIN']}"
        await self.enter(room)
        return room

    async def invite(self, jid):
        """Only in a dialogue; who knows the address comes in without."""

    async def enter(self, room):
        self.room = room
        await self.browser.run(f"location.hash = '#converse/room?jid={room}'")
        await self.browser.until(f"!!document.querySelector('{AREA}')", "the room's text area")

    async def enter_again(self, room):
        await self.enter(room)

    async def say(self, text):
        await self.browser.run(f"document.querySelector('{AREA}').focus()")
        await self.browser.type(text)

    async def see(self, text, seconds=30):
        await self.browser.until(f"({LINES}).includes({json.dumps(text)})", repr(text), seconds)

    async def lines(self, texts):
        return [line for line in await self.browser.run(LINES) if line in texts]

    async def send_file(self, path):
        field = await self.browser.ask("Runtime.evaluate", expression="document.querySelector('converse-muc input.fileupload')")
        await self.browser.ask("DOM.setFileInputFiles", files=[str(path.resolve())], objectId=field["result"]["objectId"])

    async def fetch(self, url):
        """The page shows it; the bytes are those that the page's own script can read."""
        image = f"[...document.querySelectorAll('converse-muc img')].some((it) => it.src === {json.dumps(url)} && it.naturalWidth > 0)"
        await self.browser.until(image, f"the picture {url}", FETCH_SECONDS_MAX)
        script = f"""fetch({json.dumps(url)}).then((it) => it.arrayBuffer()).then(
            (it) => btoa(String.fromCharCode(...new Uint8Array(it))))"""
        return base64.b64decode(await self.browser.run(script))

    async def picture(self, name):
        await self.browser.picture(self.out / f"converse-{name}.png")

    def wire(self):
        return "\n".join(text for _, text in self.console)

    def complaints(self):
        return client_converse.complaints(self.console)
