"""The slixmpp side of every conversation: a client that keeps what it saw and writes a wire log, and a runner of checks.

Environment (printed by `conformance/server start`): HOST C2S_PORT TLS_PORT CA_FILE DOMAIN SERVER_DIR; OUT is the folder
for wire logs. A check is an async function; its docstring's first line is what its result line says; seconds_max may be set on it.
"""

import asyncio
import datetime
import os
import pathlib
import signal
import subprocess
import sys
import traceback
import uuid

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout

SERVER = pathlib.Path(__file__).resolve().parent.parent / "server"
OUT = pathlib.Path(os.environ.get("OUT", "conformance/out"))
DOMAIN = os.environ.get("DOMAIN", "localhost")
HOST = os.environ.get("HOST", "127.0.0.1")
WAIT_SECONDS = 20
CHECK_SECONDS_MAX = 150
PASSWORD = "wherefore art thou"

PLUGINS = [
    "xep_0004",
    "xep_0012",
    "xep_0030",
    "xep_0049",
    "xep_0054",
    "xep_0059",
    "xep_0085",
    "xep_0092",
    "xep_0184",
    "xep_0191",
    "xep_0198",
    "xep_0199",
    "xep_0202",
    "xep_0203",
    "xep_0280",
    "xep_0297",
    "xep_0308",
    "xep_0313",
    "xep_0333",
    "xep_0352",
    "xep_0359",
]


class Failed(Exception):
    """The server (or the client) did not do what the check requires."""


def require(condition, why):
    if not condition:
        raise Failed(why)


class Client(ClientXMPP):
    """One resource of one account. Everything that arrives stands in `seen`, in order of arrival. `place`: host and port, where
    they are not those of the environment."""

    def __init__(self, jid, password=PASSWORD, *, resource="phone", direct_tls=False, plugins=PLUGINS, without=(), wire=None, place=None):
        super().__init__(f"{jid}/{resource}", password)
        self.place = place
        self.ca_certs = pathlib.Path(os.environ["CA_FILE"])
        self.enable_direct_tls = direct_tls
        self.enable_starttls = not direct_tls
        self.auto_authorize = None
        self.auto_subscribe = False
        self.wire = wire
        self.seen = []
        self._arrived = asyncio.Event()
        for plugin in plugins:
            if plugin not in without:
                self.register_plugin(plugin)
        if "xep_0184" in self.plugin:
            self.plugin["xep_0184"].auto_request = False
        self.add_filter("in", self._keep)

    # -- wire log ----------------------------------------------------------------------------------------------------

    def _log(self, direction, data):
        if self.wire is not None:
            text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
            now = datetime.datetime.now().strftime("%H:%M:%S.%f")[:-3]
            self.wire.write(f"{now} {self.requested_jid} {direction} {text}\n")
            self.wire.flush()

    def send_raw(self, data):
        self._log(">", data)
        return super().send_raw(data)

    def data_received(self, data):
        self._log("<", data)
        return super().data_received(data)

    # -- what arrived ------------------------------------------------------------------------------------------------

    def _keep(self, stanza):
        if stanza.name in ("message", "presence", "iq"):
            self.seen.append(stanza)
            self._arrived.set()
        return stanza

    async def expect(self, what, predicate, *, since=0, seconds=WAIT_SECONDS):
        """The first stanza from position `since` on that satisfies `predicate`; fails after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        position = since
        while True:
            while position < len(self.seen):
                stanza = self.seen[position]
                position += 1
                if predicate(stanza):
                    return stanza
            self._arrived.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._arrived.wait(), max(left, 0.001))
            except TimeoutError:
                raise Failed(f"{self.boundjid} did not receive {what} within {seconds} s") from None

    async def expect_body(self, body, **options):
        return await self.expect(f"the message {body!r}", lambda s: is_message(s) and s["body"] == body, **options)

    def bodies(self, since=0):
        return [s["body"] for s in self.seen[since:] if is_message(s) and s["body"]]

    # -- connecting --------------------------------------------------------------------------------------------------

    async def login(self, *, available=True, priority=None, first="session_start"):
        """Connects and waits for the session; with `available` also asks for the roster, as RFC 6121 2.2 recommends (only
        then is the resource told of subscriptions), sends presence and waits for its reflection."""
        started = asyncio.ensure_future(self.wait_until(first, timeout=WAIT_SECONDS))
        refused = asyncio.ensure_future(self.wait_until("failed_all_auth", timeout=WAIT_SECONDS))
        place = self.place or (HOST, int(os.environ["TLS_PORT" if self.enable_direct_tls else "C2S_PORT"]))
        self.connect(*place)
        done, pending = await asyncio.wait({started, refused}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        results = [task.exception() for task in done]
        require(refused not in done or refused.exception(), f"{self.boundjid}: the server refused the login")
        require(results[0] is None, f"{self.requested_jid}: no {first} within {WAIT_SECONDS} s")
        if available and first == "session_start":
            await self.get_roster(timeout=WAIT_SECONDS)
            mark = len(self.seen)
            self.send_presence(ppriority=priority)
            await self.expect("its own presence", lambda s: s.name == "presence" and s["from"] == self.boundjid, since=mark)
        return self

    async def cut(self):
        """Drops the TCP connection without closing the stream, as a lost network does."""
        gone = asyncio.ensure_future(self.wait_until("disconnected", timeout=WAIT_SECONDS))
        self.transport.abort()
        await gone

    async def logout(self):
        if self.is_connected():
            await self.disconnect(wait=2)

    async def fence(self):
        """A round trip to the server: what it had sent us before has arrived when this returns."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.domain, timeout=WAIT_SECONDS)


