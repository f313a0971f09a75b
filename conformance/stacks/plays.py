#!/usr/bin/env python3
"""One list of plays for every stack; the stack is a program of its own (see README.md).

    plays.py STACK [--door DOOR] [PLAY…] -- COMMAND…

COMMAND starts the driver. With DOOR every play goes through that one, and says so in its name; otherwise through the stack's
first, and `mechanisms` through all. Environment as printed by `conformance/server start`, and OUT. Prints one line a play:
ok, FAIL, or none when the stack does not know what the play is about. Wire logs: OUT/plays-STACK/PLAY.log.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ElementTree

SERVER = pathlib.Path(__file__).resolve().parent.parent / "server"
DOMAIN = os.environ.get("DOMAIN", "localhost")
PASSWORD = "a plague o' both"
WAIT_SECONDS = 45
PLAY_SECONDS_MAX = 240
CLIENT = "{jabber:client}"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Failed(Exception):
    """The server (or the stack) did not do what the play requires."""


class Unknown(Exception):
    """The stack does not know what the play is about."""


def require(condition, why):
    if not condition:
        raise Failed(why)


def unique(text):
    return f"{text} {uuid.uuid4().hex[:8]}"


class Actor:
    """One driver process: one resource of one account."""

    def __init__(self, play, person, resource):
        self.play = play
        self.bare = f"{person}-{play.stack}-{play.name}@{DOMAIN}"
        self.asked = f"{self.bare}/{resource}"
        self.jid = None
        self.seen = []
        self.knows = {}
        self._events = []
        self._arrived = asyncio.Event()

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.play.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self.play.wire, limit=1 << 22
        )
        self._reader = asyncio.ensure_future(self._read())
        self.knows = await self._event("knows")
        return self

    async def _read(self):
        async for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                self.play.log(f"{self.asked} ! {line!r}")
                continue
            self.play.log(f"{self.asked} < {line.decode().strip()}")
            if event["event"] == "stanza":
                self.seen.append(ElementTree.fromstring(event["xml"]))
            else:
                self._events.append(event)
            self._arrived.set()

    def tell(self, **words):
        line = json.dumps(words)
        self.play.log(f"{self.asked} > {line}")
        self.process.stdin.write(line.encode() + b"\n")

    async def _until(self, look, what):
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while (found := look()) is None:
            self._arrived.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._arrived.wait(), max(left, 0.001))
            except TimeoutError:
                raise Failed(f"{self.asked}: no {what} within {WAIT_SECONDS} s") from None
        return found

    async def _event(self, *kinds):
        def look():
            for number, event in enumerate(self._events):
                if event["event"] in kinds:
                    return self._events.pop(number)
            return None

        return await self._until(look, " or ".join(kinds))

    async def login(self, *, door=None, mechanism=None, token=None, password=PASSWORD):
        """Logs in through `door` (the stack's first, when not given); raises Failed when it is refused."""
        door = door or self.play.doors(self)[0]
        self.tell(do="login", jid=self.asked, password=password, door=door, mechanism=mechanism, token=token)
        event = await self._event("online", "failed")
        require(event["event"] == "online", f"{self.asked}: login refused: {event.get('why')}")
        self.jid = event["jid"]
        return event

    async def available(self):
        """Asks for the roster and sends presence, as RFC 6121 2.2 recommends."""
        await self.ask("get", "<query xmlns='jabber:iq:roster'/>")
        self.tell(do="send", xml=f"<presence>{CAPS}</presence>")
        await self.expect("its own presence", lambda s: s.tag == CLIENT + "presence" and s.get("from") == self.jid)
        return self

    async def resumed(self):
        self.tell(do="cut")
        return await self._event("online", "failed")

    def send(self, xml):
        self.tell(do="send", xml=xml)

    def say(self, to, body, extra=""):
        self.send(f"<message to='{to}' type='chat' id='{uuid.uuid4().hex}'><body>{body}</body>{extra}</message>")

    async def expect(self, what, predicate, since=0):
        return await self._until(lambda: next((s for s in self.seen[since:] if predicate(s)), None), what)

    async def expect_body(self, body, since=0):
        return await self.expect(f"message {body!r}", lambda s: s.findtext(CLIENT + "body") == body, since)

    async def ask(self, kind, payload, to=None):
        """The answer to an iq; an error fails the play."""
        number = f"play-{uuid.uuid4().hex[:12]}"
        address = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{number}'{address}>{payload}</iq>")
        answer = await self.expect(f"answer to {payload[:60]}", lambda s: s.tag == CLIENT + "iq" and s.get("id") == number)
        if answer.get("type") == "error":
            raise Failed(f"refused: {ElementTree.tostring(answer, 'unicode')[:300]}")
        return answer

    async def end(self):
        with contextlib.suppress(ProcessLookupError, ConnectionError):
            self.tell(do="close")
            await self.process.stdin.drain()
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 5)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        self._reader.cancel()


