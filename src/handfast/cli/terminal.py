"""The controlling terminal: the one place a decision's secret may come from.

A PIN is read from `/dev/tty` with echo off, never from an argument, the environment or standard
input: those an agent can fill. What is decided on is shown on the same terminal, wherever
standard output goes. On one OS user this is a hurdle, not a wall.
"""

import os
import termios
from typing import Self

from handfast.cli.output import shown
from handfast.core.domain.errors import NotPermitted

_DEVICE = "/dev/tty"
_MAX_LINE = 4096


class Terminal:
    """An open controlling terminal."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    @classmethod
    def open(cls) -> Self:
        """Raises NotPermitted (code `no_terminal`) where the process has none."""
        try:
            return cls(os.open(_DEVICE, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        except OSError:
            raise NotPermitted(
                "there is no controlling terminal: this needs a person at one",
                code="no_terminal",
                hint="Run this in a terminal of your own. A handoff can also be decided in the browser.",
            ) from None

    def close(self) -> None:
        os.close(self._fd)

    def say(self, text: object = "") -> None:
        """Inert, like everything printed."""
        self._write(shown(text) + "\n")

    def ask(self, question: str, default: str = "") -> str:
        """One line, stripped; `default` for an empty one."""
        self._write(f"{shown(question)}{f' [{shown(default)}]' if default else ''}: ")
        return self._line().strip() or default

    def ask_secret(self, question: str) -> str:
        """One line with echo off; what was typed ahead is thrown away."""
        before = termios.tcgetattr(self._fd)
        silent = termios.tcgetattr(self._fd)
        silent[3] &= ~(termios.ECHO | termios.ECHONL)
        silent[3] |= termios.ICANON | termios.ISIG
        try:
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, silent)
            self._write(f"{shown(question)}: ")
            return self._line().strip()
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)
            self._write("\n")

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]

    def _line(self) -> str:
        """Raises NotPermitted when the terminal goes away before a line is complete."""
        data = b""
        while not data.endswith(b"\n") and len(data) < _MAX_LINE:
            more = os.read(self._fd, 1024)
            if not more:
                raise NotPermitted("the terminal was closed before an answer", code="no_terminal")
            data += more
        return data.decode("utf-8", "replace").rstrip("\r\n")
