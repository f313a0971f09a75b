#!/usr/bin/env python3
"""slixmpp against the server: conversations of two people, with every extension a first-class client relies on.

    client_slixmpp.py [CHECK…]

Prints one line a check; exit code 0 when all hold. The wire of each check is kept in OUT/slixmpp/CHECK.log.
"""

import asyncio
import os
import ssl
import sys

from slixmpp import JID, ComponentXMPP
from slixmpp.xmlstream import ET

import slix
from slix import DOMAIN, HOST, Failed, WAIT_SECONDS, befriend, is_message, is_presence, refusal, require, run_checks, unique
from slixmpp_channels import CHECKS as CHANNEL_CHECKS
from slixmpp_messages import CHECKS as MESSAGE_CHECKS

SERVER_FEATURES = {
    "http://jabber.org/protocol/disco#info": "0030",
    "http://jabber.org/protocol/disco#items": "0030",
    "urn:xmpp:carbons:2": "0280",
    "urn:xmpp:blocking": "0191",
    "urn:xmpp:ping": "0199",
    "urn:xmpp:time": "0202",
    "jabber:iq:version": "0092",
    "jabber:iq:last": "0012",
    "jabber:iq:private": "0049",
    "vcard-temp": "0054",
}
ACCOUNT_FEATURES = {"urn:xmpp:mam:2": "0313", "urn:xmpp:sid:0": "0359"}


# -- getting in ------------------------------------------------------------------------------------------------------


async def login_starttls(stage):
    """STARTTLS, SCRAM, bind"""
    romeo = await stage.client("romeo").login()
    require(isinstance(romeo.socket, ssl.SSLObject), "the stream is not encrypted")
    mechanism = romeo.plugin["feature_mechanisms"].mech.name
    offered = romeo.plugin["feature_mechanisms"].mech_list
    require(mechanism.startswith("SCRAM-"), f"the client was led to {mechanism}; offered: {sorted(offered)}")
    return f"STARTTLS {romeo.socket.version()}, {mechanism} of {' '.join(sorted(offered))}, bound {romeo.boundjid.resource}"


async def login_direct_tls(stage):
    """direct TLS (XEP-0368), SCRAM, bind"""
    romeo = await stage.client("romeo", direct_tls=True).login()
    mechanism = romeo.plugin["feature_mechanisms"].mech.name
    require(mechanism.startswith("SCRAM-"), f"the client was led to {mechanism}")
    return f"direct {romeo.socket.version()} (XEP-0368), {mechanism}"


async def login_channel_binding(stage):
    """SCRAM with channel binding, when the server has a type that Python's ssl can compute"""
    romeo = stage.client("romeo")
    romeo.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
    types = set()
    original = romeo.data_received

    def look(data):
        for kind in (b"tls-unique", b"tls-exporter", b"tls-server-end-point"):
            if kind in data:
                types.add(kind.decode())
        return original(data)

    romeo.data_received = look
    await romeo.login()
    mechanism = romeo.plugin["feature_mechanisms"].mech.name
    offered = [name for name in romeo.plugin["feature_mechanisms"].mech_list if name.endswith("-PLUS")]
    require(offered, "no SCRAM-*-PLUS mechanism is offered over TLS 1.2")
    if not mechanism.endswith("-PLUS"):
        require(types and "tls-unique" not in types, f"-PLUS is offered with tls-unique, but the client ended with {mechanism}")
        return f"{mechanism}: Python's ssl has none of the announced types {sorted(types)}"
    return f"{mechanism} with tls-unique over {romeo.socket.version()}"


async def wrong_password_is_refused(stage):
    """a wrong password and an unknown account get the same not-authorized"""
    stage.client("romeo")
    conditions = []
    for jid in (f"romeo-{stage.name}@{DOMAIN}", f"nobody-{stage.name}@{DOMAIN}"):
        intruder = slix.Client(jid, "wrong", wire=stage.wire)
        stage.clients.append(intruder)
        intruder.add_event_handler("failed_auth", lambda failure: conditions.append(failure["condition"]))
        # The client tries one mechanism after the other; the server may close the stream before it has tried all.
        ends = [
            asyncio.ensure_future(intruder.wait_until(event, timeout=WAIT_SECONDS))
            for event in ("failed_all_auth", "disconnected")
        ]
        before = len(conditions)
        intruder.connect(slix.HOST, int(slix.os.environ["C2S_PORT"]))
        _, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        require(len(conditions) > before, f"{jid} was not told why it cannot log in")
    require(set(conditions) == {"not-authorized"}, f"the conditions were {conditions}")


