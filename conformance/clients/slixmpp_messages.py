"""slixmpp's checks about messages: chat, receipts, carbons, resumption, archive, restart. Run by client_slixmpp.py."""

import asyncio
import datetime

from slixmpp import JID
from slixmpp.xmlstream import ET

from slix import DOMAIN, WAIT_SECONDS, befriend, is_message, require, server_command, unique

SID = "{urn:xmpp:sid:0}stanza-id"


async def chat(stage):
    """both ways by bare and full JID, receipts, chat states, correction, markers; unknown payloads untouched"""
    romeo, juliet = await stage.pair()
    await befriend(romeo, juliet)
    for sender, receiver, to in ((romeo, juliet, juliet.boundjid.bare), (juliet, romeo, romeo.boundjid.full)):
        body = unique("good morrow äöü 𝄞 <&>\"'")
        message = sender.make_message(mto=to, mbody=body, mtype="chat")
        message["request_receipt"] = True
        message["chat_state"] = "active"
        message["markable"] = True
        odd = ET.SubElement(message.xml, "{urn:example:odd}odd", {"{urn:example:odd}key": "v"})
        ET.SubElement(odd, "{urn:example:inner}inner").text = " kept  "
        mark, receipt_mark = len(receiver.seen), len(sender.seen)
        message.send()
        got = await receiver.expect_body(body, since=mark)
        require(got["from"] == sender.boundjid, f"from is {got['from']}")
        require(got["id"] == message["id"], "the id was changed")
        require(got["chat_state"] == "active", "the chat state was lost")
        inner = got.xml.find("{urn:example:odd}odd/{urn:example:inner}inner")
        require(inner is not None and inner.text == " kept  ", "an unknown payload was changed")
        receipt = await sender.expect(
            "the receipt", lambda s: is_message(s) and s["receipt"] == message["id"], since=receipt_mark
        )
        require(receipt["from"] == receiver.boundjid, f"the receipt is from {receipt['from']}")
        mark = len(sender.seen)
        receiver.plugin["xep_0333"].send_marker(sender.boundjid, message["id"], "displayed", mtype="chat")
        await sender.expect(
            "the displayed marker",
            lambda s: is_message(s) and s.xml.find("{urn:xmpp:chat-markers:0}displayed") is not None,
            since=mark,
        )
    fixed = unique("corrected")
    correction = romeo.make_message(mto=juliet.boundjid.bare, mbody=fixed, mtype="chat")
    correction["replace"]["id"] = message["id"]
    correction.send()
    got = await juliet.expect_body(fixed)
    require(got["replace"]["id"] == message["id"], "the correction was lost")


async def stamped_ids(stage):
    """one stanza-id by the recipient's account; a forged one and a forged from are not believed (XEP-0359)"""
    romeo, juliet = await stage.pair()
    body = unique("who am I")
    message = romeo.make_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    ET.SubElement(message.xml, SID, {"id": "forged", "by": juliet.boundjid.bare})
    message.send()
    got = await juliet.expect_body(body)
    ids = [(e.get("by"), e.get("id")) for e in got.xml.iterfind(SID)]
    mine = [value for by, value in ids if by == juliet.boundjid.bare]
    require(len(mine) == 1 and mine[0] != "forged", f"the stanza-ids are {ids}")


async def priorities(stage):
    """a chat to the bare JID reaches every available device of non-negative priority, or the one; never a negative one"""
    romeo = await stage.client("romeo").login()
    phone = await stage.client("juliet", resource="phone", without=["xep_0280"]).login(priority=5)
    hidden = await stage.client("juliet", resource="hidden", without=["xep_0280"]).login(priority=-1)
    body = unique("to the bare JID")
    romeo.send_message(mto=phone.boundjid.bare, mbody=body, mtype="chat")
    await phone.expect_body(body)
    await hidden.fence()
    require(body not in hidden.bodies(), "a resource of negative priority got a message to the bare JID (RFC 6121 8.5.2.1.1)")
    direct = unique("to the full JID")
    romeo.send_message(mto=hidden.boundjid.full, mbody=direct, mtype="chat")
    await hidden.expect_body(direct)


