"""Command-line words taken apart by the usual GNU rules: clusters, attached values, `--`, abbreviations."""

from dataclasses import dataclass, field

from handfast.observe.words import Word

_SHORTEST_ABBREVIATION = 4


def names(text: str) -> frozenset[str]:
    """A set of names written as one text."""
    return frozenset(text.split())


@dataclass(slots=True)
class Parsed:
    """Flags as typed (`-r`, `--force`), values by flag, and what is left over."""

    flags: list[str] = field(default_factory=list)
    values: list[tuple[str, Word]] = field(default_factory=list)
    operands: list[Word] = field(default_factory=list)

    def has(self, short: str, long: str) -> bool:
        """Whether the option was given. A long one may be abbreviated."""
        return any(flag == short or _abbreviates(flag, long) for flag in self.flags)

    def value(self, *names: str) -> Word | None:
        return next((value for flag, value in self.values if flag in names), None)

    def all_values(self, *names: str) -> list[Word]:
        return [value for flag, value in self.values if flag in names]


def _abbreviates(flag: str, long: str) -> bool:
    return bool(long) and len(flag) >= _SHORTEST_ABBREVIATION and long.startswith(flag)


def parse(
    words: list[Word], with_value: str = "", long_with_value: frozenset[str] = frozenset()
) -> Parsed:
    """`with_value`: letters of short options that take a value. Words after `--` are operands."""
    parsed = Parsed()
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        text = word.text
        if text == "--":
            parsed.operands += words[index:]
            break
        if not word.is_option:
            parsed.operands.append(word)
        elif text.startswith("--"):
            index = _long(parsed, word, words, index, long_with_value)
        else:
            index = _cluster(parsed, word, words, index, with_value)
    return parsed


def _long(
    parsed: Parsed, word: Word, words: list[Word], index: int, with_value: frozenset[str]
) -> int:
    name, equals, _ = word.text.partition("=")
    parsed.flags.append(name)
    if equals:
        parsed.values.append((name, word.cut(len(name) + 1)))
    elif name in with_value and index < len(words):
        parsed.values.append((name, words[index]))
        return index + 1
    return index


def _cluster(parsed: Parsed, word: Word, words: list[Word], index: int, with_value: str) -> int:
    for position, letter in enumerate(word.text[1:], start=1):
        flag = "-" + letter
        parsed.flags.append(flag)
        if letter in with_value:
            rest = word.cut(position + 1)
            if rest.raw:
                parsed.values.append((flag, rest))
            elif index < len(words):
                parsed.values.append((flag, words[index]))
                return index + 1
            return index
    return index