class Play:
    """The accounts and drivers of one play."""

    def __init__(self, stack, door, name, command, wire):
        self.stack, self.name, self.command, self.wire = stack, f"{name}-{door}" if door else name, command, wire
        self.door = door
        self.actors, self.accounts = [], set()

    def doors(self, actor):
        return [self.door] if self.door else actor.knows["doors"]

    def log(self, text):
        self.wire.write(text + "\n")
        self.wire.flush()

    async def actor(self, person, resource="phone", *, account=True):
        actor = Actor(self, person, resource)
        if account and actor.bare not in self.accounts:
            server("adduser", actor.bare, PASSWORD)
            self.accounts.add(actor.bare)
        self.actors.append(actor)
        return await actor.start()

    async def person(self, person, resource="phone"):
        actor = await self.actor(person, resource)
        await actor.login()
        return await actor.available()

    async def end(self):
        await asyncio.gather(*(actor.end() for actor in self.actors), return_exceptions=True)


def server(*arguments):
    done = subprocess.run([sys.executable, str(SERVER), *arguments], capture_output=True, text=True, timeout=90)
    require(done.returncode == 0, done.stderr.strip())
    return done.stdout.strip()


def bare(jid):
    return jid.split("/")[0]


# What +notify filters ask for; a hash that anybody can check (XEP-0115), of a client that lists these features.
CAPS = ""


# --- the plays ------------------------------------------------------------------------------------------------------------


async def register(play):
    """an invitation (XEP-0445), a new account in-band, logged in, and the inviter is its contact"""
    actor = await play.actor("guest", account=False)
    if not actor.knows.get("register"):
        raise Unknown("knows no in-band registration with an invitation")
    inviter = await play.person("host")
    token = server("invite", inviter.bare)
    await actor.login(token=token)
    await actor.available()
    answer = await actor.ask("get", "<query xmlns='jabber:iq:roster'/>")
    contacts = [item.get("jid") for item in answer.iter("{jabber:iq:roster}item")]
    require(inviter.bare in contacts, f"the roster of the invited has {contacts}")
    return "registered with an invitation, logged in, a contact of the inviter"


async def mechanisms(play):
    """every mechanism that the stack knows, through every door"""
    first = await play.actor("romeo")
    done = []
    for door in play.doors(first):
        for mechanism in first.knows["mechanisms"]:
            actor = await play.actor("romeo", uuid.uuid4().hex[:6])
            await actor.login(door=door, mechanism=mechanism)
            done.append(f"{mechanism} ({door})")
            await actor.end()
    stranger = await play.actor("romeo", "wrong")
    try:
        await stranger.login(password="not this")
    except Failed as why:
        require("refused" in str(why), str(why))
    else:
        raise Failed("a wrong password was let in")
    return ", ".join(done)


async def roster(play):
    """a contact set, seen by another resource, read back with name and group"""
    phone, desk = await play.person("romeo"), await play.person("romeo", "desk")
    item = f"<item jid='nurse@{DOMAIN}' name='Nurse'><group>Household</group></item>"
    await phone.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")

    def is_push(stanza):
        found = stanza.find("{jabber:iq:roster}query/{jabber:iq:roster}item")
        return stanza.get("type") == "set" and found is not None and found.get("jid") == f"nurse@{DOMAIN}"

    await desk.expect("roster push", is_push)
    answer = await desk.ask("get", "<query xmlns='jabber:iq:roster'/>")
    (found,) = answer.iter("{jabber:iq:roster}item")
    require((found.get("name"), found.findtext("{jabber:iq:roster}group")) == ("Nurse", "Household"), "name or group lost")
    return "set, pushed to the other resource, read back"


async def befriend(one, other):
    for asking, answering in ((one, other), (other, one)):
        asking.send(f"<presence to='{answering.bare}' type='subscribe'/>")
        await answering.expect("request", lambda s: s.get("type") == "subscribe" and bare(s.get("from")) == asking.bare)
        answering.send(f"<presence to='{asking.bare}' type='subscribed'/>")
        await asking.expect("presence", lambda s: s.tag == CLIENT + "presence" and s.get("from") == answering.jid)


