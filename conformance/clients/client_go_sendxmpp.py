#!/usr/bin/env python3
"""go-sendxmpp (go-xmpp), a program that sends and prints messages, against the server.

    client_go_sendxmpp.py [CHECK…]

Prints one line a check; exit code 0 when all hold. Its own log of the wire: OUT/go-sendxmpp/.
"""

import asyncio
import contextlib
import os
import sys

import slix
from slix import DOMAIN, PASSWORD, Failed, require, run_checks, unique

SECONDS_MAX = 40


class GoSendxmpp:
    """One account used by go-sendxmpp; each call is a process and a connection of its own."""

    def __init__(self, stage, person):
        self.jid = f"{person}-{stage.name}@{DOMAIN}"
        slix.server_command("adduser", self.jid, PASSWORD)
        self.out = (slix.OUT / "go-sendxmpp").resolve()
        self.log = open(self.out / f"{stage.name}.{person}.log", "wb")

    def _start(self, *arguments, direct_tls=False):
        port = os.environ["TLS_PORT" if direct_tls else "C2S_PORT"]
        command = ["go-sendxmpp", "--debug", "-u", self.jid, "-p", PASSWORD, "-j", f"localhost:{port}"]
        if direct_tls:
            command.append("--tls")
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "SSL_CERT_FILE": os.environ["CA_FILE"], "HOME": str(self.out)}
        return asyncio.create_subprocess_exec(
            *command, *arguments, env=environment, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )

    async def send(self, to, text, **options):
        program = await self._start(to, **options)
        printed, _ = await asyncio.wait_for(program.communicate(text.encode()), SECONDS_MAX)
        self.log.write(printed)
        if program.returncode != 0:
            raise Failed(f"go-sendxmpp ended with code {program.returncode}: {printed.decode()[-200:]}")

    @contextlib.asynccontextmanager
    async def listening(self, **options):
        program = await self._start("--listen", **options)
        try:
            yield program
        finally:
            with contextlib.suppress(ProcessLookupError):
                program.terminate()
            await program.wait()

    async def heard(self, program, text):
        """Waits until the listening program has printed `text`."""
        printed = b""
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while text.encode() not in printed:
                    piece = await program.stdout.read(4096)
                    if not piece:
                        raise Failed(f"go-sendxmpp ended before it heard {text!r}: {printed.decode()[-200:]}")
                    printed += piece
                    self.log.write(piece)
        except TimeoutError:
            raise Failed(f"go-sendxmpp did not print {text!r} within {SECONDS_MAX} s") from None
        return printed.decode()


async def sends_and_receives(stage):
    """two go-sendxmpp: one listens over STARTTLS, the other sends over direct TLS; then to and from slixmpp"""
    sender, listener = GoSendxmpp(stage, "romeo"), GoSendxmpp(stage, "juliet")
    nurse = await stage.client("nurse").login()
    async with listener.listening() as program:
        # It is there when it has said so; the nurse's lines go to the bare JID and are kept for it if it is late.
        printed = await listener.heard(program, "<presence ")
        hello = unique("hello from the shell äöü")
        await sender.send(listener.jid, hello, direct_tls=True)
        printed += await listener.heard(program, hello)
        answer = unique("from slixmpp")
        nurse.send_message(mto=listener.jid, mbody=answer, mtype="chat")
        await listener.heard(program, answer)
    to_nurse = unique("to slixmpp")
    await sender.send(nurse.boundjid.bare, to_nurse)
    got = await nurse.expect_body(to_nurse)
    require(got["from"].bare == sender.jid, f"from is {got['from']}")
    return "sends over STARTTLS and direct TLS, receives"


if __name__ == "__main__":
    sys.exit(run_checks("go-sendxmpp", [sends_and_receives], only=sys.argv[1:]))
