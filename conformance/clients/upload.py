"""Files over HTTP (XEP-0363) as a client moves them, of any size: bytes are made and compared as they go, and held nowhere."""

import http.client
import json
import os
import pathlib
import ssl
import urllib.parse

from slixmpp.xmlstream import ET

from slix import DOMAIN, Failed, require

NS = "urn:xmpp:http:upload:0"


def state():
    return json.loads((pathlib.Path(os.environ["SERVER_DIR"]) / "server.json").read_text())


def pid():
    return state()["PID"]


def resident_kib():
    status = pathlib.Path(f"/proc/{pid()}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def slot(client, name, size):
    """Where a file goes, and with which headers."""
    iq = client.make_iq_get(ito=f"upload.{DOMAIN}")
    request = ET.SubElement(iq.xml, f"{{{NS}}}request", filename=name, size=str(size))
    request.set("content-type", "application/octet-stream")
    answer = await iq.send(timeout=20)
    put = answer.xml.find(f".//{{{NS}}}put")
    headers = {it.get("name"): it.text for it in put.findall(f"{{{NS}}}header")}
    return urllib.parse.urlsplit(put.get("url")).path, headers


def connection():
    trusted = ssl.create_default_context(cafile=os.environ["CA_FILE"])
    return http.client.HTTPSConnection("localhost", int(os.environ["HTTPS_PORT"]), context=trusted, timeout=60)


def pieces(size):
    block = bytes(at % 251 for at in range(1 << 20))
    while size > 0:
        yield block[: min(size, len(block))]
        size -= len(block)


def put(path, headers, body, size):
    web = connection()
    web.request("PUT", path, body, {**headers, "Content-Length": str(size), "Content-Type": "application/octet-stream"})
    return web.getresponse().status


def get(path, headers=None):
    web = connection()
    web.request("GET", path, headers=headers or {})
    return web.getresponse()


def same(response, size):
    """Is the body what `pieces` makes? And the most memory that the server had meanwhile."""
    most = 0
    for piece in pieces(size):
        if response.read(len(piece)) != piece:
            raise Failed("other bytes come out than went in")
        most = max(most, resident_kib())
    require(response.read(1) == b"", "more bytes come out than went in")
    return most
