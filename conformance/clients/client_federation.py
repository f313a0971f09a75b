#!/usr/bin/env python3
"""Iris with other servers: Prosody and ejabberd of Debian, in both directions, with slixmpp's clients on each side.

    client_federation.py FOLDER [prosody] [ejabberd] [slice] [CHECK…]

FOLDER is where the servers have their data; without a name of one, both take part. Prints one line a check, `SERVER-CHECK`; exit code 0
when all hold. Juliet lives at iris.test, Romeo at the other server's domain.
"""

import asyncio
import functools
import http.client
import os
import signal
import socket
import ssl
import sys
import urllib.parse

from slixmpp import ComponentXMPP
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from houses import World
from slix import PLUGINS, Client, Failed, befriend, iris_program, is_message, is_presence, refusal, require, run_checks, unique

MUC = "http://jabber.org/protocol/muc"
PUBSUB = "http://jabber.org/protocol/pubsub"
PUSH = "urn:xmpp:push:0"
SERVER_INFO = "urn:xmpp:serverinfo:0"
UPLOAD = "urn:xmpp:http:upload:0"
OWN_PLUGINS = [*PLUGINS, "xep_0060", "xep_0115", "xep_0163", "xep_0172"]
# Until one that was down is found again, after it is there.
RETURN_SECONDS_MAX = 60
# `peer_queue_timeout`, so that its end can be waited for.
QUEUE_SECONDS = 6


class Scene:
    """The people of one check: everybody's account is new."""

    def __init__(self, world, stage, kind):
        self.world, self.stage, self.kind = world, stage, kind
        self.accounts = set()

    def servers(self, mode="external", **changes):
        """Iris and the other one, running in this mode."""
        self.iris, self.other = self.world.arrange(mode, self.kind, **changes)
        os.environ["CA_FILE"] = str(self.world.certificates.bundle)
        return self.iris, self.other

    def client(self, person, house, **options):
        name = f"{person}-{self.stage.name}"
        if (name, house) not in self.accounts:
            house.adduser(name)
            self.accounts.add((name, house))
        options = {"wire": self.stage.wire, "place": house.place, "plugins": OWN_PLUGINS, **options}
        client = Client(f"{name}@{house.domain}", **options)
        self.stage.clients.append(client)
        return client

    async def pair(self, mode="external", **changes):
        """Juliet of Iris, and Romeo."""
        iris, other = self.servers(mode, **changes)
        juliet, romeo = self.client("juliet", iris), self.client("romeo", other)
        await juliet.login()
        await romeo.login()
        return juliet, romeo


def scene(check):
    """A check of one other server."""

    @functools.wraps(check)
    async def run(world, kind, stage):
        return await check(Scene(world, stage, kind))

    return run


async def say(one, other, text, **options):
    """A chat message that arrives; what arrived."""
    text = unique(text)
    one.send_message(other.boundjid.bare, text, mtype="chat")
    heard = await other.expect_body(text, **options)
    require(heard["from"] == one.boundjid, f"it is from {heard['from']}")
    return heard


async def both(juliet, romeo):
    await say(juliet, romeo, "art thou not Romeo")
    await say(romeo, juliet, "neither, fair maid")


async def within(what, condition, seconds=10):
    """The log of a server is behind what is seen of it."""
    for _ in range(seconds * 20):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise Failed(f"{what} is not in its log")


def is_error(stanza, sender, condition):
    return stanza["type"] == "error" and stanza["from"].bare == sender and stanza["error"]["condition"] == condition


# -- streams ---------------------------------------------------------------------------------------------------------

# What a server writes when it has shown itself with a certificate, and when it has believed one; the same with a key.
SHOWN = {
    "prosody": ("SASL EXTERNAL with iris.test succeeded",),
    "ejabberd": ("Accepted outbound s2s EXTERNAL authentication", "ejabberd.test -> iris.test"),
}
BELIEVED = {
    "prosody": ("Accepting SASL EXTERNAL identity from iris.test",),
    "ejabberd": ("Accepted inbound s2s EXTERNAL authentication", "iris.test -> ejabberd.test"),
}
KEY_SHOWN = {
    "prosody": ("Outgoing s2s connection prosody.test->iris.test complete",),
    "ejabberd": ("Accepted outbound s2s dialback authentication", "ejabberd.test -> iris.test"),
}
KEY_BELIEVED = {
    "prosody": ("Incoming s2s connection iris.test->prosody.test complete",),
    "ejabberd": ("Accepted inbound s2s dialback authentication", "iris.test -> ejabberd.test"),
}


@scene
async def external(it):
    """SASL EXTERNAL in both directions behind STARTTLS, no other proof being taken by either"""
    iris, other = it.servers()
    other.stop()
    mark = other.mark()
    juliet, romeo = await it.pair()
    await both(juliet, romeo)
    await within("its certificate", lambda: other.said(mark, *SHOWN[it.kind]))
    await within("Iris's certificate", lambda: other.said(mark, *BELIEVED[it.kind]))


@scene
async def direct_tls(it):
    """TLS from the first byte (XEP-0368), both servers found by SRV records, in both directions; SASL EXTERNAL in it"""
    iris, other = it.servers("direct")
    mark, asked = other.mark(), len(it.world.names.asked)
    juliet, romeo = await it.pair("direct")
    await say(juliet, romeo, "found by its record")
    require(it.world.names.was_asked(asked, "xmpps-server", other.domain), "nobody has asked for the record of the other server")
    await say(romeo, juliet, "found as well")
    require(it.world.names.was_asked(asked, "xmpps-server", iris.domain), "nobody has asked for the record of Iris")
    await within("its certificate", lambda: other.said(mark, *SHOWN[it.kind]))
    await within("Iris's certificate", lambda: other.said(mark, *BELIEVED[it.kind]))