async def presence(play):
    """subscription both ways, a changed presence seen, and its end"""
    romeo, juliet = await play.person("romeo"), await play.person("juliet")
    await befriend(romeo, juliet)
    romeo.send("<presence><show>dnd</show></presence>")
    await juliet.expect("dnd", lambda s: s.get("from") == romeo.jid and s.findtext(CLIENT + "show") == "dnd")
    romeo.send("<presence type='unavailable'/>")
    await juliet.expect("the end", lambda s: s.get("from") == romeo.jid and s.get("type") == "unavailable")
    return "both ways, dnd, unavailable"


async def chat(play):
    """messages both ways with receipts and characters of all kinds"""
    romeo, juliet = await play.person("romeo"), await play.person("juliet")
    body = unique("But soft äöü 漢字 🌹")
    romeo.say(juliet.bare, body, "<request xmlns='urn:xmpp:receipts'/>")
    got = await juliet.expect_body(body)
    require(got.get("from") == romeo.jid, f"from is {got.get('from')}")
    juliet.send(
        f"<message to='{romeo.jid}' type='chat'><received xmlns='urn:xmpp:receipts' id='{got.get('id')}'/></message>"
    )
    await romeo.expect("the receipt", lambda s: s.find("{urn:xmpp:receipts}received") is not None)
    return "both ways, receipt"


async def archive(play):
    """five messages read back in pages of two, in order, with their ids"""
    romeo, juliet = await play.person("romeo"), await play.person("juliet")
    said = [unique(f"line {number}") for number in range(5)]
    for body in said:
        romeo.say(juliet.bare, body)
        await juliet.expect_body(body)
    page, read, after = None, [], ""
    while page is None or page.get("complete") != "true":
        require(len(read) <= len(said), "the archive does not end")
        mark, query = len(juliet.seen), uuid.uuid4().hex[:8]
        form = (
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
            f"<field var='with'><value>{romeo.bare}</value></field></x>"
        )
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'><max>2</max>{after}</set>"
        answer = await juliet.ask("set", f"<query xmlns='urn:xmpp:mam:2' queryid='{query}'>{form}{rsm}</query>")
        page = answer.find("{urn:xmpp:mam:2}fin")
        read += [body.text for stanza in juliet.seen[mark:] if stanza.find("{urn:xmpp:mam:2}result") is not None
                 for body in stanza.iter(CLIENT + "body")]  # fmt: skip
        last = page.findtext("{http://jabber.org/protocol/rsm}set/{http://jabber.org/protocol/rsm}last")
        after = f"<after>{last}</after>"
    require(read == said, f"read {read}, said {said}")
    return "5 messages in 3 pages"


async def carbons(play):
    """what one resource sends and gets, the other gets a copy of"""
    phone, desk, juliet = await play.person("romeo"), await play.person("romeo", "desk"), await play.person("juliet")
    for resource in (phone, desk):
        await resource.ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")

    def copy(kind, body):
        def look(stanza):
            outer = stanza.find(f"{{urn:xmpp:carbons:2}}{kind}")
            return outer is not None and any(found.text == body for found in outer.iter(CLIENT + "body"))

        return look

    sent, heard = unique("sent"), unique("heard")
    phone.say(juliet.bare, sent)
    await desk.expect("copy of what was sent", copy("sent", sent))
    juliet.say(phone.jid, heard)
    await phone.expect_body(heard)
    await desk.expect("copy of what was heard", copy("received", heard))
    return "sent and received copies"


async def resume(play):
    """the connection is cut; what was said meanwhile arrives once, in the same session"""
    romeo = await play.actor("romeo")
    if not romeo.knows.get("resume"):
        raise Unknown("knows no stream management")
    await romeo.login()
    await romeo.available()
    juliet = await play.person("juliet")
    before = romeo.jid
    cut = asyncio.ensure_future(romeo.resumed())
    said = [unique(f"while away {number}") for number in range(3)]
    for body in said:
        juliet.say(romeo.bare, body)
    event = await cut
    require(event["event"] == "online" and event.get("resumed"), f"not resumed: {event}")
    require(event["jid"] == before, f"another JID: {event['jid']}")
    for body in said:
        await romeo.expect_body(body)
    await asyncio.sleep(0.5)
    bodies = [s.findtext(CLIENT + "body") for s in romeo.seen]
    require([body for body in bodies if body in said] == said, f"came as {bodies}")
    return "resumed, 3 messages once and in order"


