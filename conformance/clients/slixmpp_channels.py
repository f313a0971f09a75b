"""slixmpp's checks about channels: the publish-subscribe service of the domain (XEP-0060, 0248, 0442). Run by client_slixmpp.py."""

import asyncio

from slixmpp.xmlstream import ET

from slix import DOMAIN, is_message, refusal, require, server_command

SERVICE = f"pubsub.{DOMAIN}"
ITEM = "{http://jabber.org/protocol/pubsub#event}item"
COLLECTION = "{http://jabber.org/protocol/shim}header"
PLUGINS = ["xep_0004", "xep_0030", "xep_0059", "xep_0060", "xep_0198", "xep_0199"]


def form(client, kind, **fields):
    made = client.plugin["xep_0004"].make_form(ftype="submit")
    made.add_field(var="FORM_TYPE", ftype="hidden", value=f"http://jabber.org/protocol/pubsub#{kind}")
    for var, value in fields.items():
        made.add_field(var=f"pubsub#{var}", value=value)
    return made


def payload(text):
    entry = ET.Element("{http://www.w3.org/2005/Atom}entry")
    for name, value in (("title", text), ("id", f"tag:{text}"), ("updated", "2026-11-26T08:00:00Z")):
        ET.SubElement(entry, f"{{http://www.w3.org/2005/Atom}}{name}").text = value
    return entry


def has_item(stanza, id):
    return is_message(stanza) and any(item.get("id") == id for item in stanza.xml.iter(ITEM))


async def channels(stage):
    """a channel is made, found, followed with options, spoken in, moderated, read later and closed"""
    romeo, juliet = await stage.pair(plugins=PLUGINS)
    here, there = romeo.plugin["xep_0060"], juliet.plugin["xep_0060"]
    services = (await juliet.plugin["xep_0030"].get_items(DOMAIN))["disco_items"]["items"]
    require(SERVICE in {str(item[0]) for item in services}, f"the domain leads to {services}")
    await here.create_node(SERVICE, "verona", config=form(romeo, "node_config", title="News of Verona"))
    found = (await there.get_nodes(SERVICE))["disco_items"]["items"]
    require("verona" in {item[1] for item in found}, f"the service shows {found}")
    await there.subscribe(SERVICE, "verona", options=form(juliet, "subscribe_options", include_body="1"))
    await here.publish(SERVICE, "verona", id="first", payload=payload("a duel"))
    heard = await juliet.expect("the item", lambda s: has_item(s, "first"))
    require(heard["body"] == "a duel", f"the text beside it is {heard['body']!r}")
    options = await there.get_subscription_options(SERVICE, "verona", juliet.boundjid.bare)
    values = options["pubsub"]["options"]["options"].get_values()
    require(str(values.get("pubsub#include_body")) in {"1", "True"}, f"the options are {values}")
    require(await refusal(there.publish(SERVICE, "verona", payload=payload("mine"))) == "forbidden", "anybody may publish")
    await here.modify_affiliations(SERVICE, "verona", [(juliet.boundjid.bare, "publisher")])
    await there.publish(SERVICE, "verona", id="second", payload=payload("a wedding"))
    kept = (await there.get_items(SERVICE, "verona"))["pubsub"]["items"]["substanzas"]
    require([item["id"] for item in kept] == ["first", "second"], f"the channel holds {kept}")
    found = juliet.make_iq_set(ito=SERVICE)
    found.append(ET.Element("{urn:xmpp:mam:2}query", {"node": "verona"}))
    mark = len(juliet.seen)
    await found.send()
    results = [s for s in juliet.seen[mark:] if is_message(s) and s.xml.find("{urn:xmpp:mam:2}result") is not None]
    require(len(results) == 2, f"the archive gave {len(results)} items")
    await here.retract(SERVICE, "verona", "first", notify=True)
    await here.set_node_config(SERVICE, "verona", form(romeo, "node_config", access_model="authorize"))
    await there.unsubscribe(SERVICE, "verona")
    await here.modify_affiliations(SERVICE, "verona", [(juliet.boundjid.bare, "none")])
    state = (await there.subscribe(SERVICE, "verona"))["pubsub"]["subscription"]["subscription"]
    require(state == "pending", f"whoever needs approval is {state}")
    asked = await romeo.expect(
        "the request", lambda s: is_message(s) and s.xml.find("{jabber:x:data}x") is not None and s["from"] == SERVICE
    )
    answer = romeo.make_message(mto=SERVICE, mtype="normal")
    answer["id"] = asked["id"]
    allowed = {"node": "verona", "subscriber_jid": juliet.boundjid.bare, "allow": "1"}
    answer.append(form(romeo, "subscribe_authorization", **allowed))
    mark = len(juliet.seen)
    answer.send()
    await juliet.expect("the last item, with the approval", lambda s: has_item(s, "second"), since=mark)
    await here.purge(SERVICE, "verona")
    await here.delete_node(SERVICE, "verona")
    require(await refusal(there.get_items(SERVICE, "verona")) == "item-not-found", "the channel is still there")