@scene
async def dialback(it):
    """certificates that nobody believes: keys are verified (XEP-0220), with the first words of both at the same time; also for rooms"""
    iris, other = it.servers("dialback")
    mark = other.mark()
    juliet, romeo = await it.pair("dialback")
    await asyncio.gather(say(juliet, romeo, "at once"), say(romeo, juliet, "at once"))
    await room(it, juliet, romeo, iris)
    romeo = await it.client("romeo", other).login()
    await room(it, romeo, juliet, other)
    await within("its key", lambda: other.said(mark, *KEY_SHOWN[it.kind]))
    await within("Iris's key", lambda: other.said(mark, *KEY_BELIEVED[it.kind]))
    certified = other.said(mark, *SHOWN[it.kind]) or other.said(mark, *BELIEVED[it.kind])
    require(not certified, "a certificate that nobody believes was taken")


async def is_refused(it, mode):
    """Nothing is said to a server of this mode, nor heard of it."""
    it.servers(mode)
    juliet, romeo = it.client("juliet", it.iris), it.client("romeo", it.other)
    # He himself believes his server whatever it shows.
    romeo.ca_certs = None
    romeo.ssl_context.check_hostname, romeo.ssl_context.verify_mode = False, ssl.CERT_NONE
    await juliet.login()
    await romeo.login()
    text = unique("not for everybody")
    juliet.send_message(romeo.boundjid.bare, text, mtype="chat")
    back = await juliet.expect("the error", lambda s: is_message(s) and s["type"] == "error", seconds=30)
    why = back["error"]["condition"]
    require(why in ("remote-server-timeout", "remote-server-not-found"), f"it came back with {why}")
    other = unique("from nobody")
    romeo.send_message(juliet.boundjid.bare, other, mtype="chat")
    await romeo.expect("the error", lambda s: is_message(s) and s["type"] == "error", seconds=90)
    require(text not in romeo.bodies(), "the message went to a server that has not shown who it is")
    require(other not in juliet.bodies(), "a message of a server that has not shown who it is was taken")
    return f"comes back with {why}: {back['error']['text']}"


@scene
async def untrusted(it):
    """with certificate_required, a server whose certificate proves nothing hears and says nothing, key or not"""
    return await is_refused(it, "untrusted")


@scene
async def misnamed(it):
    """nor does one with a certificate that is good, but for another domain"""
    return await is_refused(it, "misnamed")


@scene
async def tls12(it):
    """with a server that knows no newer TLS than 1.2: SASL EXTERNAL in both directions"""
    iris, other = it.servers("tls12")
    mark = other.mark()
    juliet, romeo = await it.pair("tls12")
    await both(juliet, romeo)
    await within("its certificate", lambda: other.said(mark, *SHOWN[it.kind]))
    await within("Iris's certificate", lambda: other.said(mark, *BELIEVED[it.kind]))


@scene
async def excepted(it):
    """with whom the house does not want to speak (federation.except) it does not: both sides get back what they say"""
    iris, other = it.servers()
    juliet, romeo = await it.pair(rules=f'except = ["{other.domain}"]')
    for one, contact, conditions in (
        (juliet, romeo, {"remote-server-not-found"}),
        (romeo, juliet, {"remote-server-not-found", "remote-server-timeout", "not-allowed", "not-authorized"}),
    ):
        text = unique("do you hear me")
        one.send_message(contact.boundjid.bare, text, mtype="chat")
        back = await one.expect("the error", lambda s, c=contact: is_message(s) and s["type"] == "error", seconds=60)
        require(back["error"]["condition"] in conditions, f"it came back with {back['error']['condition']}")
        require(text not in contact.bodies(), "it was heard")


@scene
async def idle(it):
    """streams on which nothing is said are closed (peer_idle_timeout), and the next words open others; nothing is lost on the way"""
    seconds = 2
    juliet, romeo = await it.pair(idle=seconds)
    await both(juliet, romeo)
    await asyncio.sleep(seconds + 1)
    await both(juliet, romeo)
    # Words that come as the streams are being closed.
    texts = {juliet: [], romeo: []}
    for number in range(12):
        await asyncio.sleep(seconds - 0.02 + number * 0.004)
        for one, other in ((juliet, romeo), (romeo, juliet)):
            texts[one].append(unique(f"after a while {number}"))
            one.send_message(other.boundjid.bare, texts[one][-1], mtype="chat")
    for one, other in ((juliet, romeo), (romeo, juliet)):
        for text in texts[one]:
            await other.expect_body(text)


@scene
async def much(it):
    """a thousand messages in each direction at once, and one of 200 KB: all arrive, in order, unchanged"""
    juliet, romeo = await it.pair()
    texts = {one: [unique(f"line {number} " + "&<>'\"é\U0001f339" * (number % 7)) for number in range(1000)] for one in (juliet, romeo)}
    for first, second in zip(texts[juliet], texts[romeo], strict=True):
        juliet.send_message(romeo.boundjid.full, first, mtype="chat")
        romeo.send_message(juliet.boundjid.full, second, mtype="chat")
    for one, other in ((juliet, romeo), (romeo, juliet)):
        await other.expect_body(texts[one][-1], seconds=60)
        require([text for text in other.bodies() if text in set(texts[one])] == texts[one], "some are missing, or out of order")
    for one, other in ((juliet, romeo), (romeo, juliet)):
        text = unique("0123456789" * 20_000)
        one.send_message(other.boundjid.full, text, mtype="chat")
        await other.expect_body(text)


