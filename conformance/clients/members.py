"""Members of a bubble, each in somebody else's client: enter, talk, read, send a file, fetch one, go, come back.

Every kind has the same few methods, so that a conversation can be held without knowing who sits behind which client:

    running()        a context: the client runs, logged in
    make_room(name)  makes a room as the client does it; its address
    invite(jid)      asks somebody into the room
    enter(room)      accepts the invitation
    say(text)        types a line
    see(text)        waits until the text is there
    lines(texts)     which of the texts the room's window shows, in the order and as often as it does
    send_file(path)  uploads and shares it
    fetch(url)       the bytes of a file that somebody shared, by the client's own means
    picture(name)    keeps what a person sees
    wire()           what it logged of its stream
    complaints()     what the client itself logged as an error
"""

import asyncio
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import ssl
import struct
import urllib.request
import zlib

import client_poezio
import client_profanity
import slix
from slix import DOMAIN, Failed

FETCH_SECONDS_MAX = 20


async def until(condition, what, seconds=30):
    """Waits until `condition()` gives something that is true, and returns it."""
    for _ in range(seconds * 10):
        value = condition()
        if value:
            return value
        await asyncio.sleep(0.1)
    raise Failed(f"{what}: not within {seconds} s")


def png(width=160, height=100):
    """A picture like no other: a colour of its own and noise."""
    red, green, blue = os.urandom(3)
    noise = iter(os.urandom(width * height))
    rows = b"".join(
        b"\0" + b"".join(bytes((red, green ^ next(noise) & 31, (blue + column) % 256)) for column in range(width)) for _ in range(height)
    )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def fetch_as_anybody(url):
    """What whoever is given the address gets: over HTTPS, the certificate checked; (bytes, headers)."""

    def get():
        context = ssl.create_default_context(cafile=os.environ["CA_FILE"])
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS_MAX, context=context) as answer:
            return answer.read(), dict(answer.headers)

    return await asyncio.get_running_loop().run_in_executor(None, get)


def asked_archive(wire, room):
    """Whether a client has asked the room for its archive (XEP-0313)."""
    return re.search(rf"""<iq [^>]*to=["']{re.escape(room)}["'][^>]*>\s*<query [^>]*urn:xmpp:mam:2""", wire)


def on_screen(screen, texts):
    """The texts of a screen from top to bottom, each as often as it stands there."""
    places = [(found.start(), text) for text in texts for found in re.finditer(re.escape(text), screen)]
    return [text for _, text in sorted(places)]


class Terminal:
    """What the two terminal programs have in common: `self.terminal` is the running one."""

    terminal = None
    speaker_ends = ""  # what stands between who spoke and what was said: what is only being typed has nobody before it

    async def see(self, text, seconds=30):
        return await self.terminal.see(f"{self.speaker_ends}{text}", seconds)

    async def lines(self, texts):
        return on_screen(self.terminal.screen(), texts)

    async def picture(self, name):
        (slix.OUT / "bubble" / f"{self.client}-{name}.screen.txt").write_text(self.terminal.screen(), encoding="utf-8")


