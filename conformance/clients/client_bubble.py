#!/usr/bin/env python3
"""A bubble with somebody else's client on every seat: made by a command, joined, talked in, files sent and fetched.

    client_bubble.py POEZIO CONVERSE [CHECK…]

POEZIO is the folder with Poezio's Python packages, CONVERSE the folder dist of the npm package converse.js. Gajim trusts the
system's certificates only, so what it takes part in runs with a certificate list of its own (see conformance/run). Prints one line a
check; exit code 0 when all hold. Screens, pictures, logs: OUT/bubble/.
"""

import asyncio
import contextlib
import datetime
import pathlib
import sys
from xml.etree import ElementTree

import slix
from members import Poezio, Profanity, asked_archive, fetch_as_anybody, png
from members_graphical import Converse, Gajim
from slix import is_message, is_presence, require, run_checks, unique

PACKAGES, DIST = (sys.argv[1:] + ["", ""])[:2]
MUC = "http://jabber.org/protocol/muc"


class Witness:
    """One more member, who sees what was really sent: slixmpp, and no client of a person."""

    nick = "chorus"

    def __init__(self, stage):
        self.program = stage.client("chorus")
        self.jid = self.program.boundjid.bare

    async def enter(self, room):
        self.room = room
        mark = len(self.program.seen)
        presence = self.program.make_presence(pto=f"{room}/{self.nick}")
        presence.xml.append(ElementTree.Element(f"{{{MUC}}}x"))
        presence.send()
        await self.program.expect("the room", lambda s: is_presence(s, f"{room}/{self.nick}"), since=mark)

    async def say(self, text):
        self.program.send_message(mto=self.room, mbody=text, mtype="groupchat")

    async def see(self, text):
        return await self.program.expect_body(text)

    async def address_of_file(self, nick, name):
        """The address that `nick` has said, of a file called `name`."""
        said = await self.program.expect(
            f"{nick}'s file {name}",
            lambda s: is_message(s) and s["from"].resource == nick and s["body"].startswith("https://") and s["body"].endswith(f"/{name}"),
        )
        return said["body"]

    async def lines(self, texts):
        return [body for body in self.program.bodies() if body in texts]


class Bubble:
    """What was said so far, and by whom it can be seen."""

    def __init__(self, room, witness, members):
        self.room = room
        self.witness = witness
        self.members = members
        self.said = []

    async def speak(self, speaker, about):
        """Says something that was never said before; it has reached everybody when this returns."""
        text = unique(f"{speaker.nick}: {about}")
        self.said.append(text)
        await speaker.say(text)
        await asyncio.gather(*(member.see(text) for member in (self.witness, *self.members)))

    async def share(self, sender, folder):
        """`sender` uploads a picture; everybody else fetches it, each by the own means of the client."""
        picture = folder / f"{sender.nick}.png"
        picture.write_bytes(png())
        await sender.send_file(picture)
        address = await self.witness.address_of_file(sender.nick, picture.name)
        self.said.append(address)
        data, headers = await fetch_as_anybody(address)
        require(data == picture.read_bytes(), f"{address} gives other bytes")
        require(headers["content-type"] == "image/png", f"{address} is of type {headers['content-type']}")
        for member in self.members:
            await member.see(address)
            if member is not sender:
                require(await member.fetch(address) == picture.read_bytes(), f"{member.client} has got other bytes from {address}")

    async def missing(self, absent, returns):
        """Lines are said while `absent` are away; `returns` lets them back in, and then they have them."""
        missed = len(self.said)
        self.members = [member for member in self.members if member not in absent]
        speakers = [*self.members, self.witness]
        for number in range(3):
            await self.speak(speakers[number % len(speakers)], f"who is away misses {number}")
        # Clients ask for what was said after the second of their last line, and before the second they come back.
        await another_second()
        await returns()
        self.members = [*self.members, *absent]
        for member in absent:
            for text in self.said[missed:]:
                await member.see(text)
            await self.check(member, self.said[missed:])

    async def check(self, member, wanted):
        """Everything of `wanted` is there, and whatever is there is so once and in order."""
        lines = await member.lines(self.said)
        require(lines == [text for text in self.said if text in lines], f"{member.nick} has lines twice or out of order: {lines}")
        require(not set(wanted) - set(lines), f"{member.nick} has not got {set(wanted) - set(lines)}")


def is_invitation(stanza, room):
    """Through the room (XEP-0045 7.8.2) or past it (XEP-0249)."""
    text = str(stanza)
    return is_message(stanza) and room in text and ("<invite " in text or "jabber:x:conference" in text)


async def another_second():
    """Returns when the clock shows another second."""
    now = datetime.datetime.now()
    while datetime.datetime.now().replace(microsecond=0) <= now:
        await asyncio.sleep(0.05)