# -- people ----------------------------------------------------------------------------------------------------------


@scene
async def chat(it):
    """messages in both directions and their order, with receipts (XEP-0184), chat states and corrections; nobody at an address is said"""
    juliet, romeo = await it.pair()
    for one, other in ((juliet, romeo), (romeo, juliet)):
        message = one.make_message(other.boundjid.bare, unique("with a receipt"), mtype="chat")
        message["request_receipt"], message["chat_state"] = True, "active"
        number = message["id"]
        message.send()
        await other.expect_body(message["body"])
        await one.expect("the receipt", lambda s, n=number: is_message(s) and s["receipt"] == n)
        correction = one.make_message(other.boundjid.full, unique("corrected"), mtype="chat")
        correction["replace"]["id"] = number
        correction.send()
        heard = await other.expect_body(correction["body"])
        require(heard["replace"]["id"] == number, "the correction says not of what")
        texts = [unique(f"line {line}") for line in range(30)]
        for text in texts:
            one.send_message(other.boundjid.full, text, mtype="chat")
        await other.expect_body(texts[-1])
        require([text for text in other.bodies() if text in texts] == texts, "out of order, or some are missing")
        nobody = f"nobody@{other.boundjid.domain}"
        mark = len(one.seen)
        one.send_message(nobody, "is anybody there?", mtype="chat")
        await one.expect("the error of nobody", lambda s, n=nobody: is_error(s, n, "service-unavailable"), since=mark)


@scene
async def presence(it):
    """subscription both ways, presence seen, also by one who comes later; gone when the other is; both after Iris has restarted; cancelled"""
    juliet, romeo = await it.pair()
    await befriend(juliet, romeo)
    for name in ("juliet", "romeo"):
        one, other = (juliet, romeo) if name == "juliet" else (romeo, juliet)
        mark = len(other.seen)
        one.send_presence(pshow="dnd", pstatus="asleep")
        seen = await other.expect("the new status", lambda s, o=one: is_presence(s, o.boundjid.full) and s["status"] == "asleep", since=mark)
        require(seen["show"] == "dnd", f"it shows {seen['show']}")
        mark = len(other.seen)
        address = one.boundjid.full
        await one.logout()
        await other.expect("the end of it", lambda s, a=address: is_presence(s, a, "unavailable"), since=mark)
        again = it.client(name, it.iris if name == "juliet" else it.other, resource="tablet")
        await again.login()
        await again.expect("the presence that was there", lambda s, o=other: is_presence(s, o.boundjid.full))
        await other.expect("the presence of the tablet", lambda s, a=again: is_presence(s, a.boundjid.full), since=mark)
        juliet, romeo = (again, romeo) if name == "juliet" else (juliet, again)
    # Sent when they come back, without which nobody would be seen: probes (RFC 6121 4.3).
    await juliet.logout()
    it.iris.stop()
    it.servers()
    mark = len(romeo.seen)
    juliet = it.client("juliet", it.iris)
    await juliet.login()
    await juliet.expect("the presence, after the restart", lambda s: is_presence(s, romeo.boundjid.full))
    await romeo.expect("the presence, after the restart", lambda s: is_presence(s, juliet.boundjid.full), since=mark)
    for one, other in ((juliet, romeo), (romeo, juliet)):
        for kind in ("unsubscribe", "unsubscribed"):
            mark = len(other.seen)
            one.send_presence_subscription(pto=other.boundjid.bare, ptype=kind)
            await other.expect(kind, lambda s, o=one, k=kind: is_presence(s, o.boundjid.bare, k), since=mark)
        await other.expect("the last presence", lambda s, o=one: is_presence(s, o.boundjid.full, "unavailable"), since=mark)
        for person in (juliet, romeo):
            await person.get_roster(timeout=20)
            contact = (romeo if person is juliet else juliet).boundjid.bare
            state = person.client_roster[contact]["subscription"]
            require(state == "none", f"{person.boundjid.bare} still has {state}")
        if one is juliet:
            # ejabberd answers her `unsubscribe` with an `unsubscribed` of its own (RFC 3921 8.4), which would end the next request.
            for person, contact in ((juliet, romeo), (romeo, juliet)):
                await person.plugin["xep_0199"].send_ping(contact.boundjid.full, timeout=20)
            await befriend(juliet, romeo)


@scene
async def questions(it):
    """service discovery, ping (XEP-0199), time, version and vCards across; what is asked of nobody is refused"""
    juliet, romeo = await it.pair()
    for one, other in ((juliet, romeo), (romeo, juliet)):
        domain = other.boundjid.domain
        info = await one.plugin["xep_0030"].get_info(jid=domain, timeout=20)
        require(("server", "im") in {identity[:2] for identity in info["disco_info"]["identities"]}, f"{domain} is no server")
        items = await one.plugin["xep_0030"].get_items(jid=domain, timeout=20)
        require(any(item[0] == f"conference.{domain}" for item in items["disco_items"]["items"]), f"{domain} has no rooms")
        info = await one.plugin["xep_0030"].get_info(jid=f"conference.{domain}", timeout=20)
        require(MUC in info["disco_info"]["features"], f"conference.{domain} is no service of rooms")
        info = await one.plugin["xep_0030"].get_info(jid=other.boundjid.full, timeout=20)
        require(info["disco_info"]["features"], "a client says nothing of itself")
        await one.plugin["xep_0199"].send_ping(domain, timeout=20)
        await one.plugin["xep_0199"].send_ping(other.boundjid.full, timeout=20)
        await one.plugin["xep_0092"].get_version(domain, timeout=20)
        await one.plugin["xep_0202"].get_entity_time(domain, timeout=20)
        await one.plugin["xep_0092"].get_version(other.boundjid.full, timeout=20)
        vcard = other.plugin["xep_0054"].make_vcard()
        vcard["FN"] = f"The one of {domain}"
        await other.plugin["xep_0054"].publish_vcard(vcard=vcard)
        card = await one.plugin["xep_0054"].get_vcard(jid=other.boundjid.bare, timeout=20)
        require(card["vcard_temp"]["FN"] == f"The one of {domain}", "the vCard is another one")
        why = await refusal(one.plugin["xep_0199"].send_ping(f"{other.boundjid.bare}/nowhere", timeout=20))
        require(why == "service-unavailable", f"a ping of nobody is refused with {why}")