async def same_resource_twice(stage):
    """a second login with the same resource leaves exactly one session of that name (RFC 6120 7.7.2.2)"""
    first = await stage.client("romeo", without=["xep_0198"]).login()
    second = await stage.client("romeo", without=["xep_0198"]).login()
    if second.boundjid.full == first.boundjid.full:
        await second.fence()
        for _ in range(50):
            if not first.is_connected():
                return "the older session is ended"
            await asyncio.sleep(0.1)
        raise Failed("two sessions are bound to the same full JID")
    return f"the newer session got another resource ({second.boundjid.resource})"


# -- discovery and the small services --------------------------------------------------------------------------------


async def disco(stage):
    """every feature the client relies on is advertised"""
    romeo = await stage.client("romeo").login()
    server = (await romeo.plugin["xep_0030"].get_info(DOMAIN))["disco_info"]
    account = (await romeo.plugin["xep_0030"].get_info(romeo.boundjid.bare))["disco_info"]
    missing = [f"{ns} (XEP-{xep}) at the server" for ns, xep in SERVER_FEATURES.items() if ns not in server["features"]]
    missing += [f"{ns} (XEP-{xep}) at the account" for ns, xep in ACCOUNT_FEATURES.items() if ns not in account["features"]]
    require(not missing, "not advertised: " + ", ".join(missing))
    require(("server", "im") in {i[:2] for i in server["identities"]}, f"server identities: {server['identities']}")
    require(("account", "registered") in {i[:2] for i in account["identities"]}, f"account identities: {account['identities']}")
    await romeo.plugin["xep_0030"].get_items(DOMAIN)
    return f"{len(server['features'])} features at the server, {len(account['features'])} at the account"


async def small_services(stage):
    """ping, version, time and last activity of the server answer; of a contact they pass through"""
    romeo, juliet = await stage.pair()
    await befriend(romeo, juliet)
    await romeo.plugin["xep_0199"].send_ping(DOMAIN)
    await romeo.plugin["xep_0199"].send_ping(romeo.boundjid.bare)
    version = (await romeo.plugin["xep_0092"].get_version(DOMAIN))["software_version"]
    require(version["name"] and version["version"], "the server's version answer has no name or version")
    # Read from the XML: slixmpp 1.17 cannot parse the trailing Z of its own field.
    utc = (await romeo.plugin["xep_0202"].get_entity_time(JID(DOMAIN))).xml.findtext("{urn:xmpp:time}time/{urn:xmpp:time}utc")
    require(utc and utc.endswith("Z"), f"the server's time answer has utc {utc!r}")
    uptime = (await romeo.plugin["xep_0012"].get_last_activity(JID(DOMAIN)))["last_activity"]["seconds"]
    require(uptime is not None and int(uptime) >= 0, "the server's uptime is missing")
    await romeo.plugin["xep_0199"].send_ping(juliet.boundjid.full)
    name = (await romeo.plugin["xep_0092"].get_version(juliet.boundjid.full))["software_version"]["name"]
    require(name == "Slixmpp", f"the contact's own answer did not pass through: {name!r}")
    await juliet.logout()
    last = (await romeo.plugin["xep_0012"].get_last_activity(JID(juliet.boundjid.bare)))["last_activity"]["seconds"]
    require(0 <= int(last) < 60, f"an offline contact was last seen {last} s ago")
    return f"ping, version ({version['name']} {version['version']}), time, last (server, contact online, contact offline)"


async def refusals(stage):
    """unknown requests, strangers and unknown people are refused as RFC 6120 8.3.3 and RFC 6121 8.5 say"""
    romeo, juliet = await stage.pair()
    unknown = romeo.make_iq_get(ito=DOMAIN)
    unknown.append(ET.Element("{urn:example:unknown}query"))
    condition = await refusal(unknown.send(timeout=WAIT_SECONDS))
    require(condition in ("service-unavailable", "feature-not-implemented"), f"unknown iq: {condition}")
    condition = await refusal(romeo.plugin["xep_0092"].get_version(f"nobody-at-all@{DOMAIN}", timeout=WAIT_SECONDS))
    require(condition == "service-unavailable", f"iq to nobody: {condition}")
    condition = await refusal(
        romeo.plugin["xep_0092"].get_version(f"{juliet.boundjid.bare}/no-such-resource", timeout=WAIT_SECONDS)
    )
    require(condition == "service-unavailable", f"iq to an unknown resource: {condition}")
    mark = len(romeo.seen)
    romeo.send_message(mto=f"nobody-at-all@{DOMAIN}", mbody="anyone?", mtype="chat")
    bounce = await romeo.expect("the error for an unknown person", lambda s: is_message(s) and s["type"] == "error", since=mark)
    require(bounce["error"]["condition"] == "service-unavailable", f"message to nobody: {bounce['error']['condition']}")
    condition = await refusal(romeo.plugin["xep_0012"].get_last_activity(JID(juliet.boundjid.bare), timeout=WAIT_SECONDS))
    require(
        condition in ("forbidden", "service-unavailable", "subscription-required", "not-authorized"),
        f"a stranger's last activity: {condition}",
    )


