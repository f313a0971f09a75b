#!/usr/bin/python3
"""nbxmpp (the stack of Gajim) as a driver of the plays (README.md); with Debian's Python, which has GLib."""

import json
import os
import re
import sys

import nbxmpp
from gi.repository import Gio, GLib
from nbxmpp.client import Client
from nbxmpp.const import ConnectionProtocol, ConnectionType, Mode
from nbxmpp.protocol import JID, Iq, Message, Presence
from nbxmpp.simplexml import Node

PORTS = {
    "starttls": ("C2S_PORT", ConnectionType.START_TLS, ConnectionProtocol.TCP),
    "direct-tls": ("TLS_PORT", ConnectionType.DIRECT_TLS, ConnectionProtocol.TCP),
    "websocket": ("HTTPS_PORT", ConnectionType.DIRECT_TLS, ConnectionProtocol.WEBSOCKET),
}
KNOWS = {
    "version": nbxmpp.__version__,
    "mechanisms": ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"],
    "doors": list(PORTS),
    "resume": True,
    "register": True,
}


def tell(**event):
    print(json.dumps(event), flush=True)


class Stack:
    def __init__(self, loop):
        self.loop = loop
        self.client = None
        self.resuming = False
        self.begun = b""
        channel = GLib.IOChannel.unix_new(sys.stdin.fileno())
        GLib.io_add_watch(channel, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, self.hear)

    def hear(self, *_):
        piece = os.read(sys.stdin.fileno(), 1 << 16)
        if not piece:
            self.loop.quit()
            return False
        *lines, self.begun = (self.begun + piece).split(b"\n")
        for line in lines:
            words = json.loads(line)
            getattr(self, words.pop("do"))(**words)
        return True

    def login(self, jid, password, door, mechanism=None, token=None):
        client = self.client_for(jid, password, door)
        if token:
            return self.register(client, token, lambda: self.login(jid, password, door, mechanism))
        if mechanism:
            client.set_mechs({mechanism})
        for signal in ("login-successful", "connected", "resume-successful", "resume-failed", "disconnected", "connection-failed", "stanza-received"):
            client.subscribe(signal, getattr(self, "on_" + signal.replace("-", "_")))
        self.client = client
        client.connect()

    def register(self, client, token, then):
        """On a stream of its own, as Gajim does; nbxmpp has the account (XEP-0077), the token (XEP-0445) is by hand."""
        client.set_mode(Mode.REGISTER)
        done = []

        def ask(payload, answered):
            iq = Iq("set", to=client.domain)
            iq.addChild(node=Node(node=payload))

            def hear(_client, answer):
                if answer.getType() != "result":
                    return tell(event="failed", why=f"registration: {answer}")
                answered()

            client.send_stanza(iq, callback=hear)

        def registered():
            done.append(client)
            client.disconnect()

        def connected(*_):
            account = Node("query", attrs={"xmlns": "jabber:iq:register"})
            account.addChild("username", payload=[client.username])
            account.addChild("password", payload=[client.password])
            ask(f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>", lambda: ask(str(account), registered))

        def disconnected(*_):
            # It calls the end of every stream an error.
            if done:
                then()
            else:
                tell(event="failed", why=str(client.get_error()))

        client.subscribe("connected", connected)
        client.subscribe("disconnected", disconnected)
        client.subscribe("connection-failed", self.on_connection_failed)
        client.connect()

    @staticmethod
    def client_for(jid, password, door):
        port, kind, protocol = PORTS[door]
        where = f"127.0.0.1:{os.environ[port]}"
        if protocol is ConnectionProtocol.WEBSOCKET:
            where = f"wss://localhost:{os.environ[port]}/xmpp-websocket"
        client = Client(log_context="play")
        address = JID.from_string(jid)
        client.set_domain(address.domain)
        client.set_username(address.localpart)
        client.set_resource(address.resource)
        client.set_password(password)
        client.set_mode(Mode.CLIENT)
        client.set_custom_host(where, protocol, kind)
        client.set_protocols([protocol])
        client.set_connection_types([kind])
        # What its user would have accepted in a dialogue: the certificate is the test CA's.
        client.set_ignored_tls_errors({Gio.TlsCertificateFlags.UNKNOWN_CA})
        return client

    def send(self, xml):
        node = Node(node=re.sub(r"^<(\w+)", r"<\1 xmlns='jabber:client'", xml))
        kind = {"iq": Iq, "message": Message, "presence": Presence}[node.getName()]
        self.client.send_stanza(kind(node=node))

    def cut(self):
        self.resuming = True
        self.client.disconnect(immediate=True)

    def close(self):
        if self.client is None:
            return self.loop.quit()
        self.client.disconnect()
        GLib.timeout_add(1500, self.loop.quit)

    def on_login_successful(self, *_):
        pass

    def on_connected(self, *_):
        tell(event="online", jid=str(self.client.get_bound_jid()), resumed=False)

    def on_resume_successful(self, *_):
        tell(event="online", jid=str(self.client.get_bound_jid()), resumed=True)

    def on_resume_failed(self, *_):
        tell(event="failed", why="the session was not resumed")

    def on_connection_failed(self, *_):
        tell(event="failed", why="no connection")

    def on_disconnected(self, *_):
        if self.resuming:
            self.resuming = False
            self.client.connect()
        elif self.client.has_error:
            tell(event="failed", why=str(self.client.get_error()))

    def on_stanza_received(self, _client, _signal, stanza):
        if stanza.getName() in ("message", "presence", "iq"):
            stanza.setNamespace("jabber:client")
            tell(event="stanza", xml=str(stanza))


tell(event="knows", **KNOWS)
loop = GLib.MainLoop()
stack = Stack(loop)
loop.run()