@scene
async def archive(it):
    """the archives of both hold what both have said (XEP-0313), also what came while Juliet was away"""
    juliet, romeo = await it.pair()
    texts = []
    for one, other in ((juliet, romeo), (romeo, juliet)):
        texts.append((await say(one, other, "to be remembered"))["body"])
    await juliet.logout()
    texts.append(unique("while she was away"))
    romeo.send_message(juliet.boundjid.bare, texts[-1], mtype="chat")
    # Asked behind it, so it is there when the answer comes.
    await romeo.plugin["xep_0199"].send_ping(it.iris.domain, timeout=20)
    juliet = await it.client("juliet", it.iris).login()
    await juliet.expect_body(texts[-1])
    for person, other in ((juliet, romeo), (romeo, juliet)):
        found = []
        async for result in person.plugin["xep_0313"].iterate(reverse=False, with_jid=other.boundjid.bare):
            found.append(result["mam_result"]["forwarded"]["stanza"]["body"])
        require([text for text in found if text in texts] == texts, f"the archive of {person.boundjid.bare} has {found}")


@scene
async def upload(it):
    """a file of Juliet's is fetched by Romeo at the address she says; he gets no place for one of his at her server"""
    juliet, romeo = await it.pair()
    data = os.urandom(70_000)

    def slot(client):
        iq = client.make_iq_get(ito=f"upload.{it.iris.domain}")
        ET.SubElement(iq.xml, f"{{{UPLOAD}}}request", filename="balcony.bin", size=str(len(data)))
        return iq.send(timeout=20)

    answer = await slot(juliet)
    put, get = (answer.xml.find(f".//{{{UPLOAD}}}{name}") for name in ("put", "get"))
    headers = {header.get("name"): header.text for header in put.findall(f"{{{UPLOAD}}}header")}
    status, _ = await asyncio.to_thread(web, it.iris, "PUT", put.get("url"), data, headers)
    require(status == 201, f"the upload is answered with {status}")
    juliet.send_message(romeo.boundjid.bare, get.get("url"), mtype="chat")
    heard = await romeo.expect_body(get.get("url"))
    status, fetched = await asyncio.to_thread(web, it.iris, "GET", heard["body"])
    require((status, fetched) == (200, data), f"{status}, {len(fetched)} bytes")
    why = await refusal(slot(romeo))
    require(why in ("not-allowed", "forbidden"), f"his wish for a place is refused with {why}")
    return f"70000 bytes; a stranger's wish is refused with {why}"


def web(house, verb, url, data=None, headers=None):
    """As a browser that knows where the house is."""
    parts = urllib.parse.urlsplit(url)
    trusted = ssl.create_default_context(cafile=os.environ["CA_FILE"])
    way = http.client.HTTPSConnection(parts.hostname, parts.port, context=trusted, timeout=30)
    way.sock = trusted.wrap_socket(socket.create_connection((house.address, parts.port), timeout=30), server_hostname=parts.hostname)
    try:
        way.request(verb, parts.path, data, headers or {})
        answer = way.getresponse()
        return answer.status, answer.read()
    finally:
        way.close()


async def publish_nick(client, nick):
    iq = client.make_iq_set()
    publish = ET.SubElement(ET.SubElement(iq.xml, f"{{{PUBSUB}}}pubsub"), f"{{{PUBSUB}}}publish", node="http://jabber.org/protocol/nick")
    item = ET.SubElement(publish, f"{{{PUBSUB}}}item", id="current")
    ET.SubElement(item, "{http://jabber.org/protocol/nick}nick").text = nick
    await iq.send(timeout=20)


def has_nick(stanza, nick):
    return is_message(stanza) and any(it.text == nick for it in stanza.xml.iter("{http://jabber.org/protocol/nick}nick"))


async def follow(one, other):
    """`one` has said what it wants to hear, and is a contact of `other`."""
    await one.plugin["xep_0030"].add_feature("http://jabber.org/protocol/nick+notify")
    await one.plugin["xep_0115"].update_caps()
    await befriend(one, other)
    one.send_presence()
    await asyncio.sleep(2)


@scene
async def news_to_iris(it):
    """what Romeo publishes (PEP, his nickname) comes to Juliet, whose client asks for it"""
    juliet, romeo = await it.pair()
    await follow(juliet, romeo)
    await publish_nick(romeo, "Montague")
    await juliet.expect("the news", lambda s: has_nick(s, "Montague"))


