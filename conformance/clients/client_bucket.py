#!/usr/bin/env python3
"""Files in a bucket of S3 that is not ours: moto's server, which checks keys and signatures as Amazon's does.

    client_bucket.py [CHECK…]

Runs with the Python that moto and slixmpp are installed for. Prints one line a check; exit code 0 when all hold.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import boto3
from slix import DOMAIN, SERVER, Failed, require, run_checks, server_command
from upload import connection, get, pid, pieces, put, resident_kib, same, slot, state

BUCKET = "files"
# Requests that make the bucket and a key for it; from then on nobody is let in without one.
FREE_REQUESTS = 4
LARGE_BYTES = 96 * 1024 * 1024 + 5
# What an upload or a download may add to the memory of the server, whatever the file's size.
GROWTH_KIB_MAX = 40 * 1024


class Store:
    """The store, a key that is good for it, and what lies there."""

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{port}"
        program = pathlib.Path(sys.executable).with_name("moto_server")
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(FREE_REQUESTS)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], env=environment, **quiet)
        try:
            self._wait(port)
            iam = self._client("iam", "any", "any")
            iam.create_user(UserName="iris")
            key = iam.create_access_key(UserName="iris")["AccessKey"]
            allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
            iam.put_user_policy(UserName="iris", PolicyName="files", PolicyDocument=policy)
            self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
            self.s3 = self._client("s3", self.key, self.secret)
            self.s3.create_bucket(Bucket=BUCKET)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20)

    def _wait(self, port):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            require(self.process.poll() is None, "moto's server ended")
            time.sleep(0.1)
        raise Failed("moto's server does not listen")

    def _client(self, service, key, secret):
        names = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.endpoint, **names)

    def files(self):
        listed = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [it["Key"] for it in listed if not it["Key"].endswith("house")]

    def half(self):
        """Uploads that are neither completed nor given up."""
        return self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])

    def configuration(self, *, bucket=BUCKET, secret=None):
        return (
            f'[files]\nkind = "s3"\nendpoint = "{self.endpoint}"\nbucket = "{bucket}"\nprefix = "iris"\n'
            f'access_key_id = "{self.key}"\nsecret_access_key = "{secret or self.secret}"\n'
        )


@contextlib.contextmanager
def house(store):
    """The server of the part, with its files in the bucket; afterwards as it was."""
    config = pathlib.Path(os.environ["SERVER_DIR"]) / "iris.toml"
    before = config.read_text()
    config.write_text(before + store.configuration())
    try:
        server_command("restart")
        yield config
    finally:
        config.write_text(before)
        server_command("restart")


def program():
    return state()["command"][0]


async def in_time(what, is_so):
    end = time.monotonic() + 20
    while not is_so():
        require(time.monotonic() < end, what)
        await asyncio.sleep(0.1)


async def files_in_a_bucket(stage):
    """a file goes in part by part, comes out whole and in ranges with flat memory, and goes with its owner"""
    with Store() as store, house(store):
        romeo = await stage.client("romeo").login()
        path, headers = await slot(romeo, "large.bin", LARGE_BYTES)
        before = resident_kib()
        status = await asyncio.to_thread(put, path, headers, pieces(LARGE_BYTES), LARGE_BYTES)
        require(status == 201, f"PUT is answered {status}")
        after = resident_kib()
        require(len(store.files()) == 1 and not store.half(), f"in the bucket: {store.files()}, half: {store.half()}")
        most = await asyncio.to_thread(lambda: same(get(path), LARGE_BYTES))
        grown = max(after, most) - before
        require(grown < GROWTH_KIB_MAX, f"{grown} KiB more are resident")
        part = await asyncio.to_thread(lambda: get(path, {"Range": f"bytes={LARGE_BYTES - 10}-"}))
        tail = b"".join(pieces(LARGE_BYTES))[-10:]
        require((part.status, part.read()) == (206, tail), "the end of the file is another")
        await romeo.logout()
        subprocess.run(
            [program(), "user", "remove", romeo.boundjid.bare, "--data-dir", str(pathlib.Path(os.environ["SERVER_DIR"]) / "data")],
            check=True,
            capture_output=True,
            timeout=60,
        )
        await in_time("its bytes stay in the bucket", lambda: not store.files())
    return f"{LARGE_BYTES >> 20} MiB, {grown} KiB more resident"


async def an_upload_that_breaks_off(stage):
    """an upload that breaks off, and one that kill -9 ends, leave no object and no part"""
    with Store() as store, house(store):
        romeo = await stage.client("romeo").login()
        for how in ("broken", "killed"):
            path, headers = await slot(romeo, f"{how}.bin", LARGE_BYTES)
            web = connection()
            web.putrequest("PUT", path)
            for name, value in {**headers, "Content-Length": str(LARGE_BYTES)}.items():
                web.putheader(name, value)
            web.endheaders()
            for piece in list(pieces(LARGE_BYTES))[:12]:
                await asyncio.to_thread(web.send, piece)
            await in_time("no part arrives", store.half)
            if how == "broken":
                web.close()
            else:
                os.kill(pid(), signal.SIGKILL)
                server_command("restart")
            await in_time(f"{how}: parts stay in the bucket", lambda: not store.half())
            require(not store.files(), f"{how}: {store.files()} lie in the bucket")
            status = await asyncio.to_thread(lambda: get(path).status)
            require(status == 404, f"{how}: GET is answered {status}")
    return None


async def a_bucket_that_is_none(stage):
    """a wrong bucket and a refused key are told at the start, without the key"""
    with Store() as store, tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "iris.toml"
        for given, expected in (({"bucket": "nowhere"}, "there is no such bucket"), ({"secret": "wrong"}, "the store refuses the key")):
            listen = '[[listen]]\nkind = "https"\naddress = "127.0.0.1:0"\n'
            config.write_text(listen + store.configuration(**given))
            arguments = [program(), "serve", "--config", str(config), "--data-dir", f"{folder}/data"]
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
            said = " ".join((done.stdout + done.stderr).split())
            stage.wire.write(said + "\n")
            require(done.returncode != 0 and expected in said and "iris.toml:" in said, said)
            require(store.secret not in said and "wrong" not in said, "the key is shown")
    return None


async def the_behaviour_of_every_driver(stage):
    """the suite that every driver of files has to pass, over this store"""
    if shutil.which("cargo") is None:
        raise Failed("cargo is not here to run it")
    with Store() as store:
        given = f"{store.endpoint} {BUCKET} {store.key} {store.secret}"
        arguments = ["cargo", "test", "--locked", "--test", "house", "a_bucket_behaves_as_every_driver_does"]
        done = await asyncio.to_thread(
            lambda: subprocess.run(
                arguments, cwd=SERVER.parent.parent, env={**os.environ, "IRIS_TEST_S3": given}, capture_output=True, text=True, timeout=140
            )
        )
        stage.wire.write(done.stdout + done.stderr)
        require(done.returncode == 0 and "1 passed" in done.stdout, (done.stdout + done.stderr)[-400:])
    return None


if __name__ == "__main__":
    checks = [files_in_a_bucket, an_upload_that_breaks_off, a_bucket_that_is_none, the_behaviour_of_every_driver]
    sys.exit(run_checks("bucket", checks, sys.argv[1:]))
