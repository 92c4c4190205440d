"""Interpreters whose languages are not read here: code given to them inline cannot be judged, so it is opaque."""

import re

from handfast.core.domain.action import Effect
from handfast.observe import behind
from handfast.observe.case import Case, Invocation
from handfast.observe.options import names

# Programs and the options (or sub-commands) whose value is code.
_CODE = {
    "elixir": "-e --eval --rpc-eval",
    "iex": "-e --eval",
    "erl": "-eval -run -s",
    "ghc": "-e",
    "runghc": "-e",
    "scala": "-e -execute",
    "groovy": "-e",
    "gnuplot": "-e",
    "octave": "--eval",
    "matlab": "-batch -r",
    "guile": "-c -e",
    "racket": "-e --eval",
    "sbcl": "--eval",
    "clisp": "-x",
    "clojure": "-e -M -X --eval",
    "clj": "-e -M -X --eval",
    "nim": "--eval e",
    "swift": "-e",
    "pwsh": "-c -command -encodedcommand -enc -e -ec",
    "powershell": "-c -command -encodedcommand -enc -e -ec",
    "powershell.exe": "-c -command -encodedcommand -enc -e -ec",
    "pwsh.exe": "-c -command -encodedcommand -enc -e -ec",
    "R": "-e",
    "wish": "",
    "m4": "",
    "dc": "-e --expression",
    "jshell": "",
    "gforth": "-e",
    "ocaml": "-e",
    "raku": "-e",
    "crystal": "eval",
    "cmd": "/c /k",
    "cmd.exe": "/c /k",
}


def run(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    case.findings.headline(f"runs `{call.shown}`")
    options = names(_CODE[call.name])
    given = any(re.split(r"[=:]", text)[0].lower() in options for text in call.texts)
    fed = call.simple.fed or call.simple.stdin is not None
    fed = fed or any(redirect.operator == "<" for redirect in call.simple.redirects)
    if given or fed:
        case.findings.opaque(
            "unread-language", f"runs code in a language that is not read here: `{call.shown}`"
        )
    else:
        case.findings.detail(f"runs code: `{call.shown}`")
    behind.look(call, case)


def remote_modules(call: Invocation, case: Case) -> None:
    """`deno run URL`, `nix run URL`: code straight from the network."""
    case.findings.at_least(Effect.EXEC)
    case.findings.headline(f"runs `{call.shown}`")
    case.findings.detail(f"runs code: `{call.shown}`")
    if call.texts[:1] == ["eval"] or any(text in {"-e", "--eval", "--expr"} for text in call.texts):
        case.findings.opaque("unread-language", f"runs inline code: `{call.shown}`")
    for word in call.args:
        if re.match(r"(https?|jsr|npm|github|git\+\w+):", word.text):
            case.findings.hazard(
                "exec.remote", f"runs code straight from the network: {word.shown}"
            )
    behind.look(call, case)


HANDLERS = {
    **dict.fromkeys(_CODE, run),
    **dict.fromkeys(("deno", "nix"), remote_modules),
}
