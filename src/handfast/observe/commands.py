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


def feed(commands: list[Simple], source: Simple) -> None:
    """Gives what `source` reads to every command that reads nothing of its own."""
    for command in commands:
        own = command.fed or command.stdin is not None
        if not own and not any(each.operator == "<" for each in command.redirects):
            command.feeder, command.fed, command.stdin = source.feeder, source.fed, source.stdin
            command.redirects += [each for each in source.redirects if each.operator == "<"]


def pass_inputs_on(commands: list[Simple], functions: dict[str, tuple[int, int]]) -> None:
    """What feeds a function feeds the commands in it; what `exec <file` opens feeds all that follow.

    `functions` says for each name from where to where in `commands` its body stands.
    """
    for index, command in enumerate(commands):
        name = command.argv[0].text if command.argv else ""
        opened = any(each.operator == "<" for each in command.redirects)
        if not (command.fed or command.stdin is not None or opened):
            continue
        if name in functions:
            first, end = functions[name]
            feed(commands[first:end], command)
        elif name == "exec" and len(command.argv) == 1:
            feed(commands[index + 1 :], command)
