"""A virtual screen and a session bus for one desktop program: start it, type into its window, take a picture.

Graphical clients refuse to run as root, so as root everything but the screen runs as the user `nobody`.
"""

import asyncio
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from slix import Failed

SIZE = "1000x520x24"


class Desktop:
    """`home` is the program's home directory: new, temporary, and given to the user the program runs as."""

    def __init__(self, size=SIZE):
        self.size = size
        # Not below our own folders: the other user may have no way into them.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="conformance-home-"))
        self.children = []
        folders = {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": "run"}
        for folder in folders.values():
            (self.home / folder).mkdir(parents=True, mode=0o700)
        self.environment = {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games",
            "LANG": "C.UTF-8",
            "GDK_BACKEND": "x11",
            "NO_AT_BRIDGE": "1",
            "GSETTINGS_BACKEND": "memory",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            **{name: str(self.home / folder) for name, folder in folders.items()},
        }

    async def __aenter__(self):
        self._give_away()
        readable, writable = os.pipe()
        self._start(
            ["Xvfb", "-displayfd", str(writable), "-screen", "0", self.size, "-nolisten", "tcp", "-ac"],
            "Xvfb.log",
            as_user=False,
            pass_fds=(writable,),
        )
        os.close(writable)
        self.environment["DISPLAY"] = ":" + await self._first_line(readable, "Xvfb")
        readable, writable = os.pipe()
        self._start(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--print-address={writable}"],
            "dbus.log",
            pass_fds=(writable,),
        )
        os.close(writable)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = await self._first_line(readable, "dbus-daemon")
        return self

    async def __aexit__(self, *_):
        for child in reversed(self.children):
            await self.end(child)
        shutil.rmtree(self.home, ignore_errors=True)

    async def _first_line(self, readable, program):
        loop = asyncio.get_running_loop()
        with os.fdopen(readable) as pipe:
            line = await asyncio.wait_for(loop.run_in_executor(None, pipe.readline), 20)
        if not line.strip():
            raise Failed(f"{program} did not start; see {self.home}/{program}.log")
        return line.strip()

    def _give_away(self):
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody:nogroup", str(self.home)], check=True)

    @staticmethod
    def _as_user(command):
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command] if os.geteuid() == 0 else command

    def _start(self, command, log, *, as_user=True, pass_fds=()):
        with open(self.home / log, "ab") as output:
            child = subprocess.Popen(
                self._as_user(command) if as_user else command,
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
            )
        self.children.append(child)
        return child

    def start(self, command, log):
        """Starts the program in the background; its output is kept in HOME/`log`."""
        self._give_away()
        return self._start(command, log)

    async def run(self, *command, seconds=40):
        """Runs a short command on the desktop and returns what it printed."""
        done = await asyncio.create_subprocess_exec(
            *self._as_user(list(command)),
            env=self.environment,
            cwd=self.home,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            printed, complaints = await asyncio.wait_for(done.communicate(), seconds)
        except TimeoutError:
            done.kill()
            raise Failed(f"{command[0]} was not done within {seconds} s") from None
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}: {complaints.decode()}")
        return printed.decode()

    async def picture(self, path):
        """A PNG of the whole screen."""
        temporary = self.home / "screen.png"
        await self.run("import", "-window", "root", str(temporary))
        shutil.copy(temporary, path)

    async def end(self, child):
        """SIGTERM, then SIGKILL, to one process that we started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if child.poll() is None:
                child.send_signal(number)
                for _ in range(50):
                    if child.poll() is not None:
                        break
                    await asyncio.sleep(0.1)
        child.wait()
        if child in self.children:
            self.children.remove(child)