async def meet(stage, host, guests):
    """`host` makes the bubble with everybody in it by the server's command; all enter."""
    witness = Witness(stage)
    await witness.program.login()
    room = await host.create("Verona", [witness.jid, *(guest.jid for guest in guests)])
    await witness.program.expect("the invitation", lambda s: is_invitation(s, room))
    await witness.enter(room)
    for member in (host, *guests):
        await member.enter(room)
        await witness.program.expect(f"{member.client}'s presence", lambda s, m=member: is_presence(s, f"{room}/{m.nick}"))
    return Bubble(room, witness, [host, *guests])


async def conversation(stage, host, guests):
    """All of it, with whatever clients; the stacks are what is left running by each."""
    members = [host, *guests]
    folder = slix.OUT / "bubble"
    async with contextlib.AsyncExitStack() as all_of_them:
        running = {member: await all_of_them.enter_async_context(contextlib.AsyncExitStack()) for member in members}
        await asyncio.gather(*(running[member].enter_async_context(member.running("first")) for member in members))
        bubble = await meet(stage, host, guests)
        for member in (*members, bubble.witness, *members):
            await bubble.speak(member, "hear me äöü")
        for member in members:
            await bubble.share(member, folder)
        for member in (bubble.witness, *members):
            await bubble.check(member, bubble.said)
        for member in members:
            await member.picture("talk")
        # All guests at once, then the host.
        for absent in (guests, [host]):
            await another_second()
            await asyncio.gather(*(running[member].aclose() for member in absent))

            async def return_of(member):
                await running[member].enter_async_context(member.running("second"))
                await member.enter_again(bubble.room)

            async def returns(absent=absent):
                await asyncio.gather(*(return_of(member) for member in absent))

            await bubble.missing(absent, returns)
        for member in members:
            await bubble.speak(member, "we are all here")
        for member in (bubble.witness, *members):
            await bubble.check(member, bubble.said[-len(members) :])
    for member in members:
        require(not member.complaints(), f"{member.client} logged {member.complaints()[:3]}")
        # Profanity 0.13 has the history that comes with entering.
        require(member is host or asked_archive(member.wire(), bubble.room), f"{member.client} did not ask the room's archive")
    lines = len(bubble.said) - len(members)
    return f"{lines} lines, each once and in order for everybody; {len(members)} files compared; what was missed came from the archive"


async def terminals(stage):
    """Profanity makes a bubble by command, Poezio comes by invitation: talk, files, what was missed"""
    juliet, romeo = Profanity(stage, "juliet"), Poezio(stage, "romeo", PACKAGES)
    try:
        return await conversation(stage, juliet, [romeo])
    finally:
        romeo.program.end()


async def everybody(stage):
    """Profanity, Poezio, Gajim and converse.js (Chromium, WebSocket) in one bubble: talk, files, what was missed, pictures"""
    juliet, romeo, mercutio = Profanity(stage, "juliet"), Poezio(stage, "romeo", PACKAGES), Gajim(stage, "mercutio")
    benvolio = Converse(stage, "benvolio", pathlib.Path(DIST))
    try:
        async with mercutio.on_screen():
            return await conversation(stage, juliet, [romeo, mercutio, benvolio])
    finally:
        romeo.program.end()


async def rooms_of_their_own(stage):
    """Profanity, Poezio, Gajim and converse.js each make a room as they do it; a guest comes, and both talk"""
    romeo, mercutio = Poezio(stage, "romeo", PACKAGES), Gajim(stage, "mercutio")
    members = [Profanity(stage, "juliet"), mercutio, Converse(stage, "benvolio", pathlib.Path(DIST)), romeo]
    witness = Witness(stage)
    await witness.program.login()

    async def one(member, name):
        async with member.running("own-room"):
            room = await member.make_room(name)
            # What it says comes back behind all that it has sent before: nothing is locked any more.
            first, answer = unique(f"{member.nick} alone"), unique("a guest answers")
            await member.say(first)
            await member.see(first)
            if member.client != "converse.js":
                mark = len(witness.program.seen)
                await member.invite(witness.jid)
                await witness.program.expect("the invitation", lambda s: is_invitation(s, room), since=mark)
            await witness.enter(room)
            await witness.see(first)
            await witness.say(answer)
            await member.see(answer)
            bubble = Bubble(room, witness, [member])
            bubble.said = [first, answer]
            await bubble.speak(member, "welcome")
            await bubble.check(member, bubble.said)
            await member.picture("own-room")
        # Profanity asks who is a member before it enters, and so before there is a room.
        complaints = [text for text in member.complaints() if not text.endswith("error: item-not-found")]
        require(not complaints, f"{member.client} logged {complaints[:3]}")

    try:
        async with mercutio.on_screen():
            for number, member in enumerate(members):
                await one(member, f"square{number}")
        return "4 rooms, made, unlocked and entered by a guest; he saw the history, and both talked"
    finally:
        romeo.program.end()


# Two desktops' worth of programs, each started twice.
everybody.seconds_max = rooms_of_their_own.seconds_max = 400


if __name__ == "__main__":
    sys.exit(run_checks("bubble", [terminals, rooms_of_their_own, everybody], only=sys.argv[3:]))
