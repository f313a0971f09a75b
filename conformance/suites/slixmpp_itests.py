#!/usr/bin/env python3
"""Runs slixmpp's own integration tests against the server: one process and one time limit a test. Unchanged, but that
the one of components is told which component it is.

    slixmpp_itests.py SOURCE [--skip NAME]… [NAME…]

SOURCE is slixmpp's unpacked source distribution (its folder itests). The suite takes ports 5222 and 5223 for granted, so
run it where the server under test has them: a network namespace of its own (see conformance/run). Environment:
SERVER_DIR DOMAIN MUC_DOMAIN COMPONENT_PORT STATUS_PORT CA_FILE OUT as printed by `conformance/server start`. NAME is MODULE.CLASS.TEST.

Prints one line a test: ok, FAIL or skip. Whether that was expected is decided by conformance/results.py alone; the exit
code is 1 only when the suite itself could not run.
"""

import argparse
import http.server
import os
import pathlib
import subprocess
import sys
import threading

SUITE = "slixmpp-itests"
SERVER = pathlib.Path(__file__).resolve().parent.parent / "server"
TEST_SECONDS_MAX = 60
ACCOUNTS = {"CI_ACCOUNT1": "slix-ci-1", "CI_ACCOUNT2": "slix-ci-2"}
PASSWORD = "slix-ci-pass"

LIST = """
import importlib, pathlib, unittest
def walk(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from walk(item)
        else:
            yield item.id()
for path in sorted(pathlib.Path("itests").glob("test_*.py")):
    for name in walk(importlib.import_module("itests." + path.stem).suite):
        print(name.removeprefix("itests."))
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("source", type=pathlib.Path)
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--skip", action="append", default=[])
    chosen = arguments.parse_args()
    out = pathlib.Path(os.environ.get("OUT", "conformance/out")).resolve() / SUITE
    out.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    environment.pop("CI", None)  # the suite reads it as "at woodpecker, with host names of its own"
    tell_status(int(environment["STATUS_PORT"]))
    environment["SSL_CERT_FILE"] = environment["CA_FILE"]
    environment["CI_MUC_SERVER"] = environment["MUC_DOMAIN"]
    for variable, local in ACCOUNTS.items():
        environment[variable] = f"{local}@{environment['DOMAIN']}"
        environment[f"{variable}_PASSWORD"] = PASSWORD
        subprocess.run([sys.executable, str(SERVER), "adduser", environment[variable], PASSWORD], check=True, timeout=60)
    # The suite's package slixmpp in SOURCE lacks its compiled part; only itests is taken from there.
    home = out / "tree"
    home.mkdir(exist_ok=True)
    link = home / "itests"
    link.unlink(missing_ok=True)
    link.symlink_to((chosen.source / "itests").resolve())
    listed = subprocess.run([sys.executable, "-c", LIST], cwd=home, env=environment, capture_output=True, text=True, timeout=60)
    names = chosen.names or listed.stdout.split()
    if listed.returncode != 0 or not names:
        print(f"{SUITE}: no tests found in {chosen.source}: {listed.stderr}", file=sys.stderr)
        return 1
    for name in names:
        if name not in chosen.skip:
            run_one(name, home, out, environment)
    return 0


def tell_status(port):
    """The file of XEP-0455, which is on another machine: all is well."""

    class Well(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Well)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def run_one(name, home, out, environment):
    # Only there does the suite dare to be a component.
    if name.startswith("test_component."):
        environment = {**environment, "CI": "woodpecker"}
    command = [sys.executable, "-W", "ignore", "-c", RUN, f"itests.{name}", str(out / f"{name}.log")]
    try:
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=TEST_SECONDS_MAX)
        lines = [line for line in (done.stdout or "").splitlines() if line.startswith("verdict ")]
        verdict, _, reason = (lines[-1].removeprefix("verdict ") if lines else f"FAIL {done.stderr[-300:]}").partition(" ")
    except subprocess.TimeoutExpired:
        verdict, reason = "FAIL", f"not done within {TEST_SECONDS_MAX} s"
    print(f"{verdict} {SUITE} {name}: {' '.join(reason.split())[:300]}", flush=True)


RUN = """
import logging, os, sys, unittest
if "CI" in os.environ:
    import itests.test_component as it
    it.CI_JID, it.CI_SECRET, it.CI_SERVER, it.CI_PORT = "bot.localhost", "conformance", "localhost", int(os.environ["COMPONENT_PORT"])
logging.basicConfig(filename=sys.argv[2], filemode="w", level=logging.DEBUG, format="%(asctime)s %(message)s")
suite = unittest.defaultTestLoader.loadTestsFromName(sys.argv[1])
described = [test.shortDescription() or "" for group in suite for test in (group if hasattr(group, "__iter__") else [group])]
result = unittest.TextTestRunner(stream=open(sys.argv[2], "a")).run(suite)
bad = result.failures + result.errors
if bad:
    print("verdict FAIL", bad[0][1].strip().splitlines()[-1])
elif result.skipped:
    print("verdict skip", result.skipped[0][1])
elif result.testsRun == 1:
    print("verdict ok", *described)
else:
    print("verdict FAIL ran", result.testsRun, "tests")
"""

if __name__ == "__main__":
    sys.exit(main())
