#!/usr/bin/env python3
"""Dino and Gajim, two real graphical clients on two virtual screens, in conversation.

    client_dino.py [CHECK…]

Dino takes a server's place from DNS or port 5222 of the domain and trusts the system's certificates only, so it runs in a
network and with a certificate list of its own (see conformance/run). Prints one line a check; exit code 0 when all hold.
Pictures and logs: OUT/dino/.
"""

import asyncio
import re
import sqlite3
import sys

import slix
from client_gajim import Gajim
from desktop import Desktop
from slix import DOMAIN, PASSWORD, Failed, befriend, is_presence, require, run_checks, unique

ACCOUNT = """
INSERT INTO account (bare_jid, resourcepart, password, alias, enabled) VALUES (?, 'dino', ?, '', 1)
"""


class Dino:
    """One Dino with one account, entered into its database as its account dialogue does."""

    def __init__(self, stage, jid, desktop):
        self.jid = jid
        self.desktop = desktop
        self.out = (slix.OUT / "dino").resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = f"{stage.name}.dino.log"
        desktop.environment |= {"GSK_RENDERER": "cairo", "G_MESSAGES_DEBUG": "all"}
        self.database = desktop.home / "data" / "dino" / "dino.db"
        self.process = None

    async def start(self):
        """The first start makes the database, the second finds the account in it."""
        if not self.database.exists():
            self.process = self.desktop.start(["dino-im"], f"first.{self.log}")
            for _ in range(150):
                if await self._has_table():
                    break
                await asyncio.sleep(0.2)
            else:
                raise Failed("Dino made no database")
            await self.desktop.end(self.process)
            with sqlite3.connect(self.database) as database:
                database.execute(ACCOUNT, (self.jid, PASSWORD))
            database.close()
        self.process = self.desktop.start(["dino-im", "--print-xmpp=all"], self.log)

    async def _has_table(self):
        return bool(await self.query("SELECT name FROM sqlite_master WHERE name = 'settings'"))

    async def query(self, text, *values):
        if not self.database.exists():
            return []
        try:
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as database:
                return database.execute(text, values).fetchall()
        except sqlite3.OperationalError:
            return []  # Dino is just making or writing the file

    async def open_chat(self, contact):
        await self.desktop.run("dino-im", f"xmpp:{contact}?message", seconds=30)

    async def type(self, text):
        window = (await self.desktop.run("xdotool", "search", "--onlyvisible", "--class", "dino")).split()[-1]
        await self.desktop.run("xdotool", "windowfocus", "--sync", window)
        await self.desktop.run("xdotool", "type", "--delay", "15", text)
        await asyncio.sleep(0.3)
        await self.desktop.run("xdotool", "key", "Return")

    async def history(self, text, seconds=30):
        """Waits until Dino's own history has a message with `text`; the number of such messages."""
        for _ in range(seconds * 5):
            found = await self.query("SELECT count(*) FROM message WHERE body = ?", text)
            if found and found[0][0]:
                return found[0][0]
            await asyncio.sleep(0.2)
        raise Failed(f"Dino has not got {text!r} within {seconds} s")

    async def quit(self):
        await self.desktop.end(self.process)

    async def picture(self, name):
        await self.desktop.picture(self.out / f"{name}.png")

    def keep_log(self):
        source = self.desktop.home / self.log
        if source.exists():
            (self.out / self.log).write_bytes(source.read_bytes())

    def complaints(self):
        """What Dino warned of, but for calls: no codecs are installed, and its STUN server is of a network that is not there."""
        found = re.findall(r"^\(dino-im:\d+\): (\S+-(?:WARNING|CRITICAL) .*)$", (self.desktop.home / self.log).read_text(errors="replace"), re.MULTILINE)
        return [text for text in found if not text.startswith(("rtp-", "ice-"))]

    def mechanism(self):
        found = re.findall(r"mechanism=['\"]([^'\"]+)", (self.desktop.home / self.log).read_text(errors="replace"))
        return found[0] if found else "mechanism unknown"


async def with_gajim(stage):
    """Dino and Gajim talk; what Gajim wrote while Dino was closed is caught up after its restart; pictures taken"""
    romeo, juliet = await stage.pair()
    await befriend(romeo, juliet)
    await romeo.logout()
    await juliet.logout()
    jids = romeo.boundjid.bare, juliet.boundjid.bare
    watcher = await stage.client("romeo", resource="watcher").login()
    async with Desktop() as left, Desktop() as right:
        dino, gajim = Dino(stage, jids[0], left), Gajim(stage, jids[1], right)
        try:
            await dino.start()
            gajim.start()
            await watcher.expect("Gajim's presence", lambda s: is_presence(s, jids[1]), seconds=60)
            await watcher.expect(
                "Dino's presence", lambda s: is_presence(s, jids[0]) and s["from"].resource.startswith("dino"), seconds=60
            )
            await dino.open_chat(jids[1])
            await asyncio.sleep(2)
            first = unique("But soft")
            await dino.type(first)
            await gajim.history(first)
            await gajim.open_chat(jids[0])
            await asyncio.sleep(1)
            answer = unique("ay me")
            await gajim.type(answer)
            await dino.history(answer)
            await asyncio.sleep(1)
            await dino.picture("dino")
            await gajim.desktop.picture(dino.out / "gajim.png")
            await dino.quit()
            missed = [unique(f"missed {n}") for n in range(3)]
            for body in missed:
                await gajim.type(body)
                await watcher.expect_body(body)
            await dino.start()
            for body in missed:
                number = await dino.history(body, seconds=30)
                require(number == 1, f"{body!r} is {number} times in Dino's history")
            await asyncio.sleep(2)
            await dino.picture("dino-after-restart")
            complaints = dino.complaints() + gajim.complaints()
            require(not complaints, f"they logged {complaints[:3]}")
            return f"{dino.mechanism()}, typed both ways, 3 messages caught up after a restart, no error logged, pictures taken"
        except Exception:
            await dino.picture("dino-failure")
            await gajim.desktop.picture(dino.out / "gajim-failure.png")
            raise
        finally:
            dino.keep_log()
            (dino.out / gajim.log).write_bytes((right.home / gajim.log).read_bytes() if (right.home / gajim.log).exists() else b"")


if __name__ == "__main__":
    sys.exit(run_checks("dino", [with_gajim], only=sys.argv[1:]))
