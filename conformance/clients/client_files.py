#!/usr/bin/env python3
"""The largest file that a slot is given for by default, in and out over HTTPS.

    client_files.py [CHECK…]

Runs with the Python that slixmpp is installed for. Prints one line a check; exit code 0 when all hold.
"""

import asyncio
import sys

from slix import require, run_checks
from upload import get, pieces, put, resident_kib, same, slot

LARGE_BYTES = 2 << 30
# What an upload or a download may add to the memory of the server, whatever the file's size.
GROWTH_KIB_MAX = 16 * 1024


async def two_gigabytes(stage):
    """a file of 2 GiB goes in and out with flat memory, and its end is fetched alone"""
    romeo = await stage.client("romeo").login()
    path, headers = await slot(romeo, "large.bin", LARGE_BYTES)
    before = resident_kib()
    status = await asyncio.to_thread(put, path, headers, pieces(LARGE_BYTES), LARGE_BYTES)
    require(status == 201, f"PUT is answered {status}")
    after = resident_kib()
    most = await asyncio.to_thread(lambda: same(get(path), LARGE_BYTES))
    grown = max(after, most) - before
    require(grown < GROWTH_KIB_MAX, f"{grown} KiB more are resident")
    part = await asyncio.to_thread(lambda: get(path, {"Range": "bytes=-10"}))
    (*_, last) = pieces(1 << 20)
    require((part.status, part.read()) == (206, last[-10:]), "the end of the file is another")
    return f"{LARGE_BYTES >> 20} MiB, {grown} KiB more resident"


two_gigabytes.seconds_max = 280

if __name__ == "__main__":
    sys.exit(run_checks("files", [two_gigabytes], sys.argv[1:]))
