#!/usr/bin/env python3
"""A domain moves (XEP-0227): Prosody's own files into Iris, and what Iris exports into Prosody. Everybody keeps the password.

    client_migration.py [CHECK…]

Prosody keeps its accounts in `storage = "xep0227"`, one file a user: what it writes there is a real export, made by other people's
code from what a real client has done. Prints one line a check; exit code 0 when all hold.
"""

import asyncio
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

from slixmpp.xmlstream import ET

import slix
from slix import PASSWORD, SERVER, Client, Failed, iris_program, require, run_checks

NS = "urn:xmpp:pie:0"
DOMAIN = "localhost"
PICTURE = b"\x89PNG\r\n\x1a\n not really a picture"
IRIS_CONFIG = 'domains = ["localhost"]\n[policy]\nlifted_addresses = ["127.0.0.1"]\n'


class House:
    """A server of either kind on a folder of its own, beside the one of the part."""

    def __init__(self, kind, folder):
        self.kind, self.folder, self.env = kind, pathlib.Path(folder), {}

    def run(self, *arguments):
        done = subprocess.run(
            [sys.executable, str(SERVER), *arguments], capture_output=True, text=True, timeout=90, env={**os.environ, **self.env}
        )
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        return done.stdout

    def start(self):
        for line in self.run("start", self.kind, str(self.folder)).splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value.strip("'")

    def stop(self):
        with contextlib.suppress(Failed):
            self.run("stop")

    @contextlib.contextmanager
    def entered(self):
        """Clients that are made meanwhile go here."""
        before = {name: os.environ.get(name) for name in self.env}
        os.environ.update(self.env)
        host, slix.HOST = slix.HOST, self.env["HOST"]
        try:
            yield
        finally:
            slix.HOST = host
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def iris(*arguments):
    """A command of Iris; what it says."""
    done = subprocess.run([iris_program(), *arguments], capture_output=True, text=True, timeout=90)
    require(done.returncode == 0, f"iris {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def use_xep0227(config):
    """Prosody keeps what the format has a place for in files of the format; its storage of this kind knows nothing else."""
    stores = "".join(f'{name} = "xep0227"; ' for name in ("accounts", "roster", "vcard", "private", "archive"))
    text = config.read_text().replace('storage = "internal"', f'default_storage = "internal"; storage = {{ {stores}}}')
    # vCards as they are, not made of PEP.
    config.write_text(text.replace('"vcard4"; "vcard_legacy"; ', '"vcard"; '))


# -- what somebody does, and what must be there afterwards -----------------------------------------------------------


async def live(client, contact):
    """A card with a picture, a roster, private XML, a blocked address, a request without an answer, a message."""
    vcard = client.plugin["xep_0054"].make_vcard()
    vcard["FN"] = "Juliet Capulet"
    vcard["PHOTO"]["TYPE"], vcard["PHOTO"]["BINVAL"] = "image/png", PICTURE
    await client.plugin["xep_0054"].publish_vcard(vcard=vcard)
    client.update_roster(contact, name="Romeo & co", groups=["Friends", "Montague"])
    private = client.make_iq_set()
    query = ET.SubElement(private.xml, "{jabber:iq:private}query")
    ET.SubElement(ET.SubElement(query, "{exodus:prefs}exodus"), "{exodus:prefs}defaultnick").text = "Juliet"
    await private.send()
    client.send_message(contact, "Parting is such sweet sorrow", mtype="chat")
    await client.fence()


async def check_belongings(client, contact):
    vcard = await client.plugin["xep_0054"].get_vcard(jid=client.boundjid.bare)
    require(vcard["vcard_temp"]["FN"] == "Juliet Capulet", "the vCard is not there")
    require(vcard["vcard_temp"]["PHOTO"]["BINVAL"] == PICTURE, "the picture is not in the vCard")
    item = client.client_roster[contact]
    require(item["name"] == "Romeo & co", f"the contact's name is {item['name']!r}")
    require(set(item["groups"]) == {"Friends", "Montague"}, f"the groups are {item['groups']}")
    private = client.make_iq_get()
    query = ET.SubElement(private.xml, "{jabber:iq:private}query")
    ET.SubElement(query, "{exodus:prefs}exodus")
    answer = await private.send()
    require(b"Juliet" in ET.tostring(answer.xml), "the private XML is not there")


async def archived(client):
    bodies = []
    async for result in client.plugin["xep_0313"].iterate(reverse=False):
        bodies.append(result["mam_result"]["forwarded"]["stanza"]["body"])
    return bodies


# -- checks ----------------------------------------------------------------------------------------------------------


async def prosody_to_iris(stage):
    """Prosody's files move into a running Iris; people log in with the old password and find everything"""
    with tempfile.TemporaryDirectory(prefix="migration-") as folder:
        prosody = House("prosody", pathlib.Path(folder) / "prosody")
        prosody.start()
        try:
            use_xep0227(prosody.folder / "prosody.cfg.lua")
            prosody.run("restart")
            for person in ("juliet", "romeo", "mercutio"):
                prosody.run("adduser", f"{person}@{DOMAIN}", PASSWORD)
            with prosody.entered():
                juliet = await Client(f"juliet@{DOMAIN}", wire=stage.wire).login()
                mercutio = await Client(f"mercutio@{DOMAIN}", wire=stage.wire).login()
                await live(juliet, f"romeo@{DOMAIN}")
                mercutio.send_presence_subscription(pto=f"juliet@{DOMAIN}", ptype="subscribe")
                await juliet.expect("the request", lambda s: slix.is_presence(s, f"mercutio@{DOMAIN}", "subscribe"))
                await juliet.logout()
                await mercutio.logout()
        finally:
            prosody.stop()
        files = sorted((prosody.folder / "data").glob("*@*.xml"))
        require(len(files) == 3, f"Prosody wrote {[it.name for it in files]}")
        data = str(pathlib.Path(os.environ["SERVER_DIR"]) / "data")
        for file in files:
            stage.wire.write(f"{file.name}: {file.read_text()}\n")
            stage.wire.write(iris("import", str(file), "--data-dir", data))
    juliet = await Client(f"juliet@{DOMAIN}", wire=stage.wire).login()
    stage.clients.append(juliet)
    await check_belongings(juliet, f"romeo@{DOMAIN}")
    await juliet.expect("the request that waited", lambda s: slix.is_presence(s, f"mercutio@{DOMAIN}", "subscribe"))
    bodies = await archived(juliet)
    require("Parting is such sweet sorrow" in bodies, f"the archive has {bodies}")
    mechanism = juliet.plugin["feature_mechanisms"].mech.name
    return f"{len(files)} users of Prosody, login by {mechanism}, roster, vCard, private XML, request, archive"


async def iris_to_prosody(stage):
    """What Iris exports moves into Prosody; people log in with the old password and find everything"""
    juliet = await stage.client("juliet").login()
    name = juliet.boundjid.bare
    contact = f"romeo@{DOMAIN}"
    await live(juliet, contact)
    await juliet.logout()
    with tempfile.TemporaryDirectory(prefix="migration-") as folder:
        export = pathlib.Path(folder) / "export.xml"
        data = str(pathlib.Path(os.environ["SERVER_DIR"]) / "data")
        stage.wire.write(iris("export", str(export), "--domain", DOMAIN, "--data-dir", data))
        prosody = House("prosody", pathlib.Path(folder) / "prosody")
        prosody.start()
        try:
            use_xep0227(prosody.folder / "prosody.cfg.lua")
            for user in ET.parse(export).getroot().iter(f"{{{NS}}}user"):
                root = ET.Element(f"{{{NS}}}server-data")
                host = ET.SubElement(root, f"{{{NS}}}host", jid=DOMAIN)
                host.append(user)
                ET.ElementTree(root).write(prosody.folder / "data" / f"{user.get('name')}@{DOMAIN}.xml", encoding="utf-8")
            prosody.run("restart")
            with prosody.entered():
                juliet = await Client(name, wire=stage.wire).login()
                await check_belongings(juliet, contact)
                await juliet.logout()
        finally:
            prosody.stop()
        # Prosody's storage of this kind reads archives for its migrator only: a client's query is not answered.
        require("Parting is such sweet sorrow" in export.read_text(), "the archive is not in the export")
    return "login with the old password, roster, vCard, private XML; the archive is in the file"


if __name__ == "__main__":
    sys.exit(run_checks("migration", [prosody_to_iris, iris_to_prosody], sys.argv[1:]))
