"""Task runners: make, just, npm scripts and their like."""

import re
from itertools import pairwise

from handfast.core.domain.action import Effect
from handfast.observe import behind, recipes
from handfast.observe.case import Case, Invocation
from handfast.observe.execution import nested_text
from handfast.observe.options import names, parse

_FILES = {
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "gmake": ("GNUmakefile", "makefile", "Makefile"),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"),
    "rake": ("Rakefile",),
    "invoke": ("tasks.py",),
    "nox": ("noxfile.py",),
    "tox": ("tox.ini",),
    "gradle": ("build.gradle", "build.gradle.kts"),
    "gradlew": ("build.gradle", "build.gradle.kts"),
    "mvn": ("pom.xml",),
    "mvnw": ("pom.xml",),
    "ant": ("build.xml",),
    "fastlane": ("fastlane/Fastfile",),
    "cap": ("Capfile",),
    "turbo": ("turbo.json",),
    "nx": ("nx.json",),
}
# Sub-commands of package managers that are not names of scripts.
_NPM_OWN = names(
    "install i ci add remove uninstall rm update up upgrade audit outdated list ls why info view config init create"
    " cache link unlink pack prune dedupe rebuild version help import node licenses store workspaces workspace set get"
    " exec x dlx fund doctor explain search ping whoami login logout root prefix bin completion shrinkwrap"
)


def _given(call: Invocation, case: Case) -> None:
    """Recipes that the command line itself brings, or that this very command has written."""
    texts = call.texts
    if any(re.match(r"--eval|(-\w*f|--file|--makefile)(=?(-|/dev/|/proc/)|$)", t) for t in texts):
        following = [b for a, b in pairwise(texts) if re.fullmatch(r"-\w*f|--file|--makefile", a)]
        plain = following and all(re.match(r"[\w.]", each) for each in following)
        if not plain or any(t.startswith("--eval") for t in texts):
            case.findings.opaque("given-recipe", f"runs a recipe that is no file: `{call.shown}`")
    if any(re.match(r"\.?SHELL(FLAGS)?=|MAKEFILES=|--shell", text) for text in texts):
        case.findings.opaque("given-recipe", f"names the shell of its recipes: `{call.shown}`")
    if call.name == "just" and any(t in {"-c", "--command"} for t in texts):
        case.argv(call.args[texts.index("-c" if "-c" in texts else "--command") + 1 :], call.simple)
        case.findings.opaque("given-recipe", f"runs a command: `{call.shown}`")
    behind.look(call, case)


def run_targets(call: Invocation, case: Case) -> None:
    """`make`, `just` and others: names of targets count, and the file that defines them is hashed."""
    found = case.findings
    found.at_least(Effect.EXEC)
    found.headline(f"runs `{call.shown}`")
    found.detail(f"runs code: `{call.shown}`")
    parsed = parse(call.args, "Cfjlo" if call.name in {"make", "gmake"} else "")
    for word in parsed.operands:
        named = recipes.by_target(word.text)
        if named:
            found.hazard(named, f"`{call.shown}` by its name does this")
    _given(call, case)
    folders = [value.text for value in parsed.all_values("-C")] or ["."]
    for cwd in call.simple.cwds:
        for folder in folders:
            _definition(
                f"{cwd}/{folder}", parsed.value("-f"), [w.text for w in parsed.operands], call, case
            )


def _definition(
    folder: str, chosen: object, targets: list[str], call: Invocation, case: Case
) -> None:
    names = [getattr(chosen, "text", "")] if chosen else _FILES[call.name]
    for name in names:
        path = name if name.startswith("/") else f"{folder}/{name}"
        real = case.places.real(path)
        if real in case.written:
            case.findings.opaque("written-then-run", f"runs {name}, which the same command writes")
        case.depends_on_file(path)  # one that is not there yet would be read instead, once it is
        if call.name in {"make", "gmake"}:
            wanted = [target for target in targets if "=" not in target]
            recipe = recipes.make_recipe(real, wanted) if case.on_disk else None
            if recipe:
                nested_text(recipe, " ".join([name, *wanted]), (folder,), case)


def package_manager(call: Invocation, case: Case) -> None:
    """npm, pnpm, yarn, bun: a package script is read as the shell text it is."""
    found = case.findings
    found.at_least(Effect.EXEC)
    found.headline(f"runs `{call.shown}`")
    if call.name == "bun" and any(text in {"-e", "--eval", "-p", "--print"} for text in call.texts):
        found.opaque("unread-language", f"runs inline code: `{call.shown}`")
    words = parse(
        call.args, "Cw", frozenset({"--prefix", "--dir", "--cwd", "--filter", "--workspace"})
    )
    if not words.operands:
        found.at_least(Effect.NETWORK)
        return
    first, *rest = [word.text for word in words.operands]
    if call.name == "bun" and any(re.match(r"https?://", each) for each in [first, *rest]):
        found.hazard("exec.remote", f"runs code straight from the network: `{call.shown}`")
    if first in {"run", "run-script"}:
        name = rest[0] if rest else ""
    elif first in {"test", "t", "tst", "start", "stop", "restart"}:
        name = {"t": "test", "tst": "test"}.get(first, first)
    elif first in _NPM_OWN:
        found.at_least(Effect.NETWORK)
        found.detail(f"changes or reads packages: `{call.shown}`")
        return
    else:
        name = first
        if call.name != "npm":  # yarn, pnpm and bun run a package's program by its bare name
            case.argv(call.args[call.texts.index(first) :], call.simple)
    folder = words.value("-C", "--prefix", "--dir", "--cwd")
    for cwd in call.simple.cwds:
        _package_script(f"{cwd}/{folder.text}" if folder else cwd, name, call, case)


def _package_script(folder: str, name: str, call: Invocation, case: Case) -> None:
    named = recipes.by_target(name)
    if named and not (name == "publish" and "--dry-run" in call.texts):
        case.findings.hazard(named, f"`{call.shown}` by its name does this")
    case.depends_on_file(f"{folder}/package.json")
    if case.places.real(f"{folder}/package.json") in case.written:
        case.findings.opaque("written-then-run", f"runs {name}, which the same command writes")
    text = recipes.package_script(folder, name) if case.on_disk else None
    if text:
        case.findings.detail(f"runs package script {name}: {text}")
        nested_text(text, f"package script {name}", (re.sub(r"/\.$", "", folder),), case)


HANDLERS = {
    **dict.fromkeys(_FILES, run_targets),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun"), package_manager),
}