@scene
async def news_from_iris(it):
    """what Juliet publishes (PEP, her nickname) comes to Romeo, whose client asks for it"""
    juliet, romeo = await it.pair()
    await follow(romeo, juliet)
    await publish_nick(juliet, "Capulet")
    await romeo.expect("the news", lambda s: has_nick(s, "Capulet"))


@scene
async def items(it):
    """contacts of another server read what somebody has published (PEP) when they ask; strangers do not"""
    juliet, romeo = await it.pair()
    await publish_nick(juliet, "Capulet")
    await publish_nick(romeo, "Montague")
    node = "http://jabber.org/protocol/nick"
    for one, other in ((juliet, romeo), (romeo, juliet)):
        await refusal(one.plugin["xep_0060"].get_items(other.boundjid.bare, node, timeout=20))
    await befriend(juliet, romeo)
    for one, other, nick in ((juliet, romeo, "Montague"), (romeo, juliet, "Capulet")):
        answer = await one.plugin["xep_0060"].get_items(other.boundjid.bare, node, timeout=20)
        require(nick in [it.text for it in answer.xml.iter(f"{{{node}}}nick")], f"{answer}")


@scene
async def blocked(it):
    """whom Juliet has blocked gets back what is said to her, and sees her no more (XEP-0191)"""
    juliet, romeo = await it.pair()
    await befriend(juliet, romeo)
    mark = len(romeo.seen)
    await juliet.plugin["xep_0191"].block(romeo.boundjid.bare)
    await romeo.expect("her end", lambda s: is_presence(s, juliet.boundjid.full, "unavailable"), since=mark)
    text = unique("can you hear me")
    romeo.send_message(juliet.boundjid.bare, text, mtype="chat")
    await romeo.expect("the error", lambda s: is_error(s, juliet.boundjid.bare, "service-unavailable"), since=mark)
    await juliet.plugin["xep_0191"].unblock(romeo.boundjid.bare)
    await both(juliet, romeo)
    require(text not in juliet.bodies(), "it came through")


# -- rooms -----------------------------------------------------------------------------------------------------------


async def enter(client, room, nick):
    mark = len(client.seen)
    presence = client.make_presence(pto=f"{room}/{nick}")
    presence.xml.append(ET.Element(f"{{{MUC}}}x"))
    presence.send()
    seen = await client.expect("its entry", lambda s: s.name == "presence" and s["from"] == f"{room}/{nick}", since=mark)
    require(seen["type"] != "error", f"{nick} is not let in: {seen}")
    await client.expect("the subject", lambda s: is_message(s) and s["from"].bare == room and s.xml.find("{jabber:client}subject") is not None, since=mark)


async def accept_room(owner, address):
    """As it is; until then nobody else gets in."""
    iq = owner.make_iq_set(ito=address)
    ET.SubElement(ET.SubElement(iq.xml, f"{{{MUC}#owner}}query"), "{jabber:x:data}x", type="submit")
    await iq.send(timeout=20)


async def room(it, owner, guest, house):
    """A room of a house, with somebody of it and a guest from elsewhere: what they do there."""
    address = f"{unique('verona').replace(' ', '-')}@{house.rooms}"
    await enter(owner, address, "owner")
    await accept_room(owner, address)
    invited = len(guest.seen)
    invitation = owner.make_message(address)
    ET.SubElement(ET.SubElement(invitation.xml, f"{{{MUC}#user}}x"), f"{{{MUC}#user}}invite", to=guest.boundjid.bare)
    invitation.send()
    await guest.expect("the invitation", lambda s: is_message(s) and address in str(s) and "<invite " in str(s), since=invited)
    await enter(guest, address, "guest")
    await owner.expect("the guest", lambda s: is_presence(s, f"{address}/guest"))
    await guest.expect("the owner", lambda s: is_presence(s, f"{address}/owner"))
    said = []
    for speaker in (owner, guest, owner, guest):
        text = unique("said in the room")
        said.append(text)
        speaker.send_message(address, text, mtype="groupchat")
        for listener in (owner, guest):
            await listener.expect_body(text)
    for speaker, listener, nick in ((owner, guest, "guest"), (guest, owner, "owner")):
        text = unique("whispered")
        speaker.send_message(f"{address}/{nick}", text, mtype="chat")
        await listener.expect_body(text)
    answer = await guest.plugin["xep_0030"].get_info(jid=address, timeout=20)
    require(MUC in answer["disco_info"]["features"], "the room says nothing of itself")
    found = []
    async for result in guest.plugin["xep_0313"].iterate(jid=address, reverse=False):
        found.append(result["mam_result"]["forwarded"]["stanza"]["body"])
    require(text not in found and set(said) <= set(found), f"the archive of the room has {found}")
    # Another nickname, the way out, in again, thrown out.
    mark = len(owner.seen)
    guest.send_presence(pto=f"{address}/stranger")
    await owner.expect("the new nickname", lambda s: is_presence(s, f"{address}/stranger"), since=mark)
    gone = len(guest.seen)
    guest.send_presence(pto=f"{address}/stranger", ptype="unavailable")
    await owner.expect("the end of the guest", lambda s: is_presence(s, f"{address}/stranger", "unavailable"), since=mark)
    await guest.expect("its own end", lambda s: is_presence(s, f"{address}/stranger", "unavailable"), since=gone)
    text = unique("said while the guest was out")
    owner.send_message(address, text, mtype="groupchat")
    await owner.expect_body(text)
    await enter(guest, address, "guest")
    await guest.expect_body(text)
    gone = len(guest.seen)
    kick = owner.make_iq_set(ito=address)
    query = ET.SubElement(kick.xml, f"{{{MUC}#admin}}query")
    ET.SubElement(query, f"{{{MUC}#admin}}item", nick="guest", role="none")
    await kick.send(timeout=20)
    last = await guest.expect("the end", lambda s: is_presence(s, f"{address}/guest", "unavailable"), since=gone)
    codes = {status.get("code") for status in last.xml.iter(f"{{{MUC}#user}}status")}
    require("307" in codes, f"thrown out with {codes}")
    # Whose connection breaks is gone from the room.
    await enter(guest, address, "guest")
    mark = len(owner.seen)
    await guest.logout()
    await owner.expect("the end of who is offline", lambda s: is_presence(s, f"{address}/guest", "unavailable"), since=mark)