async def vcard(stage):
    """own vCard is kept, others may read it, nobody may write another's (XEP-0054)"""
    romeo, juliet = await stage.pair()
    card = romeo.plugin["xep_0054"].make_vcard()
    card["FN"] = "Romeo Montague"
    card["NICKNAME"] = "Romeo"
    await romeo.plugin["xep_0054"].publish_vcard(card)
    for reader, target in ((romeo, None), (juliet, romeo.boundjid.bare)):
        answer = (await reader.plugin["xep_0054"].get_vcard(target and JID(target), cached=False))["vcard_temp"]
        require(answer["FN"] == "Romeo Montague", f"{reader.boundjid.bare} reads FN {answer['FN']!r}")
    forged = juliet.make_iq_set(ito=romeo.boundjid.bare)
    forged.append(juliet.plugin["xep_0054"].make_vcard())
    await refusal(forged.send(timeout=WAIT_SECONDS))


async def private_xml(stage):
    """private XML is kept per namespace and is private (XEP-0049)"""
    romeo, juliet = await stage.pair()
    for namespace, text in (("urn:example:notes", "buy poison"), ("urn:example:other", "second")):
        write = romeo.make_iq_set()
        query = ET.SubElement(write.xml, "{jabber:iq:private}query")
        ET.SubElement(query, f"{{{namespace}}}notes").text = text
        await write.send(timeout=WAIT_SECONDS)

    def read(client, target=None):
        ask = client.make_iq_get(ito=target)
        ET.SubElement(ET.SubElement(ask.xml, "{jabber:iq:private}query"), "{urn:example:notes}notes")
        return ask.send(timeout=WAIT_SECONDS)

    answer = await read(romeo)
    note = answer.xml.find("{jabber:iq:private}query/{urn:example:notes}notes")
    require(note is not None and note.text == "buy poison", f"read back: {answer}")
    await refusal(read(juliet, romeo.boundjid.bare))


# -- contacts and presence -------------------------------------------------------------------------------------------


async def roster(stage):
    """subscription both ways, pushes to every resource, presence seen, cancelled, removed"""
    romeo, juliet = await stage.pair()
    tablet = await stage.client("romeo", resource="tablet").login()
    mark, tablet_mark = len(romeo.seen), len(tablet.seen)
    await romeo.update_roster(juliet.boundjid.bare, name="Juliet", groups=["Capulet"])
    for device, since in ((romeo, mark), (tablet, tablet_mark)):
        await device.expect("the roster push", lambda s: pushed(s, juliet, subscription="none", name="Juliet"), since=since)
    await befriend(romeo, juliet)
    await tablet.expect(
        "the push of the mutual subscription", lambda s: pushed(s, juliet, subscription="both"), since=tablet_mark
    )
    await tablet.expect("the contact's presence", lambda s: is_presence(s, juliet.boundjid.full), since=tablet_mark)
    mark = len(juliet.seen)
    romeo.send_presence(pshow="dnd", pstatus="duelling")
    seen = await juliet.expect(
        "the changed presence", lambda s: is_presence(s, romeo.boundjid.full) and s["show"] == "dnd", since=mark
    )
    require(seen["status"] == "duelling", f"status {seen['status']!r}")
    mark = len(juliet.seen)
    await tablet.logout()
    await juliet.expect("unavailable of the tablet", lambda s: is_presence(s, tablet.boundjid.full, "unavailable"), since=mark)
    fresh = await stage.client("romeo", resource="desk").login(available=False)
    items = (await fresh.get_roster(timeout=WAIT_SECONDS))["roster"]["items"]
    entry = items.get(JID(juliet.boundjid.bare))
    require(
        entry and entry["subscription"] == "both" and entry["name"] == "Juliet" and list(entry["groups"]) == ["Capulet"],
        f"the roster has {items}",
    )
    mark, other = len(romeo.seen), len(juliet.seen)
    await romeo.del_roster_item(juliet.boundjid.bare)
    await romeo.expect("the push of the removal", lambda s: pushed(s, juliet, subscription="remove"), since=mark)
    await juliet.expect(
        "unavailable after the removal", lambda s: is_presence(s, romeo.boundjid.full, "unavailable"), since=other
    )
    await juliet.expect("the cancelled subscription", lambda s: is_presence(s, romeo.boundjid.bare, "unsubscribed"), since=other)
    await juliet.expect("the push of the end", lambda s: pushed(s, romeo, subscription="none"), since=other)


