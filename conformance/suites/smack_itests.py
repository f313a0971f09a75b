#!/usr/bin/env python3
"""Runs Smack's integration tests (smack-integration-test of Maven Central), unchanged, against the server.

    smack_itests.py JARS [--slice] [CLASS[.METHOD]…]

JARS is a folder with smack-integration-test and all that it needs. The suite looks for the domain's own ports, so run it
where the server under test has 5222 (and 443 for WebSocket): a network namespace of its own (see conformance/run).
Environment: SERVER_KIND SERVER_DIR DOMAIN ADDRESS CA_FILE OUT as printed by `conformance/server start`. The suite makes and removes its
accounts itself, as an administrator with XEP-0133. `--slice` takes the test classes of SLICE only.

Prints one line a test: ok, FAIL, none (it has shown nothing) or skip, where skip is what the suite itself says is not possible with this server.
Whether that was expected is decided by conformance/results.py alone; the exit code is 1 only when the suite itself could
not run. The suite's log with every stanza: OUT/smack-itests/suite-N.log.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

SUITE = "smack-itests"
SERVER = pathlib.Path(__file__).resolve().parent.parent / "server"
FRAMEWORK = "org.igniterealtime.smack.inttest.SmackIntegrationTestFramework"
# The same with a library for OMEMO set up; it runs the tests of OMEMO only.
OMEMO_FRAMEWORK = "org.igniterealtime.smack.inttest.smack_omemo_signal.SmackOmemoSignalIntegrationTestFramework"
ADMIN, PASSWORD = "steward", "smack-admin-pass"
SUITE_SECONDS_MAX = 560
# An answer that does not come within this time fails its test; presence between busy processes takes its time in CI.
REPLY_MS_MAX = 10_000
# Disco, caps, presence, roster, archive, personal eventing, ad-hoc commands, stream management: what a client lives on.
SLICE = [
    "AdHocCommandIntegrationTest",
    "EntityCapsTest",
    "LoginIntegrationTest",
    "LowLevelRosterIntegrationTest",
    "MamIntegrationTest",
    "MoodIntegrationTest",
    "PingIntegrationTest",
    "RosterIntegrationTest",
    "SimpleXmppConnectionIntegrationTest",
    "StreamManagementTest",
    "VersionIntegrationTest",
    "XmppConnectionIntegrationTest",
]

# What needs OMEMO_FRAMEWORK.
OMEMO = [
    "MessageEncryptionIntegrationTest",
    "OmemoMamDecryptionTest",
    "ReadOnlyDeviceIntegrationTest",
    "SessionRenegotiationIntegrationTest",
]

# Run by themselves, with accounts of their own. The first takes what the server rightly sends after the clean-up of the test
# before (an unsubscribe of the contact that was removed, RFC 6121 2.5.2) for its own; the second takes for granted that the
# archive of its accounts is empty, and what the other tests of OMEMO said to them is in there.
ALONE = ["RosterIntegrationTest.testPresenceDeliveredToRecipient", "OmemoMamDecryptionTest"]
# A race of the test, read in the sources of 4.5.0-beta5 and seen on its own wire: OmemoMamDecryptionTest.java:73 hands the message
# to one connection, :75 asks the archive on another, and nothing between them waits: the query is written 3 ms behind the message,
# long before the ack of it, so a server may answer either first (:76, "expected: <1> but was: <0>"). The other half: :66 is to keep
# the receiver from decrypting what comes live, and does not: OmemoManager.java:952 removes `this::internalOmemoMessageStanzaListener`,
# a new object each time it is written (JLS 15.13.3), not the one that :943 has added. Who decrypts first takes the key along, and
# :81 finds null ("has been decrypted before"). MamIntegrationTest waits for the message and shows that messages are archived.
RACES = "OmemoMamDecryptionTest.mamDecryptionTest(Normal)"
RACES_LOST = ("expected: <1> but was: <0>", 'MessageOrOmemoMessage.getOmemoMessage()" is null')
WEBSOCKET = ["modular-websocket-okhttp", "modular-websocket-java11"]

# Prosody's room form lacks a field that these take for granted: the whole suite stops there.
CONTROL_WITHOUT = [
    "MultiUserChatEntityIntegrationTest",
    "MultiUserChatIntegrationTest",
    "MultiUserChatOccupantIntegrationTest",
    "MultiUserChatRolesAffiliationsPrivilegesIntegrationTest",
]

EVENT = re.compile(r"^(?:INFO|SEVERE): (\w+\.\w+) \((.+?)\) (Start|Success|Failed|is not possible)$")
IMPOSSIBLE_CLASS = re.compile(r"^INFO: Could not run [\w.]+\.(\w+) because: (.*)$")
IMPOSSIBLE_TEST = re.compile(r"^INFO: Could not run (\w+\.\w+) \((.+?)\) because: (.*)$")
OTHER = re.compile(r"^(?:INFO|WARNING|SEVERE): ")
CAUSE = re.compile(r"^Caused by: (.*)$")
# What was written stands on the next line, or (without its `<`) on this one.
SENT = re.compile(r"^[\d:.]+ SENT \((\d+)\): ?(.*)$")
STANZA = re.compile(r"^<?(iq|message|presence)\b")
CLOSED = re.compile(r"^[\d:.]+ XMPPConnection closed \(.*\((\d+)\)\)$")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("jars", type=pathlib.Path)
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--slice", action="store_true")
    chosen = arguments.parse_args()
    out = pathlib.Path(os.environ.get("OUT", "conformance/out")).resolve() / SUITE
    out.mkdir(parents=True, exist_ok=True)
    jid = f"{ADMIN}@{os.environ['DOMAIN']}"
    subprocess.run([sys.executable, str(SERVER), "adduser", jid, PASSWORD], check=True, timeout=60)
    store = trust_store(out)
    if chosen.names:
        runs = [(chosen.names, [])]
    else:
        runs = [(SLICE if chosen.slice else [], OMEMO + [name for name in ALONE if name not in OMEMO])]
        runs += [([name], []) for name in ALONE if not (chosen.slice and name in OMEMO)]
        if not chosen.slice:
            runs.append(([name for name in OMEMO if name not in ALONE], []))
    deadline = time.monotonic() + SUITE_SECONDS_MAX
    told = set()
    for number, (enabled, disabled) in enumerate(runs):
        with open(out / f"suite-{number}.log", "w", encoding="utf-8") as log:
            framework = OMEMO_FRAMEWORK if set(enabled) & set(OMEMO) else FRAMEWORK
            if not run(command(framework, store, chosen.jars, enabled, disabled), log, told, deadline):
                return 1
    return 0


def run(suite_command, log, told, deadline):
    """One run of the framework; False when it did not come to a first test."""
    suite = subprocess.Popen(
        suite_command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=one_at_a_time,
    )
    limit = threading.Timer(max(deadline - time.monotonic(), 1), suite.kill)
    limit.start()
    listener = Listener(told)
    before = len(told)
    for line in suite.stdout:
        log.write(line)
        listener.hear(line.rstrip("\n"))
    code = suite.wait()
    limit.cancel()
    if len(told) == before and not listener.finished:
        print(f"{SUITE}: the suite ended with code {code} before its first test; see {log.name}", file=sys.stderr)
        return False
    if not listener.finished:
        print(f"FAIL {SUITE} suite: ended with code {code} before it was through; see {log.name}", flush=True)
    return True


def one_at_a_time():
    """The threads of Smack take turns on one processor, each until it waits for something.

    Smack's modular connection loses a wake-up when two of its threads meet between the last look at the queue and the setting
    of what the socket is watched for (`XmppTcpTransportModule.onChannelSelected`, the end; `SmackReactor.setInterestOps` keeps
    both, the later one wins): a ClientHello or a stanza then never leaves, as captured packets show.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def trust_store(out):
    """A trust store that holds the CA of the server under test only."""
    store = out / "trust.p12"
    store.unlink(missing_ok=True)
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", os.environ["CA_FILE"]]
        + ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", PASSWORD],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return store