@scene
async def room_here(it):
    """Romeo in a room of Iris: invited, both talk, whisper, another nickname, out and in with history, thrown out, gone when offline"""
    juliet, romeo = await it.pair()
    await room(it, juliet, romeo, it.iris)


@scene
async def room_there(it):
    """Juliet in a room of the other server: the same"""
    juliet, romeo = await it.pair()
    await room(it, romeo, juliet, it.other)


@scene
async def ghost(it):
    """whose server has crashed leaves a room of Iris as soon as that cannot be reached for too long"""
    juliet, romeo = await it.pair(queue=QUEUE_SECONDS)
    address = f"{unique('crypt').replace(' ', '-')}@{it.iris.rooms}"
    await enter(juliet, address, "juliet")
    await accept_room(juliet, address)
    await enter(romeo, address, "romeo")
    await juliet.expect("the guest", lambda s: is_presence(s, f"{address}/romeo"))
    mark = len(juliet.seen)
    it.other.stop(signal.SIGKILL)
    try:
        juliet.send_message(address, unique("is anybody there"), mtype="groupchat")
        await juliet.expect("the end of the ghost", lambda s: is_presence(s, f"{address}/romeo", "unavailable"), since=mark, seconds=60)
    finally:
        it.servers(queue=QUEUE_SECONDS)


@scene
async def stops(it):
    """an ordinary stop of Iris takes its people out of the rooms of the other and shows them offline; so does one of Prosody"""
    juliet, romeo = await it.pair()
    await befriend(juliet, romeo)
    rooms = []
    for owner, guest, house in ((juliet, romeo, it.iris), (romeo, juliet, it.other)):
        address = f"{unique('hall').replace(' ', '-')}@{house.rooms}"
        await enter(owner, address, "owner")
        await accept_room(owner, address)
        await enter(guest, address, "guest")
        await owner.expect("the guest", lambda s, a=address: is_presence(s, f"{a}/guest"))
        rooms.append(address)
    mark = len(juliet.seen)
    gone = romeo.boundjid.full
    it.other.stop()
    # ejabberd 23.01 ends without a word about its people.
    if it.kind == "prosody":
        await juliet.expect("the end of the other one", lambda s: is_presence(s, gone, "unavailable"), since=mark)
        await juliet.expect("the end of the guest", lambda s: is_presence(s, f"{rooms[0]}/guest", "unavailable"), since=mark)
    it.servers()
    romeo = await it.client("romeo", it.other, resource="later").login()
    await romeo.expect("her presence", lambda s: is_presence(s, juliet.boundjid.full), seconds=40)
    await enter(romeo, rooms[1], "owner")
    await enter(juliet, rooms[1], "guest")
    await romeo.expect("the guest", lambda s: is_presence(s, f"{rooms[1]}/guest"))
    mark = len(romeo.seen)
    gone = juliet.boundjid.full
    it.iris.stop()
    try:
        await romeo.expect("her end", lambda s: is_presence(s, gone, "unavailable"), since=mark)
        await romeo.expect("the end of the guest", lambda s: is_presence(s, f"{rooms[1]}/guest", "unavailable"), since=mark)
    finally:
        it.servers()


@scene
async def channel(it):
    """Romeo follows a channel of Iris: found, subscribed, told of what is published, read, left"""
    juliet, romeo = await it.pair()
    service, node = f"pubsub.{it.iris.domain}", unique("news").replace(" ", "-")
    form = juliet.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value=f"{PUBSUB}#node_config")
    form.add_field(var="pubsub#access_model", value="open")
    await juliet.plugin["xep_0060"].create_node(service, node, config=form, timeout=20)
    found = await romeo.plugin["xep_0030"].get_items(jid=service, timeout=20)
    require(node in [item[1] for item in found["disco_items"]["items"]], "the channel is not found")
    await romeo.plugin["xep_0060"].subscribe(service, node, timeout=20)

    async def publish(text):
        payload = ET.Element("{http://www.w3.org/2005/Atom}entry")
        ET.SubElement(payload, "{http://www.w3.org/2005/Atom}title").text = text
        await juliet.plugin["xep_0060"].publish(service, node, payload=payload, timeout=20)

    text = unique("a feud")
    await publish(text)
    await romeo.expect("the news", lambda s: is_message(s) and s["from"] == service and text in str(s))
    answer = await romeo.plugin["xep_0060"].get_items(service, node, timeout=20)
    require(text in str(answer), "what was published cannot be read")
    await romeo.plugin["xep_0060"].unsubscribe(service, node, timeout=20)
    mark = len(romeo.seen)
    await publish(unique("another feud"))
    await romeo.plugin["xep_0199"].send_ping(service, timeout=20)
    require(not [s for s in romeo.seen[mark:] if is_message(s)], "told although he follows no more")


