"""Commands that stand in the arguments of programs without a rule of their own.

No list of wrappers is ever complete. Where an argument of an unknown program is the name of a program that
matters, what follows is read as a command as well; a text that starts with one is read as shell text.
"""

import re

from handfast.observe.case import Case, Invocation
from handfast.observe.options import names
from handfast.observe.words import Word

# Programs worth looking for: those that destroy, publish, or run whatever they are given.
_TELLING = names(
    "rm rmdir unlink shred srm wipe dd mkfs git sudo doas su sh bash dash zsh ksh busybox xargs find eval exec spawn"
    " kubectl helm terraform psql mysql sqlite3 redis-cli docker npm twine cargo mv tee truncate chmod chown kill"
    " killall pkill python python3 perl ruby node env nohup timeout rimraf del-cli shutdown reboot gh aws gcloud"
)
_TEXT = re.compile(
    r"(?:-{1,2}[\w-]+=|shell |!|[\w.+-]+:\s*)?\s*((?:[\w./+-]*/)?[\w.+-]+)(?=\s|;|$)"
)
_JOINTS = re.compile(r"(?:^|[;&|]\s*)(?:[\w./+-]*/)?([\w.+-]+)\s")
# What such a word says when the program is a service's own client: `x delete`, `x clusters destroy`.
_DESTROYS = re.compile(
    r"(?:delete|destroy|terminate|purge|wipe|erase|undefine|decommission)(?:-\w+)*\Z"
)


def look(call: Invocation, case: Case) -> None:
    """Reads every command that may stand behind `call`'s own name."""
    for index, word in enumerate(call.args):
        if _is_telling(word.text):
            after = call.args[index + 1 :]
            # `start-stop-daemon --exec /bin/rm -- -rf x`: the dashes end the wrapper's own options.
            case.argv([word, *(after[1:] if after[:1] == [Word("--")] else after)], call.simple)
            return
        if " " in word.text and _starts(word.text):
            case.text(_command_in(word), call.simple.cwds)


def destroys(call: Invocation, case: Case) -> None:
    """An unknown client whose first words say that it destroys something."""
    if "/" in call.program.text:
        return
    for word in [each for each in call.args if not each.is_option][:3]:
        if _DESTROYS.match(word.text):
            case.findings.hazard("deploy", f"by its words destroys something: `{call.shown}`")


def _is_telling(text: str) -> bool:
    return text.rpartition("/")[2] in _TELLING or text.startswith("mkfs.")


def _starts(text: str) -> bool:
    match = _TEXT.match(text)
    first = bool(match) and _is_telling(match.group(1)) if match else False
    return first or any(_is_telling(name) for name in _JOINTS.findall(text))


def _command_in(word: Word) -> str:
    """The shell text in an option's value, without what introduces it."""
    match = _TEXT.match(word.text)
    if match and _is_telling(match.group(1)):
        rest = word.text[match.start(1) :]
        return rest.removeprefix("spawn ").removeprefix("exec ")
    return word.text