async def carbons(stage):
    """sent and received copies on the other device, none for private, none after disable, no copy of the copy (XEP-0280)"""
    romeo = await stage.client("romeo").login()
    phone = await stage.client("juliet", resource="phone").login()
    tablet = await stage.client("juliet", resource="tablet").login()
    for device in (phone, tablet):
        await device.plugin["xep_0280"].enable(timeout=WAIT_SECONDS)
    received = unique("to one device")
    mark, phone_mark = len(tablet.seen), len(phone.seen)
    romeo.send_message(mto=phone.boundjid.full, mbody=received, mtype="chat")
    await phone.expect_body(received, since=phone_mark)
    copy = await tablet.expect("the received carbon", lambda s: carbon(s, "received", received), since=mark)
    require(copy["from"].bare == phone.boundjid.bare and copy["from"].resource == "", f"the carbon is from {copy['from']}")
    sent = unique("from the tablet")
    mark = len(phone.seen)
    tablet.send_message(mto=romeo.boundjid.bare, mbody=sent, mtype="chat")
    await phone.expect("the sent carbon", lambda s: carbon(s, "sent", sent), since=mark)
    secret = unique("private")
    message = romeo.make_message(mto=phone.boundjid.full, mbody=secret, mtype="chat")
    ET.SubElement(message.xml, "{urn:xmpp:carbons:2}private")
    message.send()
    await phone.expect_body(secret)
    await phone.plugin["xep_0280"].disable(timeout=WAIT_SECONDS)
    quiet = unique("after disable")
    tablet.send_message(mto=romeo.boundjid.bare, mbody=quiet, mtype="chat")
    await romeo.expect_body(quiet)
    await phone.fence()
    await tablet.fence()
    require(not any(carbon(s, "received", secret) for s in tablet.seen), "a private message was copied")
    require(not any(carbon(s, "sent", quiet) for s in phone.seen), "a copy came after disable")
    copies = [s for s in phone.seen + tablet.seen if carbon(s, "received", received) or carbon(s, "sent", sent)]
    require(len(copies) == 2, f"{len(copies)} copies of two messages")


def carbon(stanza, direction, body):
    if not is_message(stanza):
        return False
    path = f"{{urn:xmpp:carbons:2}}{direction}/{{urn:xmpp:forward:0}}forwarded/{{jabber:client}}message/{{jabber:client}}body"
    found = stanza.xml.find(path)
    return found is not None and found.text == body


async def resumption(stage):
    """a cut socket is resumed: nothing lost, nothing twice, in order, unacknowledged stanzas sent again (XEP-0198)"""
    romeo = await stage.client("romeo").login()
    juliet = await stage.client("juliet").login()
    require(juliet.plugin["xep_0198"].sm_id, "the server gave no resumption id")
    first = [unique(f"before {n}") for n in range(3)]
    for body in first:
        romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    await juliet.expect_body(first[-1])
    bound = juliet.boundjid.full
    session = juliet.plugin["xep_0198"].sm_id
    await juliet.cut()
    missed = [unique(f"while away {n}") for n in range(20)]
    for body in missed:
        romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    await romeo.fence()
    own = unique("written without a network")
    await juliet.login(first="session_resumed")
    require(juliet.boundjid.full == bound, f"resumed as {juliet.boundjid}")
    await juliet.expect_body(missed[-1])
    juliet.send_message(mto=romeo.boundjid.bare, mbody=own, mtype="chat")
    await romeo.expect_body(own)
    await juliet.fence()
    require(juliet.bodies() == first + missed, f"the order or number is wrong: {juliet.bodies()}")
    require(romeo.bodies().count(own) == 1, "the sender's message did not arrive exactly once")
    # A second cut at once: the new id (or the same one) must resume again, with the counters carried on.
    await juliet.cut()
    again = unique("after the second cut")
    romeo.send_message(mto=juliet.boundjid.bare, mbody=again, mtype="chat")
    await romeo.fence()
    await juliet.login(first="session_resumed")
    await juliet.expect_body(again)
    require(juliet.bodies() == first + missed + [again], "the second resumption repeated or lost something")
    return f"23 + 1 messages over two cuts, exactly once and in order (id {session[:8]}…)"


