#!/usr/bin/env python3
"""slixmpp as a driver of the plays (README.md)."""

import asyncio
import importlib.metadata
import json
import os
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

from slixmpp import ClientXMPP
from slixmpp.xmlstream import tostring

DOORS = {"starttls": ("C2S_PORT", False), "direct-tls": ("TLS_PORT", True)}
KNOWS = {
    "version": importlib.metadata.version("slixmpp"),
    # Channel binding it has for TLS 1.2 only, so not here: client_slixmpp.py shows it.
    "mechanisms": ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"],
    "doors": list(DOORS),
    "resume": True,
    "register": True,
}


def tell(**event):
    print(json.dumps(event), flush=True)


class Stack(ClientXMPP):
    def __init__(self, jid, password, mechanism, token):
        # Its own cleverness with channel binding is kept out of what is asked for by name.
        super().__init__(jid, password, sasl_mech=mechanism)
        self.ca_certs = pathlib.Path(os.environ["CA_FILE"])
        self.auto_authorize = None
        self.auto_subscribe = False
        self.token = token
        self.answered = None
        self.register_plugin("xep_0198")
        if token:
            self.register_plugin("xep_0077")
            registration = self.plugin["xep_0077"]
            registration.force_registration = True
            # The plugin asks for the form first; with an invitation the token comes before everything (XEP-0445 2).
            ask_for_form = registration.get_registration

            async def after_token(*arguments, **options):
                await self.show_token()
                return await ask_for_form(*arguments, **options)

            registration.get_registration = after_token
            self.add_event_handler("register", self.register)
        self.add_filter("in", self.hand_over)
        self.add_event_handler("session_start", lambda _: tell(event="online", jid=self.boundjid.full, resumed=False))
        self.add_event_handler("session_resumed", lambda _: tell(event="online", jid=self.boundjid.full, resumed=True))
        self.add_event_handler("failed_all_auth", lambda _: tell(event="failed", why="no mechanism led in"))

    def hand_over(self, stanza):
        if self.answered is not None and not self.answered.done() and stanza["id"] == "token":
            self.answered.set_result(stanza)
        if stanza.name in ("message", "presence", "iq"):
            tell(event="stanza", xml=tostring(stanza.xml, xmlns="", top_level=True))
        return stanza

    async def show_token(self):
        """Written past slixmpp's queue, which holds back what is no registration until there is a session."""
        self.answered = asyncio.get_running_loop().create_future()
        domain, token = self.boundjid.domain, self.token
        self.send_raw(f"<iq type='set' id='token' to='{domain}'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
        answer = await asyncio.wait_for(self.answered, 10)
        if answer["type"] != "result":
            tell(event="failed", why=f"the token was refused: {answer}")

    async def register(self, _):
        try:
            account = self.Iq()
            account["type"] = "set"
            account["register"]["username"] = self.boundjid.user
            account["register"]["password"] = self.password
            await account.send(timeout=10)
        except Exception as error:
            tell(event="failed", why=f"registration: {error}")

    def enter(self, door):
        port, direct = DOORS[door]
        self.enable_direct_tls, self.enable_starttls = direct, not direct
        self.place = "127.0.0.1", int(os.environ[port])
        self.connect(*self.place)


async def main():
    tell(event="knows", **KNOWS)
    stack = None
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        words = json.loads(line)
        match words["do"]:
            case "login":
                stack = Stack(words["jid"], words["password"], words.get("mechanism"), words.get("token"))
                stack.enter(words["door"])
            case "send":
                wrapped = ElementTree.fromstring(f"<stream xmlns='jabber:client'>{words['xml']}</stream>")
                stack.send(stack._build_stanza(wrapped[0], "jabber:client"))
            case "cut":
                gone = stack.wait_until("disconnected", timeout=10)
                stack.transport.abort()
                await gone
                stack.connect(*stack.place)
            case "close":
                break
    if stack is not None and stack.is_connected():
        await stack.disconnect(wait=2)


asyncio.run(main())
