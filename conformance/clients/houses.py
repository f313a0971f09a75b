"""Three servers that find each other: Iris, Prosody and ejabberd, each on a loopback address of its own, with certificates of an
authority that is made here, and a name server that knows where they are.

What they have in common is a mode (`MODES`): how they show each other who they are, and how they are found.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import threading
import time

from slix import OUT, PASSWORD, Failed, require

READY_SECONDS_MAX = 40
STOP_SECONDS_MAX = 15
SERVICES = ("conference", "pubsub", "upload", "push", "app")
DNS_PORT = 5353
# SASL EXTERNAL with certificates that all believe, behind STARTTLS; the same with TLS from the first byte; certificates that nobody
# believes, and keys (XEP-0220) instead; others whom Iris shall not believe, because it wants certificates: they have signed theirs
# themselves, or have one of the authority for somebody else; others that know no TLS but 1.2.
MODES = ("external", "direct", "dialback", "untrusted", "misnamed", "tls12")
# What of Iris's configuration a check may want otherwise.
USUAL = {"queue": 60, "idle": 900, "rules": ""}

IRIS = """\
domains = ["iris.test"]
[accounts]
admins = ["steward@iris.test"]
scram_iterations = 4096
[policy]
lifted_addresses = ["127.0.0.1"]
[limits]
peer_queue_timeout = "{queue}s"
peer_idle_timeout = "{idle}s"
[tls]
certificates = "{certificates}"
[web]
url = "https://iris.test:5443"
[log]
level = "debug"
[[listen]]
kind = "c2s"
address = "{address}:5222"
[[listen]]
kind = "https"
address = "{address}:5443"
[[listen]]
kind = "s2s"
address = "{address}:5269"
[[listen]]
kind = "s2s-tls"
address = "{address}:5270"
[federation]
authorities = "{authorities}"
certificate_required = {certificate_required}
{places}
{rules}
[xep.push]
include_sender = true
include_body = true
"""

PROSODY = """\
certificates = "{certificates}"
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
run_as_root = true
prosody_user = "root"
daemonize = false
network_backend = "epoll"
interfaces = {{ "{address}" }}
local_interfaces = {{ "{address}" }}
c2s_ports = {{ 5222 }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
http_ports = {{ }}
https_ports = {{ }}
component_ports = {{ 5347 }}
component_interfaces = {{ "{address}" }}
modules_enabled = {{
    "disco"; "roster"; "saslauth"; "tls"; "carbons"; "pep"; "private"; "blocklist"; "vcard4"; "vcard_legacy"; "mam";
    "version"; "uptime"; "time"; "ping"; "lastactivity"; "smacks"; "posix"; "s2s_bidi"; "says_so"; {dialback}
}}
plugin_paths = {{ "{dir}/modules" }}
modules_disabled = {{ "limits" }}
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {secure}
authentication = "internal_hashed"
default_iteration_count = 4096
storage = "internal"
default_archive_policy = true
log = {{ debug = "{dir}/prosody.log" }}
ssl = {{ cafile = "{authorities}"; {protocol} }}
-- libunbound takes "test" for a name that cannot be (RFC 6761), and this machine for one that is not asked.
unbound = {{
    resolvconf = false; hoststxt = false; forward = "{name_server}@{dns_port}";
    options = {{ ["do-not-query-localhost:"] = "no"; ["local-zone:"] = "test. transparent"; ["cache-max-negative-ttl:"] = "0" }};
}}
VirtualHost "prosody.test"
Component "conference.prosody.test" "muc"
    modules_enabled = {{ "muc_mam" }}
    muc_room_locking = false
    restrict_room_creation = false
Component "app.prosody.test"
    component_secret = "conformance"
"""

# Checks look for lines behind a mark: the log stays one file, and no line is left out (500 a second are the default: fewer than it has
# to say of itself while it debugs).
EJABBERD = """\
loglevel: info
log_rotate_size: infinity
log_burst_limit_count: 100000
hosts: [ejabberd.test]
certfiles: ["{certificates}/ejabberd.pem"]
ca_file: "{authorities}"
auth_method: internal
auth_password_format: scram
auth_scram_hash: sha256
registration_timeout: infinity
s2s_use_starttls: required
{protocol}
s2s_dns_timeout: 5
negotiation_timeout: 20
listen:
  - {{port: 5222, ip: "{address}", module: ejabberd_c2s, starttls: true, starttls_required: true, shaper: none}}
  - {{port: 5269, ip: "{address}", module: ejabberd_s2s_in, shaper: none}}
  - {{port: 5270, ip: "{address}", module: ejabberd_s2s_in, tls: true, shaper: none}}
  - {{port: 5280, ip: "{address}", module: ejabberd_http, request_handlers: {{/api: mod_http_api}}}}
  - port: 5347
    ip: "{address}"
    module: ejabberd_service
    hosts: {{app.ejabberd.test: {{password: conformance}}}}
api_permissions:
  accounts: {{who: {{ip: 127.0.0.0/8}}, what: [register]}}
shaper: {{}}
shaper_rules: {{}}
modules:
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_mam: {{default: always, db_type: mnesia}}
  mod_muc: {{access: all, access_create: all, room_shaper: none, default_room_options: {{mam: true}}}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{}}
  mod_time: {{}}
  mod_vcard: {{}}
  mod_version: {{}}
{dialback}
"""

# Erlang asks nobody but our name server, whatever the machine has.
INETRC = """\
{{lookup,[dns]}}.
{{resolv_conf,""}}.
{{hosts_file,""}}.
clear_hosts.
clear_ns.
{{nameserver,{{{name_server}}},{port}}}.
{{edns,false}}.
{{cache_refresh,1000}}.
"""


def network():
    """Loopback addresses that no other run has: by the process."""
    process = os.getpid()
    return f"127.{128 + (process >> 8 & 0x3F)}.{process & 0xFF}"


def alone():
    """How a program gets mounts of its own, as root or as anybody."""
    for options in ("-m", "-rm"):
        if subprocess.run(["unshare", options, "true"], capture_output=True, timeout=20).returncode == 0:
            return ["unshare", options]
    raise Failed("no mount namespace can be made")


# -- certificates ----------------------------------------------------------------------------------------------------


class Certificates:
    """An authority, and certificates of it; or of nobody."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        self._openssl("req", "-x509", *self._key("ca"), "-out", "ca.crt", "-days", "30", "-subj", "/CN=Federation CA")
        self.authorities = folder / "ca.crt"
        # What the clients believe: they are not who is tested here.
        self.bundle = folder / "bundle.crt"
        self.bundle.write_text(self.authorities.read_text())

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60)
        require(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}")

    @staticmethod
    def _key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]

    def issue(self, domain, trusted, named=None):
        """The chain and the key for a domain and its services; `named`: for what the certificate is, if not for that."""
        name = f"{named or domain}-{'trusted' if trusted else 'self'}"
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate.exists():
            return certificate, key
        names = ",".join(f"DNS:{it}" for it in (named or domain, *(f"{service}.{named or domain}" for service in SERVICES)))
        extensions = ["-addext", f"subjectAltName={names}", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        if trusted:
            (self.folder / f"{name}.ext").write_text(
                f"basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={names}\n"
            )
            self._openssl("req", *self._key(name), "-out", f"{name}.csr", "-subj", f"/CN={domain}")
            signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext"]
            self._openssl("x509", "-req", "-in", f"{name}.csr", *signer, "-out", f"{name}.crt")
        else:
            self._openssl("req", "-x509", *self._key(name), "-out", f"{name}.crt", "-days", "30", "-subj", f"/CN={domain}", *extensions)
            with open(self.bundle, "a", encoding="utf-8") as bundle:
                bundle.write(certificate.read_text())
        return certificate, key


# -- names -----------------------------------------------------------------------------------------------------------


class Names:
    """A name server of nothing but the three domains: A and SRV, over UDP. `asked` has what it was asked, and by whom nobody knows."""

    A, SRV = 1, 33

    def __init__(self, address):
        self.address = address
        self.records = {}
        self.asked = []
        names = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                data, way = self.request
                way.sendto(names.answer(data), self.client_address)

        self.server = socketserver.ThreadingUDPServer((address, DNS_PORT), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, data):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii").lower())
            at += data[at] + 1
        question = data[12 : at + 5]
        (kind,) = struct.unpack(">H", data[at + 1 : at + 3])
        name = ".".join(labels)
        self.asked.append((name, kind))
        found = self.records.get((name, kind), [])
        known = any(name == other for other, _ in self.records)
        # An answer, with authority; recursion as was wished; no such name.
        flags = 0x8400 | (data[2] & 1) << 8 | (0 if known else 3)
        head = data[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0)
        return head + question + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(it)) + it for it in found)

    @staticmethod
    def _wire(name):
        return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"

    def publish(self, domain, address, direct):
        """Only the SRV record says where the server is: at the address of the domain nobody listens."""
        elsewhere = socket.inet_aton(address.rsplit(".", 1)[0] + ".250")
        service, port = ("_xmpps-server", 5270) if direct else ("_xmpp-server", 5269)
        target = f"server.{domain}"
        self.records[target, self.A] = [socket.inet_aton(address)]
        for name in (domain, *(f"{it}.{domain}" for it in SERVICES)):
            self.records[name, self.A] = [elsewhere]
            for other in ("_xmpps-server", "_xmpp-server"):
                self.records.pop((f"{other}._tcp.{name}", self.SRV), None)
            self.records[f"{service}._tcp.{name}", self.SRV] = [struct.pack(">HHH", 5, 0, port) + self._wire(target)]

    def was_asked(self, since, service, domain):
        return (f"_{service}._tcp.{domain}", self.SRV) in self.asked[since:]


