#!/usr/bin/env python3
"""Poezio and Profanity, two real clients in two terminals, in conversation; their screens are the proof.

    client_poezio.py [CHECK…]

Prints one line a check; exit code 0 when all hold. Screens, Poezio's wire log: OUT/poezio/; Profanity's: OUT/profanity/.
"""

import asyncio
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import slix
from client_profanity import Profanity
from slix import DOMAIN, PASSWORD, Failed, require, run_checks, unique
from terminal import Terminal

CONFIGURATION = """\
[Poezio]
jid = {jid}/poezio
password = {password}
custom_host = 127.0.0.1
custom_port = {port}
ca_cert_path = {home}/ca.crt
log_dir = {home}/logs
"""


class Poezio:
    """One Poezio with a home of its own, as the user `nobody` when we are root: it refuses to run as root."""

    def __init__(self, stage, person):
        self.jid = f"{person}-poezio-{stage.name}@{DOMAIN}"
        slix.server_command("adduser", self.jid, PASSWORD)
        self.out = (slix.OUT / "poezio").resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="conformance-poezio-"))
        (self.home / "poezio").mkdir()
        shutil.copy(os.environ["CA_FILE"], self.home / "ca.crt")
        (self.home / "poezio" / "poezio.cfg").write_text(
            CONFIGURATION.format(jid=self.jid, password=PASSWORD, port=os.environ["C2S_PORT"], home=self.home)
        )
        self.log = self.home / "wire.log"
        self.command_line = ["poezio"]
        self.environment = {}

    @contextlib.asynccontextmanager
    async def running(self, name):
        """Starts it and waits until it is logged in; keeps the last screen as OUT/poezio/NAME.screen.txt."""
        environment = {"HOME": self.home, "LANG": "C.UTF-8", "TERM": "screen-256color"}
        environment |= {f"XDG_{kind}_HOME": self.home for kind in ("CONFIG", "DATA", "CACHE")}
        environment |= self.environment
        command = [*self.command_line, "-d", str(self.log)]
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody:nogroup", str(self.home)], check=True)
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        terminal = Terminal(command, environment)
        try:
            terminal.start()
            await terminal.see("Your JID is", seconds=25)
            yield terminal
            self.keep(f"{name}.screen.txt", terminal.screen())
            await self.command(terminal, "quit")
            await terminal.ended()
        finally:
            screen = terminal.screen()
            if screen:
                self.keep(f"{name}.last.txt", screen)
            terminal.close()
            if self.log.exists():
                shutil.copy(self.log, self.out / f"{name}.wire.log")

    def keep(self, name, screen):
        (self.out / name).write_text(screen, encoding="utf-8")

    async def command(self, terminal, line):
        """Poezio opens its command line at the slash alone, and takes keys that come at once for a text that was pasted."""
        before = terminal.screen().splitlines()[-1]
        terminal.press("/")
        for _ in range(50):
            if terminal.screen().splitlines()[-1] != before:
                break
            await asyncio.sleep(0.1)
        await self.write(terminal, line)

    async def write(self, terminal, line):
        """A line into its input, and Return when it stands there."""
        terminal.press(line)
        for _ in range(50):
            if terminal.screen().rstrip().endswith(line[-20:].rstrip()):
                break
            await asyncio.sleep(0.1)
        terminal.key("Enter")

    def complaints(self):
        """What Poezio itself logged as an error: the server's refusals among them."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        found = [line for line in text.splitlines() if re.match(r"[-\d]+ [:,\d]+ (ERROR|CRITICAL):", line)]
        return [line.split(" ", 2)[2] for line in found if not any(known in line for known in KNOWN)]

    def end(self):
        shutil.rmtree(self.home, ignore_errors=True)


# Python packages that Debian's Poezio goes without, and the tries of its old slixmpp at a channel binding TLS 1.3 has not.
KNOWN = ["xep_0363", "HTTP File Upload plugin", "Exception raised in send queue", "Stream error: too many failed"]


async def with_profanity(stage):
    """Poezio and Profanity talk: subscription, both lines on both screens, typed by hand"""
    poezio, profanity = Poezio(stage, "romeo"), Profanity(stage, "juliet")
    try:
        async with profanity.running("with-poezio") as juliet, poezio.running("with-profanity") as romeo:
            await poezio.command(romeo, f"add {profanity.jid}")
            await juliet.see(f"Received authorization request from {poezio.jid}")
            juliet.type(f"/sub allow {poezio.jid}")
            juliet.type(f"/sub request {poezio.jid}")
            first = unique("typed in poezio äöü")
            await poezio.command(romeo, f"message {profanity.jid} {first}")
            await juliet.see(f"<< chat message: {poezio.jid}")
            juliet.type(f"/msg {poezio.jid}")
            await juliet.see(first)
            answer = unique("typed in profanity ß")
            juliet.type(f"/msg {poezio.jid} {answer}")
            screen = await romeo.see(answer)
            require(first in screen, "Poezio's own line is not on its screen")
            again = unique("and poezio again")
            await poezio.write(romeo, again)
            screen = await juliet.see(again)
            require(screen.index(answer) < screen.index(again), "Profanity shows the lines out of order")
            await asyncio.sleep(0.5)
        complaints = poezio.complaints()
        require(not complaints, f"Poezio logged: {complaints[:2]}")
        return "subscription, 3 lines there and back on both screens, Poezio logged no error"
    finally:
        poezio.end()


async def history(stage):
    """Poezio on a new device: what was said before stands in its window, in order, from the archive"""
    poezio = Poezio(stage, "romeo")
    juliet = await stage.client("juliet").login()
    try:
        said = [unique(f"line {n}") for n in range(4)]
        for body in said:
            juliet.send_message(mto=poezio.jid, mbody=body, mtype="chat")
        await juliet.fence()
        # An earlier device has taken the offline copies; the archive alone still has the lines.
        stage.accounts.add(poezio.jid)
        phone = await stage.client("romeo-poezio").login()
        await phone.expect_body(said[-1])
        # Poezio asks for what was before now, in whole seconds: what was said in this second is not before.
        await asyncio.sleep(1.1)
        async with poezio.running("history") as romeo:
            await poezio.command(romeo, f"message {juliet.boundjid.bare}")
            for body in said:
                screen = await romeo.see(body)
            places = [screen.index(body) for body in said]
            require(places == sorted(places), f"the history is out of order: {screen}")
        if "urn:xmpp:mam:2" not in poezio.log.read_text(errors="replace"):
            raise Failed("Poezio did not ask the archive")
        return f"{len(said)} lines of history on the screen, in order"
    finally:
        poezio.end()


if __name__ == "__main__":
    sys.exit(run_checks("poezio", [with_profanity, history], only=sys.argv[1:]))