@scene
async def server_info(it):
    """Iris says with whom it is connected, and names only who says that this may be said (XEP-0485)"""
    # What it has said is said again after 5 minutes at the earliest: a start for each.
    juliet, romeo = await it.pair(rules=f"[xep.server_info]\npublish = true # {it.kind}")
    await both(juliet, romeo)
    service = f"pubsub.{it.iris.domain}"
    mark = len(romeo.seen)
    await romeo.plugin["xep_0060"].subscribe(service, "serverinfo", timeout=20)

    def is_news(stanza):
        return is_message(stanza) and stanza["from"] == service and "remote-domain" in str(stanza)

    # It looks every 10 s.
    news = await romeo.expect("with whom Iris is connected", is_news, since=mark, seconds=60)
    told = [(remote.get("name"), sorted(way.get("type") for way in remote)) for remote in news.xml.iter(f"{{{SERVER_INFO}}}remote-domain")]
    # The other servers run as well, and may be connected.
    name = it.other.domain if it.kind == "prosody" else None
    require((name, ["incoming", "outgoing"]) in told, f"connections: {told}")
    require({it for it, _ in told} <= {"prosody.test", None}, f"somebody is named who has not said so: {told}")
    return f"{name or 'without a name'}: incoming, outgoing"


# -- apps ------------------------------------------------------------------------------------------------------------


class App(ComponentXMPP):
    """The server of an app (XEP-0357), at another server: it keeps what it is told."""

    def __init__(self, house):
        super().__init__(f"app.{house.domain}", "conformance", house.address, 5347)
        self.told = asyncio.Queue()
        self.register_handler(Callback("push", MatchXPath(f"{{jabber:component:accept}}iq/{{{PUBSUB}}}pubsub"), self.tell))

    def tell(self, iq):
        self.told.put_nowait(iq)
        iq.reply().send()


@scene
async def push(it):
    """the server of Juliet's app, a component of the other server, hears of a message that comes while she is offline (XEP-0357)"""
    juliet, romeo = await it.pair()
    app = App(it.other)
    started = asyncio.ensure_future(app.wait_until("session_start", timeout=20))
    app.connect()
    try:
        await started
        iq = juliet.make_iq_set()
        ET.SubElement(iq.xml, f"{{{PUSH}}}enable", jid=f"app.{it.other.domain}", node="juliet's phone")
        await iq.send(timeout=20)
        await juliet.logout()
        text = unique("wake up")
        romeo.send_message(juliet.boundjid.bare, text, mtype="chat")
        try:
            told = await asyncio.wait_for(app.told.get(), 20)
        except TimeoutError:
            raise Failed("the app's server has heard nothing within 20 s") from None
        require(told["from"].bare in (juliet.boundjid.bare, it.iris.domain), f"it is from {told['from']}")
        publish = told.xml.find(f".//{{{PUBSUB}}}publish")
        require(publish is not None and publish.get("node") == "juliet's phone", f"no news of that device: {told}")
        require(text in str(told), f"not what was said: {told}")
        juliet = await it.client("juliet", it.iris).login()
        await juliet.expect_body(text)
        return f"from {told['from']}"
    finally:
        await app.disconnect(wait=2)


# -- nobody there ----------------------------------------------------------------------------------------------------


@scene
async def unknown(it):
    """what is for a domain that does not exist, or for a server that refuses, comes back"""
    juliet = it.client("juliet", it.servers()[0])
    await juliet.login()
    said = []
    # One that nobody has, and one that the other server does not serve although it is asked.
    for address in ("romeo@no-such-domain.test", f"romeo@upload.{it.other.domain}"):
        juliet.send_message(address, "anybody?", mtype="chat")
        back = await juliet.expect("the error", lambda s, a=address: is_message(s) and s["type"] == "error" and s["from"] == a, seconds=40)
        condition = back["error"]["condition"]
        require(condition in ("remote-server-not-found", "remote-server-timeout"), f"{address}: {condition}")
        said.append(f"{condition}: {back['error']['text']}")
        why = await refusal(juliet.plugin["xep_0199"].send_ping(address.split("@")[1], timeout=40))
        require(why == condition, f"{address}: {condition}, {why}")
    # And the other way: Iris has no such service.
    romeo = await it.client("romeo", it.other).login()
    why = await refusal(romeo.plugin["xep_0199"].send_ping(f"app.{it.iris.domain}", timeout=40))
    require(why in ("remote-server-not-found", "remote-server-timeout", "item-not-found"), f"his server says {why}")
    return "; ".join(said)


@scene
async def returns(it):
    """what is said while the other server is down, and Iris restarts, arrives when that is back"""
    juliet, romeo = await it.pair()
    await both(juliet, romeo)
    await romeo.logout()
    it.other.stop()
    texts = [unique(f"while it is down {number}") for number in range(3)]
    for text in texts[:2]:
        juliet.send_message(romeo.boundjid.bare, text, mtype="chat")
    await juliet.fence()
    await juliet.logout()
    it.iris.stop()
    it.iris.start("external")
    juliet = await it.client("juliet", it.iris).login()
    juliet.send_message(romeo.boundjid.bare, texts[2], mtype="chat")
    await juliet.fence()
    it.servers()
    began = asyncio.get_running_loop().time()
    romeo = it.client("romeo", it.other)
    await romeo.login()
    await romeo.expect_body(texts[-1], seconds=RETURN_SECONDS_MAX)
    seconds = asyncio.get_running_loop().time() - began
    await romeo.fence()
    heard = [text for text in romeo.bodies() if text in texts]
    require(heard == texts, f"heard: {heard}")
    require(not [s for s in juliet.seen if s["type"] == "error" and is_message(s)], "it came back as well")
    # And the other way: that server keeps what is for Iris, or says that it cannot.
    await say(romeo, juliet, "here I am", seconds=RETURN_SECONDS_MAX)
    return f"after {seconds:.1f} s"


