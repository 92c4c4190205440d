"""Names behind which commands are kept: make targets and package scripts."""

import json
import re
from pathlib import Path

from handfast.observe.words import DYNAMIC

_NAMES = (
    ("publish", "publish", r"publish|release|promote"),
    ("deploy", "deploy", r"deploy|undeploy|rollback|provision|teardown|destroy"),
    (
        "db.migrate",
        "migrate",
        r"migrate|db[-_:]migrate|migrate[-_:]?db|db[-_:](?:drop|reset|wipe|purge)|(?:drop|reset|wipe|purge)[-_:]db",
    ),
)
_BY_NAME = tuple(
    (hazard, re.compile(rf"(?:^|[:/_-])(?:{words})(?:$|[-_:.])")) for hazard, _, words in _NAMES
)
_STARTS = tuple((hazard, re.compile(rf"(?:{words})(?:$|[-_:.])")) for hazard, _, words in _NAMES)
_MAX_FILE = 256 * 1024


def by_name(file_name: str) -> str | None:
    """The hazard a script's own name promises: `deploy-prod.sh`, not `test_deploy.py`."""
    return next((hazard for hazard, pattern in _STARTS if pattern.match(file_name)), None)


def by_target(target: str) -> str | None:
    """The hazard a target's or package script's name promises: `release`, `db:migrate`."""
    if re.search(r"(^|[:/_-])(test|lint|check|build|docs?|dry)", target):
        return None
    return next((hazard for hazard, pattern in _BY_NAME if pattern.search(target)), None)


def package_script(folder: str, name: str) -> str | None:
    """The shell text `npm run NAME` runs, with its pre and post scripts."""
    content = _read(Path(folder) / "package.json")
    try:
        scripts = json.loads(content or "{}").get("scripts", {})
    except (ValueError, AttributeError):
        return None
    if not isinstance(scripts, dict):
        return None
    found = [scripts.get(key) for key in (f"pre{name}", name, f"post{name}")]
    return "\n".join(text for text in found if isinstance(text, str)) or None


def make_recipe(makefile: str, targets: list[str]) -> str | None:
    """The recipe lines of targets and what they need, with make's own variables unknown."""
    content = _read(Path(makefile))
    if content is None:
        return None
    rules = _rules(content)
    wanted, lines, seen = list(targets), [], set()
    if not wanted:
        wanted = [next((name for name in rules if not name.startswith(".")), "")]
    while wanted:
        name = wanted.pop()
        if name in seen or name not in rules:
            continue
        seen.add(name)
        needs, recipe = rules[name]
        wanted += needs
        lines += recipe
    return "\n".join(_as_shell(line) for line in lines)


def _rules(content: str) -> dict[str, tuple[list[str], list[str]]]:
    rules: dict[str, tuple[list[str], list[str]]] = {}
    current: list[str] = []
    for line in content.replace("\\\n", " ").splitlines():
        if line.startswith("\t"):
            for name in current:
                rules[name][1].append(line.strip())
            continue
        match = re.match(r"([\w./%@ -]+?)\s*::?(?![=:])\s*([^#;]*)(?:;(.*))?", line)
        if match:
            current = match.group(1).split()
            for name in current:
                needs, recipe = rules.setdefault(name, ([], []))
                needs.extend(match.group(2).split())
                if match.group(3):
                    recipe.append(match.group(3).strip())
    return rules


def _as_shell(line: str) -> str:
    line = line.lstrip("@-+ ")
    line = re.sub(r"\$\([^()$]*\)|\$\{[^{}$]*\}|\$[^$({]", DYNAMIC, line)
    return line.replace("$$", "$")


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return None
