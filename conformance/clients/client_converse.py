#!/usr/bin/env python3
"""converse.js in two headless browsers, in conversation: Chromium over WebSocket, Firefox over BOSH.

    client_converse.py DIST [CHECK…]

DIST is the folder dist of the npm package converse.js. The page is served from loopback, as a page of this machine. Prints
one line a check; exit code 0 when all hold. Pictures and what the pages logged: OUT/converse/.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import sys

import slix
from aiohttp import web
from browser import Chromium, Firefox
from slix import DOMAIN, PASSWORD, befriend, require, run_checks, unique

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>converse</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/dist/converse.min.css"></head>
<body class="converse-fullscreen">
<script type="module">import converse from "/dist/converse.min.js"; converse.initialize(%s);</script></body></html>
"""
BODIES = "[...document.querySelectorAll('.chat-msg__text')].map((line) => line.textContent.trim())"
DIST = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")


def settings(jid, door):
    """What the page's owner would write; `door` is websocket_url or bosh_service_url with its address."""
    return {
        **door,
        "jid": jid,
        "password": PASSWORD,
        "auto_login": True,
        "authentication": "login",
        "view_mode": "fullscreen",
        "theme": "classic",
        "assets_path": "/dist/",
        "discover_connection_methods": False,
        "allow_non_contacts_messaging": True,
        "message_archiving": "always",
        "loglevel": "debug",
        "i18n": "en",
        "play_sounds": False,
    }


@contextlib.asynccontextmanager
async def pages(doors):
    """Serves a page for each (jid, door); gives their addresses."""
    application = web.Application()
    application.router.add_static("/dist", DIST)

    async def omemo(_):
        return web.FileResponse(DIST / "curve25519_compiled.wasm", headers={"Content-Type": "application/wasm"})

    # Its library for OMEMO asks for this at the root, whatever assets_path says.
    application.router.add_get("/curve25519_compiled.wasm", omemo)
    async def nothing(_):
        """A page where nothing runs; it has an icon, so that the browser does not look for one."""
        return web.Response(text="<link rel=icon href=data:,>", content_type="text/html")

    application.router.add_get("/nothing", nothing)
    for number, (jid, door) in enumerate(doors):
        body = PAGE % json.dumps(settings(jid, door))

        async def show(_, body=body):
            return web.Response(text=body, content_type="text/html")

        application.router.add_get(f"/{number}", show)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        yield [f"http://127.0.0.1:{port}/{number}" for number in range(len(doors))]
    finally:
        await runner.cleanup()


class Converse:
    """A browser with converse.js in it."""

    def __init__(self, browser, name):
        self.browser = browser
        self.name = name
        self.out = (slix.OUT / "converse").resolve()

    async def connected(self, url):
        await self.browser.open(url)
        await self.browser.until(
            "!!(window.converse && document.querySelector('#converse-roster, converse-rosterview'))", "the roster", seconds=40
        )

    async def open_chat(self, jid):
        await self.browser.run(f"location.hash = '#converse/chat?jid={jid}'")
        await self.browser.until(f"!!document.querySelector('{AREA}')", "the chat's text area")

    async def say(self, text):
        await self.browser.run(f"document.querySelector('{AREA}').focus()")
        await self.browser.type(text)

    async def see(self, text):
        """Waits for a line that ends so on the page; all lines of the page."""
        await self.browser.until(f"({BODIES}).some((line) => line === {json.dumps(text)})", repr(text))
        return await self.browser.run(BODIES)

    async def end(self):
        with contextlib.suppress(slix.Failed):
            await self.browser.picture(self.out / f"{self.name}.png")
        log = "\n".join(f"{level} {text}" for level, text in self.browser.console)
        (self.out / f"{self.name}.console.log").write_text(log)

    def complaints(self):
        return complaints(self.browser.console)


def complaints(console):
    """What converse.js logged as an error, but for the pictures of its sponsors, from a network that is not there; a component that is
    connected in another part; and Firefox, which lets nobody ask for notifications but a person."""
    known = "conversejs.org/media", "bot.localhost", "Notification permission"
    return [text for level, text in console if level == "error" and not any(it in text for it in known)]


AREA = "converse-chat textarea.chat-textarea"


async def chromium_and_firefox(stage):
    """Chromium (WebSocket) and Firefox (BOSH) talk, typed on both pages; after a reload the history is there from the archive"""
    romeo, juliet = await stage.pair()
    await befriend(romeo, juliet)
    jids = romeo.boundjid.bare, juliet.boundjid.bare
    await romeo.logout()
    await juliet.logout()
    port = os.environ["HTTP_PORT"]
    doors = {"websocket_url": f"ws://127.0.0.1:{port}/xmpp-websocket"}, {"bosh_service_url": f"http://127.0.0.1:{port}/http-bind"}
    async with pages(list(zip(jids, doors))) as urls, Chromium() as chromium, Firefox() as firefox:
        left, right = Converse(chromium, "chromium-websocket"), Converse(firefox, "firefox-bosh")
        try:
            await asyncio.gather(left.connected(urls[0]), right.connected(urls[1]))
            await asyncio.gather(left.open_chat(jids[1]), right.open_chat(jids[0]))
            said = []
            for speaker, hearer, text in ((left, right, "But soft"), (right, left, "ay me äöü"), (left, right, "speak again")):
                said.append(unique(text))
                await speaker.say(said[-1])
                await speaker.see(said[-1])
                lines = await hearer.see(said[-1])
                require(lines == said, f"{hearer.name} shows {lines}")
            await left.end()
            await right.end()
            # A new device: what it shows comes from the archive. On leaving, the page writes down its session to resume it later;
            # so what it keeps is cleared from a page of the same place where nothing runs.
            await chromium.open(urls[0].rsplit("/", 1)[0] + "/nothing")
            await chromium.run("indexedDB.databases().then((all) => all.forEach((one) => indexedDB.deleteDatabase(one.name)))")
            await chromium.run("(localStorage.clear(), sessionStorage.clear())")
            await chromium.open(urls[0])
            await left.connected(urls[0])
            await left.open_chat(jids[1])
            lines = await left.see(said[-1])
            require(lines == said, f"after the reload the page shows {lines}")
            left.name += "-reloaded"
            logged = left.complaints() + right.complaints()
            require(not logged, f"converse.js logged {logged[:3]}")
            return "3 lines typed on both pages and shown on both, the history after a reload, no error logged, pictures taken"
        finally:
            await left.end()
            await right.end()


if __name__ == "__main__":
    sys.exit(run_checks("converse", [chromium_and_firefox], only=sys.argv[2:]))
