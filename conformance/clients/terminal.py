"""A terminal program in tmux: type into it, read its screen. The tmux server is private to the program and ends with it."""

import asyncio
import pathlib
import subprocess
import tempfile

from slix import Failed

COLUMNS, LINES = 200, 50  # wide enough that no line of a conversation is wrapped


class Terminal:
    """`command` (a list) in a terminal of its own; `environment` is added to ours."""

    def __init__(self, command, environment):
        self.folder = tempfile.TemporaryDirectory(prefix="conformance-tmux-")
        self.socket = str(pathlib.Path(self.folder.name) / "socket")
        self.command = command
        self.environment = environment

    def start(self):
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "env", *variables, *self.command)

    def _tmux(self, *arguments, check=True):
        return subprocess.run(
            ["tmux", "-S", self.socket, *arguments], check=check, capture_output=True, text=True, timeout=20
        ).stdout

    def type(self, line):
        self.press(line)
        self.key("Enter")

    def press(self, text):
        """The keys of `text`, without Return."""
        self._tmux("send-keys", "-l", text)

    def key(self, name):
        """One key by tmux's name for it."""
        self._tmux("send-keys", name)

    def screen(self):
        """What a person sees now; the empty text once the program has ended."""
        return self._tmux("capture-pane", "-p", check=False)

    async def see(self, text, seconds=30):
        """Waits until `text` stands on the screen and returns the screen."""
        for _ in range(seconds * 10):
            screen = self.screen()
            if text in screen:
                return screen
            await asyncio.sleep(0.1)
        raise Failed(f"{text!r} did not appear on the screen within {seconds} s; last lines: {last_lines(self.screen())}")

    async def ended(self, seconds=10):
        """Waits until the program has ended by itself."""
        for _ in range(seconds * 10):
            if subprocess.run(["tmux", "-S", self.socket, "has-session"], capture_output=True).returncode != 0:
                return
            await asyncio.sleep(0.1)
        raise Failed(f"the program did not end within {seconds} s")

    def close(self):
        self._tmux("kill-server", check=False)
        self.folder.cleanup()


def last_lines(screen):
    return " / ".join([line.strip() for line in screen.splitlines() if line.strip()][-6:])
