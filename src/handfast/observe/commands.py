"""A simple command as it stands in the text: words, assignments, redirections, what feeds it, and where."""

from dataclasses import dataclass, field

from handfast.observe.words import Word


@dataclass(frozen=True, slots=True)
class Redirect:
    operator: str
    target: Word


@dataclass(slots=True)
class Simple:
    """A simple command. `feeder` is the command whose output it reads; `cwds` the folders it may run in.

    Empty `cwds` means the folder is unknown. `nested` stands in a substitution; `piped` prints into a pipe.
    `reader` is the command that reads what this one prints. `starts` says where its words begin in the text, in bytes.
    """

    argv: list[Word]
    assigns: list[tuple[str, Word]] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    stdin: Word | None = None
    feeder: "Simple | None" = None
    fed: bool = False
    cwds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    nested: bool = False
    piped: bool = False
    reader: "Simple | None" = None
    starts: list[int] = field(default_factory=list)