# -- servers ---------------------------------------------------------------------------------------------------------


class House:
    """A server of one kind, with data that stay from one start to the next."""

    def __init__(self, kind, number, world):
        self.kind, self.world = kind, world
        self.domain = f"{kind}.test"
        self.address = f"{world.network}.{number}"
        self.folder = world.folder / f"federation-{kind}"
        self.process = None
        self.wish = None

    @property
    def place(self):
        return self.address, 5222

    @property
    def rooms(self):
        return f"conference.{self.domain}"

    def start(self, mode, **changes):
        """Unless it runs so already."""
        wish = (mode, {**USUAL, **changes} if self.kind == "iris" else {})
        if self.process is not None:
            if wish == self.wish and self.process.poll() is None:
                return
            self.stop()
        self.wish = wish
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "data").mkdir(exist_ok=True)
        command, environment = getattr(self, f"_{self.kind}")(mode)
        said = self.folder / "stdout.log"
        mark = said.stat().st_size if said.exists() else 0
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=open(said, "ab"),
            stderr=open(self.folder / "stderr.log", "ab"),
            env={**os.environ, **environment},
            # Erlang leaves things where it was started.
            cwd=self.folder,
            start_new_session=True,
        )
        # Whoever ends the run finds it there, as with those of `conformance/server`.
        (self.folder / "server.json").write_text(json.dumps({"PID": self.process.pid, "SERVER_KIND": self.kind}))
        self._wait(mark)

    def _wait(self, mark):
        deadline = time.monotonic() + READY_SECONDS_MAX
        waiting = [5222, 5269, 5270]
        while waiting:
            require(self.process.poll() is None, f"{self.kind} has ended: {self._tail()}")
            require(time.monotonic() < deadline, f"{self.kind} does not listen at {waiting}: {self._tail()}")
            with contextlib.suppress(OSError):
                socket.create_connection((self.address, waiting[0]), timeout=1).close()
                waiting.pop(0)
                continue
            time.sleep(0.05)
        # Its ports are open before it can be given accounts.
        while self.kind == "iris" and b"iris ready" not in (self.folder / "stdout.log").read_bytes()[mark:]:
            require(self.process.poll() is None and time.monotonic() < deadline, f"iris is not ready: {self._tail()}")
            time.sleep(0.05)

    def _tail(self):
        lines = (self.folder / "stderr.log").read_text(errors="replace") + (self.folder / "stdout.log").read_text(errors="replace")
        return " ".join(lines.split()[-60:])

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        # Whoever has ended the run may have taken it away.
        (self.folder / "server.json").unlink(missing_ok=True)

    # What it writes about itself: from `mark` on.

    @property
    def log(self):
        return self.folder / {"iris": "stderr.log", "prosody": "prosody.log", "ejabberd": "ejabberd.log"}[self.kind]

    def mark(self):
        return self.log.stat().st_size if self.log.exists() else 0

    def said(self, mark, *texts):
        """Is there a line after the mark that has all of them?"""
        with open(self.log, "rb") as file:
            file.seek(mark)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return any(all(text in line for text in texts) for line in lines)

    def _keys(self, mode):
        return {
            "dir": self.folder,
            "address": self.address,
            "authorities": self.world.certificates.authorities,
            "certificates": self.folder / "certs",
            "name_server": self.world.names.address,
            "dns_port": DNS_PORT,
        }

    def _certificate(self, mode):
        """In a folder, under the name of the domain."""
        certs = self.folder / "certs"
        shutil.rmtree(certs, ignore_errors=True)
        certs.mkdir()
        iris = self.kind == "iris"
        trusted = mode != "dialback" and (mode != "untrusted" or iris)
        named = None if iris or mode != "misnamed" else "somebody-else.test"
        certificate, key = self.world.certificates.issue(self.domain, trusted, named)
        shutil.copy(certificate, certs / f"{self.domain}.crt")
        shutil.copy(key, certs / f"{self.domain}.key")
        return certificate, key

    def _iris(self, mode):
        self._certificate(mode)
        # Where others are it is told, or it asks; then with leave to connect to this machine.
        others = [it for it in self.world.houses.values() if it is not self]
        if mode == "direct":
            addresses = ", ".join(f'"{it.address}"' for it in others)
            places = f'name_server = "{self.world.names.address}:{DNS_PORT}"\nprivate_addresses = [{addresses}]'
        else:
            names = [(prefix, it) for it in others for prefix in ("", *(f"{service}." for service in SERVICES))]
            listed = ", ".join(f'"{prefix}{it.domain}" = ["{it.address}:5269"]' for prefix, it in names)
            places = f'servers = {{ {listed} }}\nname_server = "{self.world.names.address}:{DNS_PORT}"'
        required = "false" if mode == "dialback" else "true"
        config = self.folder / "iris.toml"
        config.write_text(IRIS.format(**self._keys(mode), **self.wish[1], certificate_required=required, places=places))
        return [self.world.iris, "serve", "--config", str(config), "--data-dir", str(self.folder / "data")], {}

    def _prosody(self, mode):
        self._certificate(mode)
        by_key = mode in ("dialback", "untrusted", "misnamed")
        # It may be named by others (XEP-0485 7); its own module for that is of a later version.
        (self.folder / "modules").mkdir(exist_ok=True)
        (self.folder / "modules" / "mod_says_so.lua").write_text('module:add_feature("urn:xmpp:serverinfo:0")\n')
        config = self.folder / "prosody.cfg.lua"
        config.write_text(
            PROSODY.format(
                **self._keys(mode),
                secure="false" if by_key else "true",
                dialback='"dialback";' if by_key else "",
                protocol='protocol = "tlsv1_2"' if mode == "tls12" else "",
            )
        )
        return ["prosody", "--root", "-F", "--config", str(config)], {}

    def _ejabberd(self, mode):
        certificate, key = self._certificate(mode)
        (self.folder / "certs" / "ejabberd.pem").write_text(certificate.read_text() + key.read_text())
        by_key = mode in ("dialback", "untrusted", "misnamed")
        config, inetrc = self.folder / "ejabberd.yml", self.folder / "inetrc"
        dialback = "  mod_s2s_dialback: {}" if by_key else ""
        protocol = "s2s_protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1, no_tlsv1_3]" if mode == "tls12" else ""
        config.write_text(EJABBERD.format(**self._keys(mode), dialback=dialback, protocol=protocol))
        inetrc.write_text(INETRC.format(name_server=self.world.names.address.replace(".", ","), port=DNS_PORT))
        listed = subprocess.run(["dpkg", "-L", "ejabberd"], capture_output=True, text=True, timeout=30).stdout
        libraries = [it.rsplit("/", 2)[0] for it in listed.splitlines() if it.endswith("/ebin")]
        environment = {
            "EJABBERD_CONFIG_PATH": str(config),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_INETRC": str(inetrc),
            "ERL_LIBS": os.environ.get("ERL_LIBS") or (libraries[0] if libraries else "/usr/lib/x86_64-linux-gnu"),
            "HOME": str(self.folder),
        }
        directory = f'"{self.folder / "data"}"'
        # It asks for records itself, but for addresses the system, which then is told by the hosts file: a mount that only it sees.
        hosts = self.folder / "hosts"
        others = [it for it in self.world.houses.values() if it is not self]
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{it.address} server.{it.domain}\n" for it in others))
        mounted = ["sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
        return [*alone(), *mounted, "erl", "+K", "true", "-noinput", "-mnesia", "dir", directory, "-s", "ejabberd"], environment

    # Accounts.

    def adduser(self, name):
        getattr(self, f"_add_to_{self.kind}")(name)

    def _add_to_iris(self, name):
        data, config = str(self.folder / "data"), str(self.folder / "iris.toml")
        command = [self.world.iris, "user", "add", f"{name}@{self.domain}", "--config", config, "--data-dir", data, "--password-stdin"]
        done = subprocess.run(command, input=PASSWORD, text=True, capture_output=True, timeout=30)
        require(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}")

    def _add_to_prosody(self, name):
        config = str(self.folder / "prosody.cfg.lua")
        command = ["prosodyctl", "--root", "--config", config, "register", name, self.domain, PASSWORD]
        done = subprocess.run(command, text=True, capture_output=True, timeout=30)
        require(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}")

    def _add_to_ejabberd(self, name):
        way = http.client.HTTPConnection(self.address, 5280, timeout=20)
        body = json.dumps({"user": name, "host": self.domain, "password": PASSWORD})
        way.request("POST", "/api/register", body, {"Content-Type": "application/json"})
        answer = way.getresponse()
        text = answer.read().decode()
        way.close()
        require(answer.status == 200, f"{name}: {answer.status} {text}")


class World:
    """All of it. Servers are started when a check wants them, and stay for the next one that wants them so."""

    def __init__(self, folder, iris, kinds):
        self.folder, self.iris = pathlib.Path(folder).resolve(), iris
        for old in self.folder.glob("federation-*"):
            shutil.rmtree(old)
        self.network = network()
        self.certificates = Certificates(self.folder / "federation-authority")
        self.names = Names(f"{self.network}.53")
        self.houses = {kind: House(kind, number, self) for number, kind in enumerate(("iris", *kinds), start=2)}

    def arrange(self, mode, *kinds, **changes):
        houses = [self.houses[kind] for kind in ("iris", *kinds)]
        for house in houses:
            self.names.publish(house.domain, house.address, mode == "direct")
            house.start(mode, **changes)
        return houses

    def close(self):
        for house in self.houses.values():
            house.stop()
            # To be looked at, beside what the clients saw.
            if house.log.exists():
                shutil.copy(house.log, OUT / "federation" / f"{house.kind}.log")
        self.names.close()