def pushed(stanza, contact, *, subscription, name=None):
    """True for a roster push (RFC 6121 2.1.6) that sets `contact` to `subscription`."""
    if stanza.name != "iq" or stanza["type"] != "set":
        return False
    for item in stanza.xml.iterfind("{jabber:iq:roster}query/{jabber:iq:roster}item"):
        if item.get("jid") == contact.boundjid.bare and item.get("subscription") == subscription:
            return name is None or item.get("name") == name
    return False


async def roster_version(stage):
    """a known roster version is answered without the roster, an old one with what changed (RFC 6121 2.6)"""
    romeo = await stage.client("romeo").login()
    require("rosterver" in romeo.features, "roster versioning is not offered")
    await romeo.update_roster(f"mercutio@{DOMAIN}", name="Mercutio")

    async def ask(version):
        request = romeo.make_iq_get()
        ET.SubElement(request.xml, "{jabber:iq:roster}query", {"ver": version})
        return await request.send(timeout=WAIT_SECONDS)

    full = (await ask("")).xml.find("{jabber:iq:roster}query")
    require(full is not None and full.get("ver") and len(full) == 1, "the roster has no version")
    mark = len(romeo.seen)
    same = (await ask(full.get("ver"))).xml.find("{jabber:iq:roster}query")
    await romeo.fence()
    pushes = [s for s in romeo.seen[mark:] if s.name == "iq" and s["type"] == "set"]
    require(same is None and not pushes, "an unchanged roster was sent again")
    await romeo.update_roster(f"benvolio@{DOMAIN}", name="Benvolio")
    mark = len(romeo.seen)
    changed = (await ask(full.get("ver"))).xml.find("{jabber:iq:roster}query")
    await romeo.fence()
    items = [i.get("jid") for s in romeo.seen[mark:] for i in s.xml.iterfind("{jabber:iq:roster}query/{jabber:iq:roster}item")]
    require(f"benvolio@{DOMAIN}" in items, f"the change did not come: {items}")
    return "unchanged: empty result; changed: " + ("the whole roster" if changed is not None else "pushes")


async def subscription_while_offline(stage):
    """a request to somebody offline is shown at the next login (RFC 6121 3.1.3) and presence is probed at login"""
    romeo = await stage.client("romeo").login()
    juliet = stage.client("juliet")
    romeo.send_presence_subscription(pto=juliet.boundjid.bare, ptype="subscribe")
    await romeo.fence()
    await juliet.login()
    await juliet.expect("the request made while offline", lambda s: is_presence(s, romeo.boundjid.bare, "subscribe"))
    juliet.send_presence_subscription(pto=romeo.boundjid.bare, ptype="subscribed")
    await romeo.expect("the approval", lambda s: is_presence(s, juliet.boundjid.bare, "subscribed"))
    await romeo.expect("the contact's presence", lambda s: is_presence(s, juliet.boundjid.full))
    juliet.send_presence_subscription(pto=romeo.boundjid.bare, ptype="subscribe")
    await romeo.expect("the request back", lambda s: is_presence(s, juliet.boundjid.bare, "subscribe"))
    romeo.send_presence_subscription(pto=juliet.boundjid.bare, ptype="subscribed")
    await juliet.expect("the contact's presence", lambda s: is_presence(s, romeo.boundjid.full))
    tablet = await stage.client("juliet", resource="tablet").login()
    await tablet.expect("the contact's presence after login", lambda s: is_presence(s, romeo.boundjid.full))