async def acknowledgement(stage):
    """every stanza handled is acknowledged; an unknown session id is refused with item-not-found and bind goes on"""
    romeo, juliet = await stage.pair()
    for n in range(7):
        romeo.send_message(mto=juliet.boundjid.bare, mbody=f"counted {n}", mtype="chat")
    await juliet.expect_body("counted 6")
    romeo.plugin["xep_0198"].request_ack()
    for _ in range(100):
        if not romeo.plugin["xep_0198"].unacked_queue:
            break
        await asyncio.sleep(0.05)
    require(not romeo.plugin["xep_0198"].unacked_queue, f"{len(romeo['xep_0198'].unacked_queue)} stanzas stay unacknowledged")
    await romeo.cut()
    romeo.plugin["xep_0198"].sm_id = "no-such-session"
    failed = asyncio.ensure_future(romeo.wait_until("sm_failed", timeout=WAIT_SECONDS))
    await romeo.login()
    require(
        (await failed).xml.find("{urn:ietf:params:xml:ns:xmpp-stanzas}item-not-found") is not None,
        "the failure is not item-not-found",
    )


async def archive_catch_up(stage):
    """messages missed while offline come from the archive: after the last known id, paged, in order, once (XEP-0313)"""
    romeo = await stage.client("romeo").login()
    juliet = await stage.client("juliet").login()
    known = unique("the last one seen")
    romeo.send_message(mto=juliet.boundjid.bare, mbody=known, mtype="chat")
    seen = await juliet.expect_body(known)
    last_id = next(e.get("id") for e in seen.xml.iterfind(SID) if e.get("by") == juliet.boundjid.bare)
    reply = unique("the reply")
    juliet.send_message(mto=romeo.boundjid.bare, mbody=reply, mtype="chat")
    await romeo.expect_body(reply)
    await juliet.logout()
    missed = [unique(f"while you slept {n}") for n in range(7)]
    for body in missed:
        romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    await romeo.fence()
    tablet = await stage.client("juliet", resource="tablet").login()
    page_sizes, found, after = [], [], last_id
    for _ in range(10):
        answer = await tablet.plugin["xep_0313"].retrieve(rsm={"max": 3, "after": after}, timeout=WAIT_SECONDS)
        results = answer["mam"]["results"]
        page_sizes.append(len(results))
        found += [(r["mam_result"]["id"], r["mam_result"]["forwarded"]["stanza"]["body"]) for r in results]
        fin = answer["mam_fin"]
        if results:
            require(fin["rsm"]["last"] == results[-1]["mam_result"]["id"], "<last/> is not the last result")
            after = results[-1]["mam_result"]["id"]
            stamp = results[-1]["mam_result"]["forwarded"]["delay"]["stamp"]
            age = abs((datetime.datetime.now(datetime.UTC) - stamp).total_seconds())
            require(age < 120, f"the archived time is {age} s off")
        if fin.xml.get("complete") == "true":
            break
    bodies = [body for _, body in found]
    require(bodies == [reply] + missed, f"caught up with {bodies}")
    require(len({i for i, _ in found}) == len(found), "an archive id came twice")
    require(page_sizes[:2] == [3, 3], f"pages of {page_sizes}")
    backwards = tablet.plugin["xep_0313"].iterate(with_jid=JID(romeo.boundjid.bare), reverse=True, rsm={"max": 2}, total=4)
    newest = [r["mam_result"]["forwarded"]["stanza"]["body"] async for r in backwards]
    require(newest == missed[:-5:-1], f"backwards from the end: {newest}")
    nobody = await tablet.plugin["xep_0313"].retrieve(with_jid=JID(f"mercutio@{DOMAIN}"), timeout=WAIT_SECONDS)
    require(not nobody["mam"]["results"], "the filter `with` let others through")
    own = await romeo.plugin["xep_0313"].retrieve(with_jid=JID(juliet.boundjid.bare), rsm={"max": 50}, timeout=WAIT_SECONDS)
    bodies = [r["mam_result"]["forwarded"]["stanza"]["body"] for r in own["mam"]["results"]]
    require(bodies == [known, reply] + missed, f"the sender's own archive has {bodies}")
    form = await tablet.plugin["xep_0313"].get_fields(timeout=WAIT_SECONDS)
    fields = {field.get("var") for field in form.xml.iterfind("{jabber:x:data}field")}
    require({"with", "start", "end"} <= fields, f"the query form has only {sorted(map(str, fields))}")
    return f"{len(found)} messages in pages of {page_sizes}, backwards page, filter, both archives"