async def channel_collections(stage):
    """who follows a collection hears of the channels in it, and by which collection (XEP-0248)"""
    romeo, juliet = await stage.pair(plugins=PLUGINS)
    here, there = romeo.plugin["xep_0060"], juliet.plugin["xep_0060"]
    await here.create_node(SERVICE, "city", config=form(romeo, "node_config", node_type="collection"))
    await here.create_node(SERVICE, "street", config=form(romeo, "node_config", collection="city"))
    wish = form(juliet, "subscribe_options", subscription_type="items", subscription_depth="all")
    await there.subscribe(SERVICE, "city", options=wish)
    await here.publish(SERVICE, "street", id="1", payload=payload("a brawl"))
    heard = await juliet.expect("the item", lambda s: has_item(s, "1"))
    names = [header.text for header in heard.xml.iter(COLLECTION) if header.get("name") == "Collection"]
    require(names == ["city"], f"it came by {names}")
    loop = here.set_node_config(SERVICE, "city", form(romeo, "node_config", collection="city"))
    require(await refusal(loop) == "not-allowed", "a collection may hold itself")


async def channels_survive_a_restart(stage):
    """what was answered before a restart is there behind it: nodes, who is what, subscriptions with their options, items"""
    romeo, juliet = await stage.pair(plugins=PLUGINS)
    here, there = romeo.plugin["xep_0060"], juliet.plugin["xep_0060"]
    await here.create_node(SERVICE, "kept", config=form(romeo, "node_config", access_model="whitelist"))
    await here.modify_affiliations(SERVICE, "kept", [(juliet.boundjid.bare, "member")])
    await there.subscribe(SERVICE, "kept", options=form(juliet, "subscribe_options", include_body="1"))
    await here.publish(SERVICE, "kept", id="before", payload=payload("before"))
    for client in (romeo, juliet):
        client.end_session_on_disconnect = True
    await asyncio.get_running_loop().run_in_executor(None, server_command, "restart")
    romeo = await stage.client("romeo", resource="tablet", plugins=PLUGINS).login()
    juliet = await stage.client("juliet", resource="tablet", plugins=PLUGINS).login()
    kept = (await juliet.plugin["xep_0060"].get_items(SERVICE, "kept"))["pubsub"]["items"]["substanzas"]
    require([item["id"] for item in kept] == ["before"], f"the channel holds {kept}")
    await romeo.plugin["xep_0060"].publish(SERVICE, "kept", id="behind", payload=payload("behind"))
    heard = await juliet.expect("the item", lambda s: has_item(s, "behind"))
    require(heard["body"] == "behind", "the options of the subscription are gone")


CHECKS = [channels, channel_collections, channels_survive_a_restart]