class Profanity(Terminal):
    client = "Profanity"
    speaker_ends = ": "

    def __init__(self, stage, person):
        self.nick = person
        self.program = client_profanity.Profanity(stage, person)
        self.program.out = (slix.OUT / "bubble").resolve()
        self.jid = self.program.jid

    @contextlib.asynccontextmanager
    async def running(self, name):
        async with self.program.running(f"profanity-{name}") as self.terminal:
            yield self

    async def create(self, name, members):
        """The bubble by the server's command, in Profanity's own form; its address."""
        written = len(self.program.wire())
        self.terminal.type("/cmd exec urn:iris:bubbles#create")
        # The form names its fields by number; labels tell which is which.
        screen = await self.terminal.see("Members:")
        tags = dict(reversed(found) for found in re.findall(r"\[(field\d)\] (Name|Members)", screen))
        self.terminal.type(f"/{tags['Name']} {name}")
        await self.terminal.see(f"Name (required): {name}")
        for member in members:
            self.terminal.type(f"/{tags['Members']} add {member}")
            await self.terminal.see(f"  {member}")
        self.terminal.type("/form submit")
        await self.terminal.see("Address of the bubble")
        found = await until(
            lambda: re.findall(rf"<value>([^<@]+@{re.escape(os.environ['MUC_DOMAIN'])})</value>", self.program.wire()[written:]),
            "the address of the bubble in Profanity's log",
        )
        self.terminal.type("/close")
        return found[-1]

    async def make_room(self, name):
        room = f"{name}@{os.environ['MUC_DOMAIN']}"
        self.terminal.type(f"/join {room} nick {self.nick}")
        await self.terminal.see("Room locked, requires configuration.")
        self.terminal.type("/room accept")
        await self.terminal.see("Room unlocked.")
        return room

    async def invite(self, jid):
        self.terminal.type(f"/invite send {jid}")

    async def enter(self, room):
        self.terminal.type(f"/join {room} nick {self.nick}")
        await self.terminal.see(f"You have joined the room as {self.nick}")

    async def enter_again(self, room):
        await self.enter(room)

    async def say(self, text):
        self.terminal.type(text)

    async def lines(self, texts):
        # What Profanity tells of its own work has an exclamation mark behind the time.
        said = [line for line in self.terminal.screen().splitlines() if " ! " not in line[:12]]
        return on_screen("\n".join(said), texts)

    async def send_file(self, path):
        self.terminal.type(f"/sendfile {path.resolve()}")

    async def fetch(self, url):
        path = self.program.home / url.rsplit("/", 1)[1]
        path.unlink(missing_ok=True)
        self.terminal.type(f"/url save {url} {path}")
        await self.terminal.see(f"Downloading '{url}': done", FETCH_SECONDS_MAX)
        return path.read_bytes()

    def wire(self):
        return self.program.wire()

    def complaints(self):
        return self.program.complaints()


class Poezio(Terminal):
    client = "Poezio"
    speaker_ends = "> "

    def __init__(self, stage, person, packages):
        self.nick = person
        self.program = client_poezio.Poezio(stage, person)
        self.program.out = (slix.OUT / "bubble").resolve()
        self.jid = self.program.jid
        home = self.program.home
        # The user it runs as may have no way to where it was installed.
        shutil.copytree(packages, home / "packages", ignore=shutil.ignore_patterns("*.dist-info", "setuptools", "bin"))
        self.program.command_line = ["/usr/bin/python3", "-m", "poezio"]
        self.program.environment = {"PYTHONPATH": home / "packages", "SSL_CERT_FILE": home / "ca.crt"}
        configuration = home / "poezio" / "poezio.cfg"
        # It speaks TLS from the first byte wherever it is told to go, and would log the refusal as an error.
        text = configuration.read_text().replace(f"= {os.environ['C2S_PORT']}\n", f"= {os.environ['TLS_PORT']}\n")
        configuration.write_text(f"{text}plugins_autoload = upload\ndefault_nick = {person}\n")

    @contextlib.asynccontextmanager
    async def running(self, name):
        async with self.program.running(f"poezio-{name}") as self.terminal:
            yield self

    async def make_room(self, name):
        self.room = f"{name}@{os.environ['MUC_DOMAIN']}"
        await self.program.command(self.terminal, f"join {self.room}/{self.nick}")
        await self.terminal.see("The room has been created")
        await self.program.command(self.terminal, "configure")
        await self.terminal.see("Ctrl+Y: send form")
        self.terminal.key("C-y")
        await until(lambda: "Ctrl+Y: send form" not in self.terminal.screen(), "the end of Poezio's form")
        return self.room

    async def invite(self, jid):
        await self.program.command(self.terminal, f"invite {jid}")

    async def enter(self, room):
        await self.terminal.see("You are invited to the room")
        await self.program.command(self.terminal, f"join {room}/{self.nick}")
        await self.terminal.see(f"You ({self.nick}) joined the room")

    async def enter_again(self, room):
        """It has made a bookmark, and enters by itself; that this is a tab in front is all a person does."""
        await self.program.command(self.terminal, f"win {room}")
        await self.terminal.see(f"You ({self.nick}) joined the room")

    async def say(self, text):
        await self.program.write(self.terminal, text)

    async def send_file(self, path):
        # It runs as somebody else.
        copy = self.program.home / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o644)
        await self.program.command(self.terminal, f"upload {copy}")

    async def fetch(self, url):
        """Poezio opens an address in a browser; it has nothing of its own."""
        return (await fetch_as_anybody(url))[0]

    def wire(self):
        return self.program.log.read_text(errors="replace")

    def complaints(self):
        return [text for text in self.program.complaints() if "Task was destroyed" not in text]