async def archive_after_resume_and_login(stage):
    """an archived message that also was delivered carries the archive's id, so that a client can drop the second copy"""
    romeo, juliet = await stage.pair()
    body = unique("twice or once")
    romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    live = await juliet.expect_body(body)
    live_id = next((e.get("id") for e in live.xml.iterfind(SID) if e.get("by") == juliet.boundjid.bare), None)
    answer = await juliet.plugin["xep_0313"].retrieve(rsm={"max": 10}, timeout=WAIT_SECONDS)
    ids = [r["mam_result"]["id"] for r in answer["mam"]["results"]]
    require(ids == [live_id], f"live id {live_id}, archive ids {ids}")


async def offline_copies(stage):
    """what is delivered at login and what the archive has are recognisable as one message: same stanza-id, none twice"""
    romeo = await stage.client("romeo").login()
    juliet = await stage.client("juliet").login()
    address = juliet.boundjid.bare
    await juliet.logout()
    sent = [unique(f"sleeping {n}") for n in range(5)]
    for body in sent:
        romeo.send_message(mto=address, mbody=body, mtype="chat")
    await romeo.fence()
    tablet = await stage.client("juliet", resource="tablet").login()
    await tablet.fence()
    answer = await tablet.plugin["xep_0313"].retrieve(rsm={"max": 20}, timeout=WAIT_SECONDS)
    archived = {r["mam_result"]["forwarded"]["stanza"]["body"]: r["mam_result"]["id"] for r in answer["mam"]["results"]}
    require(list(archived) == sent, f"the archive has {list(archived)}")
    delivered = [s for s in tablet.seen if is_message(s) and s["body"] in archived]
    bodies = [s["body"] for s in delivered]
    require(bodies in ([], sent), f"delivered at login: {bodies}")
    for stanza in delivered:
        ids = [e.get("id") for e in stanza.xml.iterfind(SID) if e.get("by") == address]
        require(ids == [archived[stanza["body"]]], f"delivered with stanza-ids {ids}, archived as {archived[stanza['body']]}")
        require(
            stanza.xml.find("{urn:xmpp:delay}delay") is not None, "an offline message has no delay stamp (XEP-0160, XEP-0203)"
        )
    return f"{len(archived)} archived, {len(delivered)} of them also delivered at login under the same ids"


async def burst(stage):
    """300 messages each way at once: all arrive, in order, and both archives have them in the same order"""
    romeo, juliet = await stage.pair()
    sent = {client: [f"{name} {n}" for n in range(300)] for client, name in ((romeo, "montague"), (juliet, "capulet"))}
    for one, other in zip(sent[romeo], sent[juliet]):
        romeo.send_message(mto=juliet.boundjid.bare, mbody=one, mtype="chat")
        juliet.send_message(mto=romeo.boundjid.bare, mbody=other, mtype="chat")
    for receiver, sender in ((juliet, romeo), (romeo, juliet)):
        await receiver.expect_body(sent[sender][-1], seconds=30)
        require(receiver.bodies() == sent[sender], "not every message arrived once and in order")
    for owner in (romeo, juliet):
        bodies = [r["mam_result"]["forwarded"]["stanza"]["body"] async for r in owner.plugin["xep_0313"].iterate(rsm={"max": 50})]
        for sender in (romeo, juliet):
            mine = [body for body in bodies if body in set(sent[sender])]
            require(mine == sent[sender], f"the archive of {owner.boundjid.bare} lacks or reorders messages")


