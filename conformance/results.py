#!/usr/bin/env python3
"""Judges the result lines of the conformance runs against suites/expected.toml, prints the table, writes RESULTS.md.

    results.py report quick|full SERVER FOLDER PART…     FOLDER/PART.txt holds the lines of one part
    results.py exceptions SERVER PART                    the tests that are expected not to pass, one a line

A result line is `ok|FAIL|skip|none PART TEST: text`; none says that the program does not know what the test is about. A test that fails or is skipped without an entry in expected.toml is a
failure, and so is one with an entry that passes, and (in a full run) an entry that no test bears.
"""

import collections
import datetime
import os
import pathlib
import platform
import re
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
LINE = re.compile(r"(ok|FAIL|skip|none) (\S+) (\S+): ?(.*)")


def main(arguments):
    match arguments:
        case ["exceptions", server, part]:
            print(*expected(server, part), sep="\n")
            return 0
        case ["report", ("quick" | "full") as mode, server, folder, *parts]:
            return report(mode, server, pathlib.Path(folder), parts)
    print(__doc__, file=sys.stderr)
    return 2


def expected(server, part):
    """Test -> reason, for the tests of `part` that cannot pass with `server` yet."""
    with open(HERE / "suites" / "expected.toml", "rb") as file:
        return tomllib.load(file).get(server, {}).get(part, {})


def report(mode, server, folder, parts):
    rows = []
    for part in parts:
        rows += judge(mode, part, folder / f"{part}.txt", expected(server, part))
    width = max(len(f"{part} {test}") for _, part, test, _ in rows)
    for verdict, part, test, text in rows:
        print(f"{verdict:9} {part + ' ' + test:{width}}  {text[:160]}")
    count = collections.Counter(verdict for verdict, *_ in rows)
    if mode == "full":
        # The committed page is Iris's; the control's stays with the logs.
        page = HERE / "RESULTS.md" if server == "iris" else folder.parent / f"RESULTS-{server}.md"
        page.write_text(markdown(rows, count, server), encoding="utf-8")
    print(
        f"\n{count['exception']} exceptions with a reason in conformance/suites/expected.toml, {count['none']} undecided, {count['skipped']} parts skipped, "
        f"{os.environ.get('SECONDS_TAKEN', '?')} s; wire logs and pictures in conformance/out"
    )
    print(f"{count['ok']} passed, {count['FAIL']} failed")
    return 1 if count["FAIL"] or not count["ok"] else 0


def judge(mode, part, path, exceptions):
    """Rows (verdict, part, test, text); verdicts are ok, FAIL, exception, skipped, none."""
    rounds = collections.defaultdict(list)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        found = LINE.match(line)
        if found:
            outcome, _, test, text = found.groups()
            rounds[test].append((outcome, text))
    if not rounds:
        return [("FAIL", part, "part", "printed no result at all")]
    rows = []
    for test, results in rounds.items():
        rows.append(judge_one(part, test, results, exceptions))
    if mode == "full" and "part" not in rounds and "setup" not in rounds:
        rows += [
            ("FAIL", part, test, "is in expected.toml, but there is no such test") for test in exceptions if test not in rounds
        ]
    return rows


def judge_one(part, test, results, exceptions):
    # The worst round counts: a test that passes only sometimes does not pass.
    worst = next(r for kind in ("FAIL", "skip", "none", "ok") for r in results if r[0] == kind)
    outcome, text = worst
    if len(results) > 1:
        good = sum(1 for kind, _ in results if kind == "ok")
        text = f"[{good} of {len(results)} rounds] {text}"
    reason = exceptions.get(test)
    if outcome == "none" and reason is None:
        return ("none", part, test, text)
    if outcome == "skip" and test == "setup":
        return ("skipped", part, test, text)
    if reason is None:
        return (
            ("ok", part, test, text)
            if outcome == "ok"
            else ("FAIL", part, test, text if outcome == "FAIL" else f"skipped without a reason: {text}")
        )
    if outcome == "ok":
        return ("FAIL", part, test, f"passes although expected.toml says: {reason}; remove the entry")
    return ("exception", part, test, reason)


def markdown(rows, count, server):
    cell = lambda text: text.replace("|", "\\|").replace("<", "&lt;")  # noqa: E731
    lines = [
        "# Conformance: other people's clients and suites",
        "",
        f"Written by `conformance/run full` on {datetime.date.today().isoformat()} with the server {versions(server)[0]}: "
        f"**{count['ok']} passed, {count['FAIL']} failed**, {count['exception']} exceptions with a reason, {count['none']} undecided (`none`: its own text says why), {count['skipped']} parts skipped.",
        "",
        "| program | version |",
        "| --- | --- |",
    ]
    lines += [f"| {name} | {version} |" for name, version in versions(server)[1]]
    lines += ["", "| result | part | test | what |", "| --- | --- | --- | --- |"]
    lines += [f"| {verdict} | {part} | {cell(test)} | {cell(text)} |" for verdict, part, test, text in rows]
    return "\n".join(lines) + "\n"


def versions(server):
    """The name and version of the server, and (program, version) of everything else that took part."""

    def first_line(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip().splitlines()[0]
        except (OSError, IndexError, subprocess.SubprocessError):
            return "not installed"

    def debian(package):
        return first_line("dpkg-query", "-W", "-f=${Version}", package)

    if server == "iris":
        program = os.environ.get("IRIS") or next(
            (str(p) for kind in ("release", "debug") if (p := HERE.parent / "target" / kind / "iris").exists()), "iris"
        )
        name = f"Iris ({first_line(program, '--version')})"
    else:
        name = f"Prosody {debian('prosody')}, as the control"
    venv = os.environ.get("PYTHON", "python3")
    python_package = lambda p: first_line(venv, "-c", f"import importlib.metadata as m; print(m.version('{p}'))")  # noqa: E731
    return name, [
        ("slixmpp, and its integration tests", python_package("slixmpp")),
        ("Smack's integration tests", os.environ.get("SMACK", "?")),
        ("Java", debian("openjdk-17-jre-headless")),
        ("aiohttp", python_package("aiohttp")),
        ("Python", first_line(venv, "--version")),
        ("@xmpp/client", os.environ.get("XMPPJS", "?")),
        ("strophe.js", os.environ.get("STROPHE", "?")),
        ("converse.js", os.environ.get("CONVERSE", "?")),
        ("Chromium", debian("chromium")),
        ("Firefox", debian("firefox-esr")),
        ("Dino", debian("dino-im")),
        ("Poezio", f"{debian('poezio')}; in the bubble {os.environ.get('POEZIO', '?')}"),
        ("go-sendxmpp", debian("go-sendxmpp")),
        ("node", first_line("node", "--version")),
        ("Profanity", debian("profanity")),
        ("libstrophe", debian("libstrophe0")),
        ("Gajim", debian("gajim")),
        ("nbxmpp", debian("python3-nbxmpp")),
        ("system", platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform())),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
