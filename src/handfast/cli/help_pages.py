"""How a command's own `--help` is laid out: names in one column, words in another, wrapped to the terminal."""

import re
import textwrap
from io import StringIO

from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions

WIDEST = 100  # longer lines are hard to read, however wide the terminal is
NAMES = 26  # a longer name has a line of its own


class Columns:
    """Formatter of the parser. Plain text without colour: it is read by people, pagers and scripts alike."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel; an empty one prints nothing."""
        if not panel.entries:
            return
        lines = [f"{_TITLES.get(str(panel.title), panel.title)}:"] if panel.title else []
        for entry in panel.entries:
            lines += _entry(entry, min(options.max_width, WIDEST))
        _print(console, [*lines, ""])

    def render_usage(self, console: Console, options: ConsoleOptions, usage: object) -> None:
        """`Usage: handfast …` on one line, and an empty one."""
        words = _values(_plain(usage).removeprefix("Usage: "))
        if words:
            wrapped = textwrap.wrap(f"Usage: {words}", options.max_width, subsequent_indent="    ")
            _print(console, [*wrapped, ""])

    def render_description(
        self, console: Console, options: ConsoleOptions, description: object
    ) -> None:
        """What the command does, and an empty line."""
        words = _plain(description)
        if words:
            _print(console, [*textwrap.wrap(words, min(options.max_width, WIDEST)), ""])


_WORDS = {" STR": " TEXT", " INT": " N", " FLOAT": " N"}
_VALUES = re.compile(r" (?:STR|INT|FLOAT)\b")
_TITLES = {"Parameters": "Options"}


def _entry(entry: HelpEntry, width: int) -> list[str]:
    name = _values(", ".join(entry.display_labels_with_metavar))
    words = [_plain(entry.description)]
    if choices := [choice for choice in entry.choices or () if choice]:
        words.append(f"[{', '.join(choices)}]")
    if entry.required:
        words.append("[required]")
    text = " ".join(word for word in words if word)
    wrapped = textwrap.wrap(text, max(20, width - NAMES - 4), break_long_words=False)
    first = f"  {name:<{NAMES}}  "
    if len(name) > NAMES or not wrapped:
        return [f"  {name}", *(" " * len(f"  {'':<{NAMES}}  ") + line for line in wrapped)]
    return [first + wrapped[0], *(" " * len(first) + line for line in wrapped[1:])]


def _values(said: str) -> str:
    """Kinds of values as people call them."""
    return _VALUES.sub(lambda found: _WORDS[found[0]], said)


def _plain(said: object) -> str:
    """The words of a text, whatever carries them, on one line."""
    if said is None:
        return ""
    wide = Console(file=StringIO(), width=100_000, no_color=True, highlight=False, markup=False)
    with wide.capture() as shown:
        wide.print(said)
    return " ".join(shown.get().split())


def _print(console: Console, lines: list[str]) -> None:
    """Not wrapped again, nothing read as markup."""
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