async def large_message(stage):
    """a stanza of just under 10000 bytes passes (RFC 6120 13.12) and comes back whole from the archive"""
    romeo, juliet = await stage.pair()
    body = unique("long ") + "ä𝄞<&>" * 450
    romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    await juliet.expect_body(body)
    answer = await romeo.plugin["xep_0313"].retrieve(rsm={"max": 5}, timeout=WAIT_SECONDS)
    require(
        [r["mam_result"]["forwarded"]["stanza"]["body"] for r in answer["mam"]["results"]] == [body],
        "the archive changed the body",
    )


async def archive_time_resolution(stage):
    """messages of the same second have rising times in the archive: clients sort what they show by time (Gajim does)"""
    romeo, juliet = await stage.pair()
    sent = [unique(f"quick {n}") for n in range(4)]
    for body in sent:
        romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    await juliet.expect_body(sent[-1])
    answer = await juliet.plugin["xep_0313"].retrieve(rsm={"max": 10}, timeout=WAIT_SECONDS)
    stamps = [r["mam_result"]["forwarded"]["delay"].xml.get("stamp") for r in answer["mam"]["results"]]
    require(len(set(stamps)) == len(sent) and stamps == sorted(stamps), f"the times are {stamps}")


async def inactive_client(stage):
    """client state indication is accepted and chat still arrives at once (XEP-0352)"""
    romeo, juliet = await stage.pair()
    juliet.plugin["xep_0352"].send_inactive()
    await juliet.fence()
    body = unique("urgent")
    romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    await juliet.expect_body(body)
    juliet.plugin["xep_0352"].send_active()
    await juliet.fence()


async def restart_keeps_everything(stage):
    """roster, vCard, block list, archive and password survive a restart of the server; ids in the archive stay"""
    romeo, juliet = await stage.pair()
    await befriend(romeo, juliet)
    card = romeo.plugin["xep_0054"].make_vcard()
    card["FN"] = "Romeo Montague"
    await romeo.plugin["xep_0054"].publish_vcard(card)
    await juliet.plugin["xep_0191"].block(JID(f"tybalt@{DOMAIN}"), timeout=WAIT_SECONDS)
    body = unique("before the restart")
    romeo.send_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
    live = await juliet.expect_body(body)
    live_id = next((e.get("id") for e in live.xml.iterfind(SID)), None)
    for client in (romeo, juliet):
        client.end_session_on_disconnect = True
    await asyncio.get_running_loop().run_in_executor(None, server_command, "restart")
    romeo = await stage.client("romeo", resource="tablet").login()
    juliet = await stage.client("juliet", resource="tablet").login()
    kept = juliet.client_roster[romeo.boundjid.bare]["subscription"]
    require(kept == "both", f"the subscription after the restart is {kept}")
    answer = await juliet.plugin["xep_0054"].get_vcard(JID(romeo.boundjid.bare), cached=False)
    require(answer["vcard_temp"]["FN"] == "Romeo Montague", "the vCard is gone")
    require(await juliet.plugin["xep_0191"].get_blocked_jids() == {JID(f"tybalt@{DOMAIN}")}, "the block list is gone")
    history = await juliet.plugin["xep_0313"].retrieve(rsm={"max": 10}, timeout=WAIT_SECONDS)
    found = [(r["mam_result"]["id"], r["mam_result"]["forwarded"]["stanza"]["body"]) for r in history["mam"]["results"]]
    require((live_id, body) in found, f"the archive after the restart: {found}")


CHECKS = [
    chat,
    large_message,
    burst,
    stamped_ids,
    priorities,
    carbons,
    resumption,
    acknowledgement,
    archive_catch_up,
    archive_after_resume_and_login,
    offline_copies,
    archive_time_resolution,
    inactive_client,
    restart_keeps_everything,
]
