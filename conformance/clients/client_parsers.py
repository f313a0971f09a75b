#!/usr/bin/env python3
"""What Iris lets through is read the same by the parsers that clients have: expat (slixmpp, Gajim, Profanity, Firefox) and libxml2.

    client_parsers.py [CHECK…]

Runs with the Python that slixmpp and lxml are installed for. MUTANTS is the number of stanzas that are tried, SEED what they are made
from (both have defaults). Prints one line a check; exit code 0 when all hold.
"""

import asyncio
import itertools
import os
import random
import sys
import xml.parsers.expat

from lxml import etree
from slix import PASSWORD, Client, require, run_checks

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
FOOTER = b"</stream:stream>"
# Letters of names that the fifth edition of XML 1.0 has and expat has not, then some that both have.
STRANGE = "😀 \u0221 \u0370 \u1d00 \u2071 \u3001 \uff21 \u200ca a\u0487 a\u203f".split(" ")
KNOWN = ["ä", "a\u00b7", "a\u0300", "ж", "数", "한", "ひ々"]
SEEDS = [
    b"<message to='JULIET' id='1' type='chat'><body>a &lt;b&gt; &amp; c</body><x xmlns='urn:x' a=\"1\"><y xmlns='' z='&#x3c;'/></x></message>",
    b"<message to='JULIET' xml:lang='de'><body><![CDATA[<x>&]]]]></body><p:q xmlns:p='urn:p' p:a='1' a='2'><p:r/></p:q></message>",
    b"<message to='JULIET'><subject>\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80</subject><a:b xmlns:a='urn:1'><a:b xmlns:a='urn:2'/></a:b></message>",
    b"<message\n to = 'JULIET'\t><html xmlns='http://www.w3.org/1999/xhtml'><body><p style='x'>h<br/>i</p></body></html>\r\n</message >",
]
PIECES = [
    *(bytes([b]) for b in b"<>/\"'&;=:-.1}{| \t\r\n\x0c\x1f\x00\x80"),
    *(b"&amp; &#60; &#x0; &#xD; &#10; ]]> <![CDATA[ <!-- --> <? ?> xmlns xmlns: :: p: xml: stream: </message> <message>".split(b" ")),
    b"xmlns:xml='http://www.w3.org/XML/1998/namespace'",
    b"xmlns:xmlns='a'",
    b"xmlns:p=''",
    b"<message to='JULIET'/>",
    *(b"\xef\xbb\xbf \xef\xbf\xbe \xed\xa0\x80 \xc0\xaf \xc2\x85 \xe2\x80\xa8 \xc2\xa0 \xc3\x97 \xcc\x80 \xc2\xb7".split(b" ")),
]