def is_message(stanza):
    return stanza.name == "message"


def is_presence(stanza, sender, kind="available"):
    """True for a presence of `kind` (as on the wire: "available" stands for no type) from the bare or full `sender`."""
    if stanza.name != "presence" or sender not in (stanza["from"].bare, stanza["from"].full):
        return False
    return stanza.xml.get("type", "available") == kind


async def refusal(request):
    """The stanza error condition with which `request` (a future of an iq) is refused; fails when it succeeds."""
    try:
        await request
    except IqError as error:
        return error.iq["error"]["condition"]
    except IqTimeout:
        raise Failed("an iq got no answer") from None
    raise Failed("an iq succeeded that must be refused")


async def befriend(one, other):
    """Subscribes both to each other's presence: RFC 6121 3.1, seen by both sides."""
    for subscriber, contact in ((one, other), (other, one)):
        asked = len(contact.seen)
        subscriber.send_presence_subscription(pto=contact.boundjid.bare, ptype="subscribe")
        await contact.expect(
            "the subscription request", lambda s: is_presence(s, subscriber.boundjid.bare, "subscribe"), since=asked
        )
        answered = len(subscriber.seen)
        contact.send_presence_subscription(pto=subscriber.boundjid.bare, ptype="subscribed")
        await subscriber.expect("the approval", lambda s: is_presence(s, contact.boundjid.bare, "subscribed"), since=answered)
        await subscriber.expect("the contact's presence", lambda s: is_presence(s, contact.boundjid.full), since=answered)


def unique(text):
    return f"{text} {uuid.uuid4().hex[:8]}"


def iris_program():
    """By its whole path: whoever starts it may do so from another folder."""
    named, root = os.environ.get("IRIS"), SERVER.parent.parent
    programs = [pathlib.Path(named)] if named else [root / "target" / kind / "iris" for kind in ("release", "debug")]
    found = next((it for it in programs if it.is_file()), None)
    require(found, f"no iris program at {' or '.join(map(str, programs))}")
    return str(found.resolve())


def server_command(*arguments):
    done = subprocess.run([sys.executable, str(SERVER), *arguments], capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        raise Failed(done.stderr.strip())


class Stage:
    """The accounts and clients of one check; every account is new, so that checks cannot disturb each other."""

    def __init__(self, name, wire):
        self.name = name
        self.wire = wire
        self.clients = []
        self.accounts = set()

    def client(self, person, **options):
        jid = f"{person}-{self.name}@{DOMAIN}"
        if jid not in self.accounts:
            server_command("adduser", jid, PASSWORD)
            self.accounts.add(jid)
        client = Client(jid, wire=self.wire, **options)
        self.clients.append(client)
        return client

    async def pair(self, **options):
        romeo, juliet = self.client("romeo", **options), self.client("juliet", **options)
        await romeo.login()
        await juliet.login()
        return romeo, juliet

    async def end(self):
        await asyncio.gather(*(client.logout() for client in self.clients), return_exceptions=True)


def run_checks(client_name, checks, only=()):
    """Runs the checks one after the other, prints one line each and returns the exit code."""
    # Ended from outside, the checks still have to end what they started: tmux, screens, programs.
    signal.signal(signal.SIGTERM, _interrupted)
    folder = OUT / client_name
    folder.mkdir(parents=True, exist_ok=True)
    bad = 0
    for check in checks:
        if only and check.__name__ not in only:
            continue
        name = check.__name__.replace("_", "-")
        with open(folder / f"{name}.log", "w", encoding="utf-8") as wire:
            try:
                note = asyncio.run(_run(check, Stage(name, wire)))
                print(f"ok {client_name} {name}: {note or check.__doc__.splitlines()[0]}", flush=True)
            except Exception as error:
                bad += 1
                traceback.print_exc(file=wire)
                text = " ".join(str(error).split()) or type(error).__name__
                print(f"FAIL {client_name} {name}: {text}", flush=True)
    return 1 if bad else 0


def _interrupted(*_):
    raise KeyboardInterrupt


async def _run(check, stage):
    seconds = getattr(check, "seconds_max", CHECK_SECONDS_MAX)
    try:
        return await asyncio.wait_for(check(stage), seconds)
    except TimeoutError:
        raise Failed(f"not done within {seconds} s") from None
    except IqError as error:
        raise Failed(f"an iq was refused with {error.iq['error']['condition']}: {error.iq}") from error
    except IqTimeout as error:
        raise Failed(f"an iq got no answer: {error.iq}") from error
    finally:
        await stage.end()