async def avatar(play):
    """an avatar published (XEP-0084) is found by a contact: metadata, then data"""
    import base64
    import hashlib

    romeo, juliet = await play.person("romeo"), await play.person("juliet")
    await befriend(romeo, juliet)
    data = base64.b64decode(PIXEL)
    sha1 = hashlib.sha1(data).hexdigest()
    space = "urn:xmpp:avatar"
    pubsub = "<pubsub xmlns='http://jabber.org/protocol/pubsub'>{}</pubsub>"
    for node, payload in (
        ("data", f"<data xmlns='{space}:data'>{PIXEL}</data>"),
        ("metadata", f"<metadata xmlns='{space}:metadata'><info bytes='{len(data)}' id='{sha1}' type='image/png' width='1' height='1'/></metadata>"),
    ):
        publish = f"<publish node='{space}:{node}'><item id='{sha1}'>{payload}</item></publish>"
        await romeo.ask("set", pubsub.format(publish))
    answer = await juliet.ask("get", pubsub.format(f"<items node='{space}:metadata' max_items='1'/>"), romeo.bare)
    info = next(answer.iter(f"{{{space}:metadata}}info"))
    require(info.get("id") == sha1, f"metadata names {info.get('id')}")
    answer = await juliet.ask("get", pubsub.format(f"<items node='{space}:data'><item id='{sha1}'/></items>"), romeo.bare)
    found = next(answer.iter(f"{{{space}:data}}data")).text
    require(base64.b64decode(found) == data, "the data is not what was published")
    return "published, metadata and data fetched by a contact"


async def bookmark(play):
    """a bookmark (XEP-0402) is published privately, read on another resource, refused to others"""
    phone, desk, juliet = await play.person("romeo"), await play.person("romeo", "desk"), await play.person("juliet")
    options = "".join(
        f"<field var='{name}'{kind}><value>{value}</value></field>"
        for name, value, kind in (
            ("FORM_TYPE", "http://jabber.org/protocol/pubsub#publish-options", " type='hidden'"),
            ("pubsub#persist_items", "true", ""),
            ("pubsub#max_items", "max", ""),
            ("pubsub#send_last_published_item", "never", ""),
            ("pubsub#access_model", "whitelist", ""),
        )
    )
    room = f"garden@conference.{DOMAIN}"
    item = f"<item id='{room}'><conference xmlns='urn:xmpp:bookmarks:1' name='Garden' autojoin='false'/></item>"
    await phone.ask(
        "set",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        f"<publish node='urn:xmpp:bookmarks:1'>{item}</publish>"
        f"<publish-options><x xmlns='jabber:x:data' type='submit'>{options}</x></publish-options></pubsub>",
    )
    get = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>"
    answer = await desk.ask("get", get)
    names = [found.get("name") for found in answer.iter("{urn:xmpp:bookmarks:1}conference")]
    require(names == ["Garden"], f"the other resource reads {names}")
    try:
        await juliet.ask("get", get, phone.bare)
    except Failed as why:
        require("refused" in str(why), str(why))
    else:
        raise Failed("somebody else may read the bookmarks")
    return "published, read by the other resource, refused to a stranger"


PLAYS = [register, mechanisms, roster, presence, chat, archive, carbons, resume, avatar, bookmark]


async def run(play_of, stack, door, command, wire):
    play = Play(stack, door, play_of.__name__, command, wire)
    try:
        return await asyncio.wait_for(play_of(play), PLAY_SECONDS_MAX)
    except TimeoutError:
        raise Failed(f"not done within {PLAY_SECONDS_MAX} s") from None
    finally:
        await play.end()


def main(arguments):
    cut = arguments.index("--")
    stack, only, command = arguments[0], arguments[1:cut], arguments[cut + 1 :]
    door = None
    if only[:1] == ["--door"]:
        door, only = only[1], only[2:]
    folder = pathlib.Path(os.environ.get("OUT", "conformance/out")).resolve() / f"plays-{stack}"
    folder.mkdir(parents=True, exist_ok=True)
    bad = 0
    for play_of in PLAYS:
        if only and play_of.__name__ not in only:
            continue
        name = f"{play_of.__name__}({door})" if door else play_of.__name__
        with open(folder / f"{name}.log", "w", encoding="utf-8") as wire:
            try:
                print(f"ok plays-{stack} {name}: {asyncio.run(run(play_of, stack, door, command, wire))}", flush=True)
            except Unknown as what:
                print(f"none plays-{stack} {name}: {what}", flush=True)
            except Exception as error:
                bad = 1
                print(f"FAIL plays-{stack} {name}: {' '.join(str(error).split()) or type(error).__name__}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
