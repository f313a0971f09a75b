#!/usr/bin/env python3
"""Profanity (libstrophe) in a terminal against the server, with a slixmpp partner; the screen is the proof.

    client_profanity.py [CHECK…]

Prints one line a check; exit code 0 when all hold. Screens, Profanity's log and the partner's wire: OUT/profanity/.
"""

import asyncio
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import slix
from slix import DOMAIN, PASSWORD, is_message, is_presence, require, run_checks, unique
from terminal import Terminal

PREFERENCES = """\
[connection]
mam=true
carbons=true
receipts.send=true
receipts.request=true
tls.certpath={certificates}
[ui]
splash=false
history=true
[notifications]
message=false
room=false
[logging]
chlog=true
"""

ACCOUNT = """\
[{jid}]
enabled=true
jid={jid}
password={password}
server={host}
port={port}
tls.policy={tls}
resource=profanity
presence.last=online
presence.login=online
"""


class Profanity:
    """One Profanity with folders of its own; it may be started several times."""

    def __init__(self, stage, person, *, tls="force"):
        self.jid = f"{person}-profanity-{stage.name}@{DOMAIN}"
        slix.server_command("adduser", self.jid, PASSWORD)
        self.out = (slix.OUT / "profanity").resolve()
        self.home = self.out / f"{stage.name}.home"
        shutil.rmtree(self.home, ignore_errors=True)
        certificates = self.home / "certificates"
        for folder in (self.home / "config" / "profanity", self.home / "data" / "profanity", certificates):
            folder.mkdir(parents=True)
        shutil.copy(os.environ["CA_FILE"], certificates / "ca.pem")
        subprocess.run(["openssl", "rehash", str(certificates)], check=True, capture_output=True)
        (self.home / "config" / "profanity" / "profrc").write_text(PREFERENCES.format(certificates=certificates))
        port = os.environ["C2S_PORT" if tls == "force" else "TLS_PORT"]
        (self.home / "data" / "profanity" / "accounts").write_text(
            ACCOUNT.format(jid=self.jid, password=PASSWORD, host="localhost", port=port, tls=tls)
        )
        self.log = self.out / f"{stage.name}.profanity.log"
        self.log.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def running(self, name):
        """Starts it and waits until it is logged in; keeps the last screen as OUT/profanity/NAME.screen.txt."""
        environment = {
            "XDG_CONFIG_HOME": self.home / "config",
            "XDG_DATA_HOME": self.home / "data",
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "TERM": "screen-256color",
        }
        started = len(self.wire())
        terminal = Terminal(["profanity", "-l", "DEBUG", "-f", str(self.log), "-a", self.jid], environment)
        try:
            terminal.start()
            await terminal.see("logged in successfully")
            await self.told(f"connection_features_received {DOMAIN}", started)
            yield terminal
            with open(self.out / f"{name}.screen.txt", "w", encoding="utf-8") as file:
                file.write(terminal.screen())
            terminal.type("/quit")
            await terminal.ended()
        finally:
            screen = terminal.screen()
            if screen:
                (self.out / f"{name}.last.txt").write_text(screen)
            terminal.close()

    async def told(self, text, since):
        """Waits until Profanity's log says `text` after position `since`."""
        for _ in range(100):
            if text in self.wire()[since:]:
                return
            await asyncio.sleep(0.1)
        raise slix.Failed(f"Profanity's log does not say {text!r}")

    def wire(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def complaints(self):
        """What Profanity and its library logged as an error. OMEMO has no keys in a new installation; the component that
        conformance/server configures is connected in its own part only."""
        found = re.findall(r"^\S+ (?:conn|xmpp|prof): ERR: (.*)$", self.wire(), re.MULTILINE)
        known = "OMEMO", "the program behind this address is not connected"
        return [text for text in found if not any(it in text for it in known)]


async def conversation(stage):
    """STARTTLS login, subscription both ways, chat both ways with receipts; both lines stand on the screen"""
    profanity = Profanity(stage, "juliet")
    romeo = await stage.client("romeo").login()
    async with profanity.running("conversation") as terminal:
        romeo.send_presence_subscription(pto=profanity.jid, ptype="subscribe")
        await terminal.see(f"Received authorization request from {romeo.boundjid.bare}")
        terminal.type(f"/sub allow {romeo.boundjid.bare}")
        await romeo.expect("the approval", lambda s: is_presence(s, profanity.jid, "subscribed"))
        await romeo.expect("Profanity's presence", lambda s: is_presence(s, f"{profanity.jid}/profanity"))
        terminal.type(f"/sub request {romeo.boundjid.bare}")
        await romeo.expect("the request", lambda s: is_presence(s, profanity.jid, "subscribe"))
        romeo.send_presence_subscription(pto=profanity.jid, ptype="subscribed")
        await terminal.see(f"Subscription received from {romeo.boundjid.bare}")
        typed = unique("typed by a person")
        terminal.type(f"/msg {romeo.boundjid.bare} {typed}")
        got = await romeo.expect_body(typed)
        require(got["from"].full == f"{profanity.jid}/profanity", f"from is {got['from']}")
        answer = romeo.make_message(mto=got["from"], mbody=unique("read on the screen äöü"), mtype="chat")
        answer["request_receipt"] = True
        answer.send()
        screen = await terminal.see(answer["body"])
        require(typed in screen, "the own line is not on the screen")
        await romeo.expect("the receipt", lambda s: is_message(s) and s["receipt"] == answer["id"])
    require(not profanity.complaints(), f"Profanity logged {profanity.complaints()[:3]}")
    return f"{mechanism(profanity)}, subscription both ways, chat both ways, receipts, no error logged"


async def history_after_restart(stage):
    """direct TLS; what a partner wrote while Profanity was closed is on the screen after a restart, from the archive"""
    profanity = Profanity(stage, "juliet", tls="legacy")
    romeo = await stage.client("romeo").login()
    async with profanity.running("before-restart") as terminal:
        first = unique("before")
        terminal.type(f"/msg {romeo.boundjid.bare} {first}")
        await romeo.expect_body(first)
        answer = unique("answer")
        romeo.send_message(mto=profanity.jid, mbody=answer, mtype="chat")
        await terminal.see(answer)
    # Her phone stays online: messages that nobody has seen would be sent again at login and open Profanity's window before it
    # knows of the archive; 0.13 then does not ask for more.
    stage.accounts.add(f"juliet-profanity-{stage.name}@{DOMAIN}")
    await stage.client("juliet-profanity").login()
    missed = [unique(f"missed {n}") for n in range(1, 4)]
    for body in missed:
        romeo.send_message(mto=profanity.jid, mbody=body, mtype="chat")
    await romeo.fence()
    written = len(profanity.wire())
    # A new device: without the local chat logs, only the server can tell what was said.
    shutil.rmtree(profanity.home / "data" / "profanity" / "chatlogs", ignore_errors=True)
    for database in pathlib.Path(profanity.home).rglob("chatlog.db*"):
        database.unlink()
    async with profanity.running("after-restart") as terminal:
        terminal.type(f"/msg {romeo.boundjid.bare}")
        # Profanity 0.13 does not print its own lines out of the archive, only the partner's.
        for body in (answer, *missed):
            screen = await terminal.see(body)
        places = [screen.index(body) for body in (answer, *missed)]
        require(places == sorted(places), f"the history is out of order: {screen}")
    wire = profanity.wire()[written:]
    require("urn:xmpp:mam:2" in wire and "<fin" in wire, "Profanity did not ask the archive")
    return "4 lines of history on the screen, in order, from the archive"


def mechanism(profanity):
    """Which SASL mechanism libstrophe chose, from its own log."""
    for line in profanity.wire().splitlines():
        if "<auth" in line and "mechanism=" in line:
            return line.split("mechanism=")[1][1:].split('"')[0].split("'")[0]
    return "mechanism unknown"


if __name__ == "__main__":
    sys.exit(run_checks("profanity", [conversation, history_after_restart], only=sys.argv[1:]))