returns.seconds_max = 240


@scene
async def crashes(it):
    """of five hundred messages none is missing although the other server is killed amidst them: what it has not acknowledged is said again"""
    juliet, romeo = await it.pair()
    await both(juliet, romeo)
    texts = [unique(f"line {number}") for number in range(500)]
    for number, text in enumerate(texts):
        juliet.send_message(romeo.boundjid.bare, text, mtype="chat")
        if number % 10 == 9:
            await asyncio.sleep(0.005)
        if number == 200:
            it.other.stop(signal.SIGKILL)
    it.servers()
    again = await it.client("romeo", it.other).login()

    async def heard():
        """Before, after, or kept."""
        kept = []
        pages = {"reverse": False, "rsm": {"max": "200"}}
        async for result in again.plugin["xep_0313"].iterate(with_jid=juliet.boundjid.bare, **pages):
            kept.append(result["mam_result"]["forwarded"]["stanza"]["body"])
        return {*romeo.bodies(), *again.bodies(), *kept}

    for _ in range(RETURN_SECONDS_MAX):
        there = await heard()
        missing = [text for text in texts if text not in there]
        if not missing:
            break
        await asyncio.sleep(1)
    require(not missing, f"{len(missing)} are missing, from {missing[:1]}")
    require(not [s for s in juliet.seen if is_message(s) and s["type"] == "error"], "some came back")
    lines = [*romeo.bodies(), *again.bodies()]
    return f"{sum(lines.count(text) > 1 for text in texts)} were heard twice"


# ejabberd acknowledges nothing between servers, and its database forgets what it was told last.
crashes.kinds = ("prosody",)


@scene
async def gives_up(it):
    """what waits for a server that stays down comes back when its time is over (peer_queue_timeout)"""
    juliet, romeo = await it.pair(queue=QUEUE_SECONDS)
    await both(juliet, romeo)
    await romeo.logout()
    it.other.stop()
    try:
        text = unique("nobody hears")
        began = asyncio.get_running_loop().time()
        mark = len(juliet.seen)
        juliet.send_message(romeo.boundjid.bare, text, mtype="chat")
        back = await juliet.expect("the error", lambda s: is_error(s, romeo.boundjid.bare, "remote-server-timeout"), since=mark, seconds=40)
        seconds = asyncio.get_running_loop().time() - began
        require(back["error"]["type"] == "wait", f"its type is {back['error']['type']}")
        require(seconds >= QUEUE_SECONDS - 1, f"it came back after {seconds:.1f} s already")
        return f"after {seconds:.1f} s: {back['error']['text']}"
    finally:
        it.servers(queue=QUEUE_SECONDS)


# By mode, so that servers are seldom started anew.
CHECKS = [
    external, chat, much, presence, questions, archive, upload, blocked, room_here, room_there, channel, items, news_to_iris,
    news_from_iris, push, unknown, stops, returns, crashes, gives_up, ghost, idle, server_info, excepted, direct_tls, tls12, dialback, untrusted, misnamed,
]  # fmt: skip
SLICE = [external, chat, room_here, room_there]


async def company(world, stage):
    """people of three servers in one room of Iris: everybody sees everybody, hears everything once and in the same order"""
    world.arrange("external", "prosody", "ejabberd")
    os.environ["CA_FILE"] = str(world.certificates.bundle)
    host = Scene(world, stage, "prosody")
    host.servers()
    people = [host.client(name, world.houses[kind]) for name, kind in (("juliet", "iris"), ("romeo", "prosody"), ("rosaline", "ejabberd"))]
    address = f"{unique('ball').replace(' ', '-')}@{world.houses['iris'].rooms}"
    for person in people:
        await person.login()
    for person in people:
        await enter(person, address, person.boundjid.user.split("-")[0])
        if person is people[0]:
            await accept_room(person, address)
    texts = []
    for number in range(10):
        for person in people:
            texts.append(unique(f"line {number}"))
            person.send_message(address, texts[-1], mtype="groupchat")
    heard = []
    for person in people:
        for text in texts:
            await person.expect_body(text)
        heard.append([text for text in person.bodies() if text in texts])
    require(all(len(it) == len(texts) for it in heard), "something was heard twice")
    require(heard[0] == heard[1] == heard[2], "not everybody has heard the same order")


def named(world, kind, check):
    async def run(stage):
        return await check(world, kind, stage)

    run.__name__, run.__doc__ = f"{kind}_{check.__name__}", check.__doc__
    if hasattr(check, "seconds_max"):
        run.seconds_max = check.seconds_max
    return run


def main(folder, *words):
    kinds = [word for word in words if word in ("prosody", "ejabberd")] or ["prosody", "ejabberd"]
    only = [word for word in words if word not in ("prosody", "ejabberd", "slice")]
    world = World(folder, iris_program(), kinds)
    checks = []
    for check in SLICE if "slice" in words else CHECKS:
        checks += [named(world, kind, check) for kind in kinds if kind in getattr(check, "kinds", kinds)]
    if len(kinds) == 2 and "slice" not in words:
        run = functools.partial(company, world)
        run.__name__, run.__doc__ = "company", company.__doc__
        checks.insert(2 * CHECKS.index(stops), run)
    try:
        return run_checks("federation", checks, only)
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
