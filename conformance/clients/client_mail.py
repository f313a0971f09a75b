#!/usr/bin/env python3
"""Conversations by e-mail: asked for with slixmpp's ad-hoc commands, taken by aiosmtpd, read with Python's own parser of mails.

    client_mail.py [CHECK…]

Runs with the Python that slixmpp and aiosmtpd are installed for. Prints one line a check; exit code 0 when all hold.
"""

import asyncio
import contextlib
import email
import email.policy
import os
import pathlib
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from slix import DOMAIN, Failed, require, run_checks, server_command

NODE = "urn:iris:mail#conversation"
PASSWORD = "the mail server's"


class Taken:
    """What the mail server has taken; `nobody@` is refused."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        require(session.ssl is not None and session.authenticated, "taken without TLS or login")
        self.mails.append((envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"iris", PASSWORD.encode()), handled=False)


class Server(Controller):
    """With the certificate of the server under test, which its own authority has issued."""

    def __init__(self, taken, folder):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "localhost.crt", folder / "localhost.key")
        self.context = context
        super().__init__(taken, hostname="127.0.0.1", port=0)

    def factory(self):
        return SMTP(self.handler, require_starttls=True, tls_context=self.context, auth_required=True, authenticator=authenticate)

    def _trigger_server(self):
        # aiosmtpd connects to itself to see that it runs, and knows no port that the system chooses.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextlib.contextmanager
def house(taken):
    """The server of the part, with a mail server; afterwards as it was."""
    folder = pathlib.Path(os.environ["SERVER_DIR"])
    certificates = pathlib.Path(os.environ["CA_FILE"]).parent
    server = Server(taken, certificates)
    server.start()
    config, before = folder / "iris.toml", (folder / "iris.toml").read_text()
    (folder / "mail.password").write_text(PASSWORD + "\n")
    config.write_text(
        before + f'[mail]\nserver = "smtp://localhost:{server.port}"\nusername = "iris"\npassword_file = "mail.password"\n'
        f'authorities = "{os.environ["CA_FILE"]}"\nfrom = "Iris <iris@{DOMAIN}>"\n'
    )
    try:
        server_command("restart")
        yield server
    finally:
        with contextlib.suppress(Exception):
            server.stop()
        config.write_text(before)
        server_command("restart")


async def ask(client, **answers):
    """The command as a person would go through it: found in the list, its form filled in. The answer's text."""
    commands = client.plugin["xep_0050"]
    listed = await commands.get_commands(jid=client.boundjid.bare)
    require(NODE in [item[1] for item in listed["disco_items"]["items"]], "the command is not in the list")
    asked = await commands.send_command(client.boundjid.bare, NODE, action="execute")
    form = asked["command"]["form"]
    fields = form.get_fields()
    require(fields["with"]["type"] == "jid-single" and fields["address"].get_value() == client.boundjid.bare, f"another form: {form}")
    form["type"] = "submit"
    for name, value in answers.items():
        fields[name]["value"] = value
    done = await commands.send_command(
        client.boundjid.bare, NODE, action="complete", sessionid=asked["command"]["sessionid"], payload=form.xml
    )
    require(done["command"]["status"] == "completed", f"not completed: {done}")
    return " ".join(text for _, text in done["command"]["notes"])


async def conversation_by_mail(stage):
    """a conversation is asked for by ad-hoc command and comes as a text file over STARTTLS and AUTH, every message once and in order"""
    taken = Taken()
    with house(taken):
        plugins = ["xep_0004", "xep_0030", "xep_0050", "xep_0199", "xep_0308"]
        romeo, juliet = stage.client("romeo", plugins=plugins), stage.client("juliet", plugins=plugins)
        await romeo.login()
        await juliet.login()
        said = ["Grüße aus Verona 🌹", "zwei\nZeilen", ".\n.", "/me seufzt", "ein Feler"]
        for body in said:
            sent = romeo.make_message(mto=juliet.boundjid.bare, mbody=body, mtype="chat")
            sent["id"] = f"m{said.index(body)}"
            sent.send()
        correction = romeo.make_message(mto=juliet.boundjid.bare, mbody="ein Fehler", mtype="chat")
        correction["replace"]["id"] = "m4"
        correction.send()
        await juliet.expect_body("ein Fehler")
        note = await ask(juliet, **{"with": romeo.boundjid.bare})
        require("5 messages" in note, note)
        require(len(taken.mails) == 1, "the command was completed and the mail server has no mail")
        envelope, mail = taken.mails[0]
        require(envelope.rcpt_tos == [juliet.boundjid.bare] and mail["To"] == juliet.boundjid.bare, f"to {envelope.rcpt_tos}")
        require(not mail.defects and mail["Auto-Submitted"] == "auto-generated" and mail["Date"].datetime, f"{mail.items()}")
        (file,) = mail.iter_attachments()
        require(file.get_content_type() == "text/plain" and file.get_filename().endswith(".txt"), f"{file.items()}")
        text = file.get_content().replace("\r\n", "\n")
        stage.wire.write(text)
        name = romeo.boundjid.bare
        expected = [f"<{name}> Grüße aus Verona 🌹", f"<{name}> zwei\n    Zeilen", f"<{name}> .\n    .", f"* <{name}> seufzt", f"<{name}> ein Fehler"]
        at = 0
        for line in expected:
            at = text.find(line, at)
            require(at >= 0, f"{line!r} is missing: {text}")
        require("Feler" not in text and "(corrected " in text, text)
        # Nobody else's address, and no relay.
        for to, word in (("juliet@elsewhere.example", "administrator"), (f"nobody@{DOMAIN}", "does not take mail")):
            try:
                await ask(juliet, **{"with": romeo.boundjid.bare, "address": to})
            except Exception as error:  # noqa: BLE001 (slixmpp's IqError, or our own)
                require(word in str(getattr(error, "text", error)), f"{to}: {error}")
            else:
                raise Failed(f"a mail went to {to}")
        require(len(taken.mails) == 1, "a mail that was refused was sent")
    return None


conversation_by_mail.seconds_max = 90


if __name__ == "__main__":
    sys.exit(run_checks("mail", [conversation_by_mail], sys.argv[1:]))
