#!/usr/bin/env python3
"""Gajim (nbxmpp, GTK) on a virtual screen against the server, with a slixmpp partner.

    client_gajim.py [CHECK…]

Prints one line a check; exit code 0 when all hold. Pictures, Gajim's wire and the partner's: OUT/gajim/.
"""

import asyncio
import json
import os
import re
import sqlite3
import ssl
import subprocess
import sys

import slix
from desktop import Desktop
from slix import DOMAIN, PASSWORD, Failed, befriend, is_presence, require, run_checks, unique

SETTINGS = {
    "remote_control": False,
    "use_keyring": False,
    "show_notifications": False,
    "sounds_on": False,
    "show_trayicon": False,
    "check_for_update": False,
    "plugins_update_check": False,
    "plugins_auto_update": False,
    "use_speller": False,
    "use_libappindicator": False,
    "autoaway": False,
    "autoxa": False,
    "show_help_start_chat": False,
    "show_send_message_button": True,
}
SCHEMA = """
CREATE TABLE settings (name TEXT UNIQUE, settings TEXT);
CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT);
PRAGMA user_version=5;
"""


class Gajim:
    """One Gajim installation with one account, prepared as its settings dialogue would."""

    def __init__(self, stage, jid, desktop):
        self.jid = jid
        self.desktop = desktop
        self.out = (slix.OUT / "gajim").resolve()
        self.log = f"{stage.name}.gajim.log"
        self.process = None
        folder = desktop.home / "config" / "gajim"
        folder.mkdir(mode=0o700)
        account = {
            "active": True,
            "name": jid.split("@")[0],
            "hostname": DOMAIN,
            "password": PASSWORD,
            "savepass": True,
            "resource": "gajim",
            "account_label": "Juliet",
            "use_custom_host": True,
            "custom_host": "localhost",
            "custom_port": int(os.environ["C2S_PORT"]),
            "custom_type": "START TLS",
            "autoconnect": True,
        }
        workspace = {"name": "Verona", "color": "rgb(191,15,167)", "avatar_sha": "", "chats": []}
        database = sqlite3.connect(folder / "settings.sqlite")
        database.executescript(SCHEMA)
        for name, value in {
            "app": SETTINGS,
            "soundevents": {},
            "status_presets": {},
            "proxies": {},
            "plugins": {},
            "workspaces": {"verona": workspace},
        }.items():
            database.execute("INSERT INTO settings VALUES (?, ?)", (name, json.dumps(value)))
        database.execute(
            "INSERT INTO account_settings VALUES (?, ?)",
            ("juliet", json.dumps({"account": account, "contact": {}, "group_chat": {}})),
        )
        database.commit()
        database.close()
        self._trust(desktop.home / "data" / "gajim" / "cert_store")

    @staticmethod
    def _trust(store):
        """Puts the server's certificate where Gajim keeps those its user accepted; it is checked against the CA first."""
        shown = subprocess.run(
            [
                "openssl",
                "s_client",
                "-connect",
                f"127.0.0.1:{os.environ['TLS_PORT']}",
                "-servername",
                DOMAIN,
                "-CAfile",
                os.environ["CA_FILE"],
                "-verify_return_error",
                "-verify_hostname",
                DOMAIN,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
        found = re.search(f"{re.escape(ssl.PEM_HEADER)}.*?{re.escape(ssl.PEM_FOOTER)}\n", shown.stdout, re.DOTALL)
        if shown.returncode != 0 or not found:
            raise Failed(f"the server's certificate does not verify against its CA: {shown.stderr[-200:]}")
        store.mkdir(parents=True, mode=0o700)
        (store / "localhost").write_text(found.group(0))

    def start(self):
        self.process = self.desktop.start(["gajim", "--verbose"], self.log)

    async def open_chat(self, contact):
        """Asks the running Gajim to show the chat with `contact`, as a click on an xmpp: link does."""
        await self.desktop.run("gajim", f"xmpp:{contact}?message")

    async def focus(self):
        window = (await self.desktop.run("xdotool", "search", "--onlyvisible", "--class", "gajim")).split()[-1]
        await self.desktop.run("xdotool", "windowfocus", "--sync", window)

    async def type(self, text):
        """Types a line and Return into Gajim's main window."""
        await self.focus()
        await self.desktop.run("xdotool", "type", "--delay", "15", text)
        await asyncio.sleep(0.3)
        await self.desktop.run("xdotool", "key", "Return")

    async def history(self, text, seconds=30):
        """Waits until Gajim's own history has a message with `text`; the number of such messages."""
        path = self.desktop.home / "data" / "gajim" / "logs.db"
        for _ in range(seconds * 5):
            if path.exists():
                try:
                    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                        number = database.execute("SELECT count(*) FROM logs WHERE message = ?", (text,)).fetchone()[0]
                    if number:
                        return number
                except sqlite3.OperationalError:
                    pass  # Gajim is just making or writing the file
            await asyncio.sleep(0.2)
        raise Failed(f"Gajim has not got {text!r} within {seconds} s")

    async def quit(self):
        """Quits as a person does, so that the stream is closed; a killed Gajim would leave a session to resume."""
        await self.focus()
        await self.desktop.run("xdotool", "key", "ctrl+q")
        for _ in range(100):
            if self.process.poll() is not None:
                return
            await asyncio.sleep(0.1)
        raise Failed("Gajim did not quit within 10 s")

    async def picture(self, name):
        await self.desktop.picture(self.out / f"{name}.png")

    def keep_log(self):
        source = self.desktop.home / self.log
        if source.exists():
            (self.out / self.log).write_bytes(source.read_bytes())

    def complaints(self):
        """What Gajim logged as an error, but for a desktop that is not there to name its colours."""
        found = re.findall(r"^\S+ \S+ \(E\) (.*)$", (self.desktop.home / self.log).read_text(errors="replace"), re.MULTILINE)
        return [text for text in found if "system_style" not in text]

    def mechanism(self):
        found = re.findall(r'<auth [^>]*mechanism="([^"]+)"', (self.desktop.home / self.log).read_text(errors="replace"))
        return found[0] if found else "mechanism unknown"


async def conversation(stage):
    """login, message received and one typed, picture taken; what was written while closed is caught up after a restart"""
    romeo = await stage.client("romeo").login()
    juliet = await stage.client("juliet").login()
    await befriend(romeo, juliet)
    jid = juliet.boundjid.bare
    await juliet.logout()
    async with Desktop() as desktop:
        gajim = Gajim(stage, jid, desktop)
        try:
            mark = len(romeo.seen)
            gajim.start()
            await romeo.expect(
                "Gajim's presence",
                lambda s: is_presence(s, jid) and s["from"].resource.startswith("gajim"),
                since=mark,
                seconds=30,
            )
            heard = unique("But soft, what light")
            romeo.send_message(mto=jid, mbody=heard, mtype="chat")
            await gajim.history(heard)
            await gajim.open_chat(romeo.boundjid.bare)
            await asyncio.sleep(1)
            typed = unique("ay me")
            await gajim.type(typed)
            got = await romeo.expect_body(typed)
            require(got["from"].bare == jid, f"from is {got['from']}")
            again = unique("speak again")
            romeo.send_message(mto=got["from"], mbody=again, mtype="chat")
            await gajim.history(again)
            await asyncio.sleep(1)
            await gajim.picture("conversation")
            mark = len(romeo.seen)
            await gajim.quit()
            await romeo.expect("Gajim's end", lambda s: is_presence(s, got["from"].full, "unavailable"), since=mark, seconds=30)
            missed = [unique(f"missed {n}") for n in range(3)]
            for body in missed:
                romeo.send_message(mto=jid, mbody=body, mtype="chat")
            await romeo.fence()
            gajim.start()
            for body in missed:
                number = await gajim.history(body, seconds=30)
                require(number == 1, f"{body!r} is {number} times in Gajim's history")
            await gajim.open_chat(romeo.boundjid.bare)
            await asyncio.sleep(2)
            await gajim.picture("after-restart")
            require(not gajim.complaints(), f"Gajim logged {gajim.complaints()[:3]}")
            return f"{gajim.mechanism()}, received, typed and sent, 3 messages caught up after a restart, no error logged, pictures taken"
        except Exception:
            await gajim.picture("failure")
            raise
        finally:
            gajim.keep_log()


if __name__ == "__main__":
    sys.exit(run_checks("gajim", [conversation], only=sys.argv[1:]))