async def blocking(stage):
    """blocked: nothing passes either way and the sender is told; unblocked: everything passes (XEP-0191)"""
    romeo, juliet = await stage.pair()
    tablet = await stage.client("juliet", resource="tablet").login()
    await befriend(romeo, juliet)
    await tablet.plugin["xep_0191"].get_blocked(timeout=WAIT_SECONDS)
    await juliet.plugin["xep_0191"].get_blocked(timeout=WAIT_SECONDS)
    mark, push = len(romeo.seen), len(tablet.seen)
    await juliet.plugin["xep_0191"].block(JID(romeo.boundjid.bare), timeout=WAIT_SECONDS)
    await tablet.expect(
        "the block push",
        lambda s: s.name == "iq" and s["type"] == "set" and s.xml.find("{urn:xmpp:blocking}block") is not None,
        since=push,
    )
    await romeo.expect("unavailable when blocked", lambda s: is_presence(s, juliet.boundjid.full, "unavailable"), since=mark)
    secret = unique("can you hear me")
    mark = len(romeo.seen)
    romeo.send_message(mto=juliet.boundjid.bare, mbody=secret, mtype="chat")
    bounce = await romeo.expect("the error of a blocked message", lambda s: is_message(s) and s["type"] == "error", since=mark)
    require(bounce["error"]["condition"] == "service-unavailable", f"blocked message: {bounce['error']['condition']}")
    mark = len(juliet.seen)
    juliet.send_message(mto=romeo.boundjid.bare, mbody="to a blocked one", mtype="chat")
    bounce = await juliet.expect("the error of the own message", lambda s: is_message(s) and s["type"] == "error", since=mark)
    require(bounce["error"]["condition"] == "not-acceptable", f"message to a blocked one: {bounce['error']['condition']}")
    listed = await juliet.plugin["xep_0191"].get_blocked_jids(timeout=WAIT_SECONDS)
    require(listed == {JID(romeo.boundjid.bare)}, f"the block list is {listed}")
    mark = len(romeo.seen)
    await juliet.plugin["xep_0191"].unblock(JID(romeo.boundjid.bare), timeout=WAIT_SECONDS)
    await romeo.expect("presence when unblocked", lambda s: is_presence(s, juliet.boundjid.full), since=mark)
    after = unique("and now")
    romeo.send_message(mto=juliet.boundjid.bare, mbody=after, mtype="chat")
    await juliet.expect_body(after)
    require(secret not in juliet.bodies() + tablet.bodies(), "a blocked message was delivered")


# -- bots ------------------------------------------------------------------------------------------------------------


class Bot(ComponentXMPP):
    """A component (XEP-0114) that agrees to everybody and says everything back."""

    def __init__(self):
        super().__init__("bot.localhost", "conformance", HOST, int(os.environ["COMPONENT_PORT"]))
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0092", {"software_name": "Echo", "version": "1"})
        self.auto_authorize = True
        self.add_event_handler("message", lambda message: message.reply(message["body"][::-1]).send())

    async def session(self):
        begun = asyncio.ensure_future(self.wait_until("session_start", timeout=WAIT_SECONDS))
        self.connect()
        await begun
        return self


async def component(stage):
    """a bot as a component: listed, asked, befriended, spoken to, and missed when it has gone"""
    romeo = await stage.client("romeo").login()
    bot = await Bot().session()
    try:
        items = await romeo.plugin["xep_0030"].get_items(jid=DOMAIN)
        require(any(jid == "bot.localhost" for jid, _, _ in items["disco_items"]["items"]), "the bot is not listed")
        version = await romeo.plugin["xep_0092"].get_version("bot.localhost")
        require(version["software_version"]["name"] == "Echo", f"the bot says it is {version}")
        since = len(romeo.seen)
        romeo.send_presence_subscription(pto="echo@bot.localhost", ptype="subscribe")
        await romeo.expect("the bot's consent", lambda s: is_presence(s, "echo@bot.localhost", "subscribed"), since=since)
        for number in range(20):
            romeo.send_message(mto="echo@bot.localhost", mbody=f"tor{number:02}", mtype="chat")
        for number in range(20):
            await romeo.expect_body(f"tor{number:02}"[::-1], since=since)
        told = [body for body in romeo.bodies(since) if body.endswith("rot")]
        require(told == [f"tor{number:02}"[::-1] for number in range(20)], f"out of order: {told}")
    finally:
        await bot.disconnect(wait=2)
    refused = await refusal(romeo.plugin["xep_0092"].get_version("bot.localhost", timeout=WAIT_SECONDS))
    require(refused == "service-unavailable", f"without the bot the error is {refused}")
    return "listed, asked, befriended, 20 messages there and back, service-unavailable without it"


CHECKS = [
    login_starttls,
    login_direct_tls,
    login_channel_binding,
    wrong_password_is_refused,
    same_resource_twice,
    disco,
    small_services,
    refusals,
    vcard,
    private_xml,
    roster,
    roster_version,
    subscription_while_offline,
    blocking,
    component,
    *MESSAGE_CHECKS,
    *CHANNEL_CHECKS,
]

if __name__ == "__main__":
    sys.exit(run_checks("slixmpp", CHECKS, only=sys.argv[1:]))