class Listener(Client):
    """One that keeps every byte."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.raw = b""

    def data_received(self, data):
        self.raw += data
        return super().data_received(data)


class Streams:
    """juliet listens; romeo says what may end his stream, and then comes back; tybalt says that romeo has been heard."""

    def __init__(self, stage):
        self.stage, self.romeo, self.marks = stage, None, 0

    async def begin(self):
        jid = self.stage.client("juliet").requested_jid.bare
        self.juliet = Listener(jid, PASSWORD, wire=self.stage.wire, plugins=["xep_0199"])
        self.stage.clients.append(self.juliet)
        self.address = f"{jid}/phone"
        await self.juliet.login()
        self.tybalt = await self.stage.client("tybalt", plugins=["xep_0199"]).login(available=False)
        return self

    async def hear(self, said):
        """What juliet gets when romeo says this, and whether his stream has survived it."""
        if self.romeo is None or not self.romeo.is_connected():
            self.romeo = await self.stage.client("romeo", plugins=["xep_0199"]).login(available=False)
        begin = len(self.juliet.raw)
        gone = asyncio.ensure_future(self.romeo.wait_until("disconnected", timeout=20))
        self.romeo.send_raw(said)
        # Also ends what is not complete: a comment, a value, a tag.
        fence = asyncio.ensure_future(self.romeo.fence())
        await asyncio.wait({gone, fence}, return_when=asyncio.FIRST_COMPLETED, timeout=2)
        survived = fence.done() and fence.exception() is None
        for task in (gone, fence):
            task.cancel()
        if not survived:
            self.romeo.abort()
            self.romeo = None
        self.marks += 1
        mark = f"mark-{self.marks}-"
        self.tybalt.send_raw(f"<message to='{self.address}' id='{mark}'/>")
        await self.juliet.expect(f"the message {mark}", lambda it: it["id"] == mark, since=max(0, len(self.juliet.seen) - 8), seconds=10)
        heard = self.juliet.raw[begin:]
        return heard[: heard.rindex(b"<message", 0, heard.index(mark.encode()))], survived


def by_expat(document):
    """The events of a document: starts with their attributes, texts, ends."""
    events, parser = [], xml.parsers.expat.ParserCreate(namespace_separator="\x01")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: events.append(("start", name, sorted(attributes.items())))
    parser.EndElementHandler = lambda name: events.append(("end", name))
    parser.CharacterDataHandler = lambda text: add_text(events, text)
    parser.Parse(document, True)
    return events


def by_libxml2(document):
    """The same."""
    events = []
    name = lambda it: it[1:].replace("}", "\x01", 1) if it.startswith("{") else it  # noqa: E731

    def walk(element):
        events.append(("start", name(element.tag), sorted((name(key), value) for key, value in element.attrib.items())))
        add_text(events, element.text)
        for child in element:
            walk(child)
            add_text(events, child.tail)
        events.append(("end", name(element.tag)))

    walk(etree.fromstring(document, etree.XMLParser(resolve_entities=False)))
    return events


def add_text(events, text):
    if not text:
        return
    if events[-1][0] == "text":
        text = events.pop()[1] + text
    events.append(("text", text))


def stanzas(events):
    depth = count = 0
    for kind, *_ in events:
        depth += {"start": 1, "end": -1, "text": 0}[kind]
        count += kind == "start" and depth == 2
    return count


def mutants_of(chance):
    """Two thirds of them are what expat takes: most others end at the first odd byte."""
    for number in itertools.count():
        it = mutant(chance, chance.choice(SEEDS))
        while number % 3 and not is_read(it):
            it = mutant(chance, chance.choice(SEEDS))
        yield number, it


def is_read(said):
    try:
        return bool(by_expat(HEADER + said + FOOTER))
    except xml.parsers.expat.ExpatError:
        return False


def mutant(chance, seed):
    it = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3))):
        at, kind = chance.randrange(len(it) + 1), chance.random()
        if kind < 0.6:
            it[at:at] = chance.choice(PIECES)
        elif kind < 0.75:
            del it[at : at + chance.randrange(1, 6)]
        elif kind < 0.9:
            it[at : at + 1] = chance.choice(PIECES)
        else:
            begin = chance.randrange(len(it) + 1)
            it[at:at] = it[begin : begin + chance.randrange(1, 20)]
    return bytes(it)


async def names(stage):
    """a name that expat does not know ends the stream of whoever says it, and nobody else's (security A6)"""
    streams = await Streams(stage).begin()
    for name in STRANGE:
        for inside in (f"<{name} xmlns='urn:x'/>", f"<x xmlns='urn:x' {name}='1'/>", f"<{name}:x xmlns:{name}='urn:x'/>"):
            heard, survived = await streams.hear(f"<message to='{streams.address}'>{inside}</message>".encode())
            require(not heard and not survived, f"{inside} was let through")
    for name in KNOWN:
        heard, survived = await streams.hear(f"<message to='{streams.address}'><{name} xmlns='urn:x' {name}='1'/></message>".encode())
        require(survived and stanzas(by_expat(HEADER + heard + FOOTER)) == 1, f"{name} was not let through")
    return f"{len(STRANGE)} refused in three places each, {len(KNOWN)} let through"


async def mutants(stage):
    """what arrives of mutated stanzas is one tree for expat and libxml2, and never more stanzas than were sent (security A6)"""
    seed, count = int(os.environ.get("SEED", "6120")), int(os.environ.get("MUTANTS", "150"))
    chance, arrived = random.Random(seed), 0
    streams = await Streams(stage).begin()
    for number, said in itertools.islice(mutants_of(chance), count):
        said = said.replace(b"JULIET", streams.address.encode())
        heard, _ = await streams.hear(said)
        if not heard:
            continue
        arrived += 1
        about = f"mutant {number} of seed {seed}, {said!r}, arrives as {heard!r}"
        document = HEADER + heard + FOOTER
        try:
            events = by_expat(document)
            require(events == by_libxml2(document), f"two trees: {about}")
        except (xml.parsers.expat.ExpatError, etree.XMLSyntaxError) as error:
            require(False, f"{error}: {about}")
        try:
            most = stanzas(by_expat(HEADER + said + FOOTER))
        except xml.parsers.expat.ExpatError:
            # Some of it stood before the mistake, and a stanza is said when it ends.
            most = said.count(b"<message")
        require(stanzas(events) <= most, f"more stanzas: {about}")
    require(arrived > count // 3, f"only {arrived} of {count} arrived: they show little")
    return f"{arrived} of {count} arrived"


mutants.seconds_max = 500

if __name__ == "__main__":
    sys.exit(run_checks("parsers", [names, mutants], sys.argv[1:]))