def command(framework, store, jars, enabled, disabled):
    settings = {
        "service": os.environ["DOMAIN"],
        "host": os.environ["ADDRESS"],
        "securityMode": "required",
        "dnsResolver": "javax",
        "replyTimeout": REPLY_MS_MAX,
        "adminAccountUsername": ADMIN,
        "adminAccountPassword": PASSWORD,
        "debugger": "console",
    }
    if os.environ["SERVER_KIND"] == "prosody":
        disabled = disabled + CONTROL_WITHOUT
        settings["disabledConnections"] = ",".join(WEBSOCKET)
    if enabled:
        settings["enabledTests"] = ",".join(enabled)
    if disabled:
        settings["disabledTests"] = ",".join(disabled)
    return [
        "java",
        # The suite runs its classes in the order of their hash codes: with one for all it is the same order every time.
        "-XX:+UnlockExperimentalVMOptions",
        "-XX:hashCode=2",
        "-Djava.util.logging.SimpleFormatter.format=%4$s: %5$s%6$s%n",
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
        *(f"-Dsinttest.{name}={value}" for name, value in settings.items()),
        "-cp",
        f"{jars}/*",
        framework,
    ]


class Listener:
    """Follows the suite's log line by line and prints one line a test.

    A failure's reason stands in the lines after it: the innermost cause before the next line of the log is taken.

    One fault is Smack's own and depends on nobody's doing: when a roster push arrives while it closes its stream, it writes the
    answer as the first thing on its next connection, before the stream header, and is refused with bad-format (its comment at
    `XMPPTCPConnection.sendSmAcknowledgementInternal` tells of the same with acks). Where its wire shows that, the test has
    shown nothing.
    """

    def __init__(self, told):
        self.told = told
        self.finished = False
        self.failed = None
        self.cause = ""
        # Connections by number: closed, about to write their first line again, and those that wrote something else than a header.
        self.ended, self.writing, self.untimely = set(), None, set()

    def hear(self, line):
        self.watch(line)
        if self.failed and (cause := CAUSE.match(line)):
            self.cause = cause[1]
        if not OTHER.match(line):
            return
        self.close()
        if event := EVENT.match(line):
            test = f"{event[1]}({event[2].replace(' ', '')})"
            if event[3] == "Start":
                self.untimely.clear()
            elif event[3] == "Success":
                self.tell("ok", test, event[2])
            elif event[3] == "Failed":
                self.failed = test
        elif found := IMPOSSIBLE_TEST.match(line):
            self.tell("skip", f"{found[1]}({found[2].replace(' ', '')})", found[3])
        elif found := IMPOSSIBLE_CLASS.match(line):
            self.tell("skip", found[1], found[2])
        elif " finished: " in line:
            self.finished = True

    def watch(self, line):
        """What Smack writes first on a connection that it opens again."""
        text = line
        if closed := CLOSED.match(line):
            self.ended.add(closed[1])
        elif (sent := SENT.match(line)) and sent[1] in self.ended:
            self.writing, text = sent.groups()
        if self.writing is not None and text:
            if STANZA.match(text):
                self.untimely.add(self.writing)
            self.ended.discard(self.writing)
            self.writing = None

    def close(self):
        """The failure whose lines were being read is told."""
        if self.failed and self.untimely and "StreamErrorException: bad-format" in self.cause:
            self.tell("none", self.failed, "Smack wrote a stanza before the header of its next stream")
        elif self.failed == RACES and self.cause.endswith(RACES_LOST):
            self.tell("none", self.failed, "Smack's two connections of this test overtook each other")
        elif self.failed:
            self.tell("FAIL", self.failed, self.cause or "without a cause")
        self.failed, self.cause = None, ""

    def tell(self, verdict, test, text):
        if test not in self.told:
            self.told.add(test)
            print(f"{verdict} {SUITE} {test}: {' '.join(text.split())[:300]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
