"""Code given on the command line: shows a hazard, reaches outside, or is neither.

Python is read by its own grammar. Other languages, and Python that does not parse, by a list of words.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from handfast.observe import printed
from handfast.observe.options import names
from handfast.observe.places import Place, Places
from handfast.observe.sql import hazards_in_code
from handfast.observe.sql_seen import WRITE

_MODULES = names(
    "subprocess socket ctypes pty requests httpx aiohttp urllib3 ftplib smtplib telnetlib paramiko fabric signal"
    " webbrowser keyring boto3 botocore importlib builtins runpy code codeop marshal pickle psutil docker kubernetes"
    " psycopg psycopg2 pymysql MySQLdb redis pymongo shlex pexpect sh plumbum multiprocessing.connection"
    " send2trash git pygit2 urllib.request http.client xmlrpc.client asyncio.subprocess twisted"
)
_OS_SAFE = names(
    "path getcwd listdir walk sep linesep makedirs mkdir getenv environ name scandir stat lstat devnull cpu_count"
    " getpid getppid uname access fspath PathLike F_OK R_OK W_OK X_OK curdir pardir extsep pathsep get_terminal_size"
    " fsencode fsdecode times urandom strerror error getlogin geteuid getuid isatty utime chdir readlink"
    " supports_follow_symlinks DirEntry get_exec_path cpu_count getcwdb fstat sched_getaffinity O_RDONLY"
    " unsetenv putenv dup close open_code fdopen pipe"
)
_SHUTIL_SAFE = names("copy copy2 copyfile copyfileobj copytree which get_terminal_size disk_usage")
# Imported to be used in ways that are not followed.
_AT_ONCE = names("ctypes importlib builtins runpy code codeop pty")
_INNER = names("__builtins__ __import__ __globals__ __subclasses__ __loader__ __getattribute__")
_HARMLESS_PARTS = names("importlib.metadata importlib.resources")
_REFLECTS = names("globals locals vars")
_ABOUT = names(
    "__version__ __file__ __path__ __name__ __doc__ __spec__ version VERSION version_info"
)
_CHANGES_DATABASE = names("migrate flush reset_db loaddata dbshell sqlflush")
_CALLS = names("exec eval compile __import__ breakpoint")
_ATTRIBUTES = names(
    "system popen Popen rmtree check_output check_call spawn spawnl spawnv execv execve execvp execl fork kill killpg"
    " unlink rmdir removedirs create_subprocess_shell create_subprocess_exec import_module symlink_to hardlink_to urlopen urlretrieve create_connection"
)
_WRITES = names(
    "write_text write_bytes mkdir makedirs touch rename replace chmod symlink_to copy copyfile copytree move extractall extract"
    " unpack_archive FileHandler RotatingFileHandler TimedRotatingFileHandler"
)

_WORDS = re.compile(
    r"remove_tree|\bsyscall\b|\bdo\s*['\"]|\brm_r?f?\b|\bFunction\s*\(|\bglobal(This)?\s*\[|file_put_contents\s*\(\s*['\"][/~]"
    r"|\bopen\b[^;\n]*['\"]-\||\$\w+\s*\(|"
    r"\bos\.(system|popen|remove|unlink|rmdir|kill|exec\w*|spawn\w*|fork)|subprocess|child_process|\bexecSync|\bspawnSync?\b"
    r"|\brmtree|\bunlink(Sync)?\b|\brm(dir)?Sync|\bsystem\s*\(|\bsystem\b|\bexec\s*[( ]|\beval\b|`[^`]+`|\bqx\b|%x|\bpopen|\bOpen3"
    r"|FileUtils|shell_exec|passthru|proc_open|\bsocket|\bfetch\s*\(|https?\.(get|request)|Net::HTTP|LWP::|IO::Socket"
    r"|\b(File|Dir|IO|fs|Deno|promises)\.(rm|delete|unlink|rename|truncate|rmdir|write)|\brm(dir)?\s*\(|rimraf|\b(truncate|rename)\b"
    r"|\bopen\b[^;\n]*['\"]\s*[|>]|\bprocess\.binding|\bdelete-(file|directory)|shell-command|\bFile::Path|\bunlink\b"
    r"|\bfile\s+(?:delete|rename|copy)\b|\bfile\.(?:remove|rename)\s*\(|\b(?:send|public_send|__send__)\s*\(?[:'\"]|\w\[\s*['\"][^'\"]*['\"]\s*\+"
    r"|(?<![.\w])(?:spawn\b|run\s*\(|mail\s*\(|load(?:string)?\s*\()|require\(\s*['\"](?:node:)?(?:net|dgram|tls|dns)\b|\brequire\s+['\"]/|\btell\s+app|\bexec\s+\w|write\w*\s*\(?\s*['\"][/~]|\bXMLHttpRequest|\baxios|file_get_contents\s*\(\s*['\"]https?|do shell script|process\.kill|\bkill\s*\(?\s*['\"]?(9|KILL|TERM)",
    re.IGNORECASE,
)
_SQL = re.compile(r"\b(DROP\s+(TABLE|DATABASE|SCHEMA)|TRUNCATE\s+TABLE|DELETE\s+FROM)\b")
# The beginning of a statement, the rest of which is worked out.
_SQL_BEGUN = re.compile(
    r"\s*(drop\s+(table|database|schema)|truncate\s+table|delete\s+from)\s*[\w.\"`]*\s*\Z",
    re.IGNORECASE,
)
_OURS = re.compile(
    r"operator\.token|runner\.token|signing\.key|data\.key|/v1/handoffs|\.local/share/handfast|HANDFAST_\w+|handfast\.db"
)
_STEERS = re.compile(r"\.claude/settings|\.codex/|\.mcp\.json|\.claude\.json")
_GIT_FILES = re.compile(r"\.git/(hooks|config)")
_PATHS = re.compile(
    r"[\"'](?:\+?[<>]{1,2} ?)?(~?/[\w.@+/-]+|\.\.?/[\w.@+/-]*|\.[a-z][\w.-]*(?:/[\w.-]+)*)[\"']"
)


_FOREIGN = frozenset({Place.OUTSIDE, Place.GIT, Place.CONTROL})


@dataclass(frozen=True, slots=True)
class Reason:
    hazard: str
    sentence: str


def examine(language: str, code: str, places: Places, cwds: tuple[str, ...]) -> list[Reason]:
    """Why inline code must be gated; empty when nothing speaks against it."""
    reasons = list(_everywhere(code, places, cwds))
    if printed.by_code(language, code):
        reasons.append(
            Reason("secret.access", "inline code shows the environment, tokens included")
        )
    if language == "python":
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            if re.search(r"(^|\n)\s*[!%]", code):
                reasons.append(Reason("exec.inline", "inline Python hands lines to a shell"))
            return reasons + list(_by_words(code)) + _sql_by_words(code)
        reasons += _Python(places, cwds).examine(tree)
    else:
        reasons += _by_words(code)
        reasons += _sql_by_words(code)
        reasons += _writes_away(code, places, cwds)
    return reasons


# In languages that are not parsed: words that write, and words that stand for the home folder.
_WRITING = re.compile(
    r"(?i)append|write|create|copy|\bcp\b|cpSync|\blink\b|->print|rename|symlink|mkdir|touch|put_|save|extract|move|chmod"
    r"|open\b[^\n]*['\"](?:[wa]b?\+?|r\+|\+?>{1,2}[^'\"]*|\+<[^'\"]*)['\"]"
)
_HOME_WORDS = re.compile(
    r"env\.HOME|homedir\s*\(|ENV\[?.?['\"{]?HOME|Dir\.home|getenv\(\s*['\"]HOME|\bhome_dir\b"
)


def _writes_away(code: str, places: Places, cwds: tuple[str, ...]) -> Iterator[Reason]:
    """Code that writes at all, and names a place outside: which path is written is not worked out."""
    if not _WRITING.search(code):
        return
    if _HOME_WORDS.search(code):
        yield Reason("fs.write-outside", "inline code may write in the home folder")
    for path in _foreign_paths(code, places, cwds):
        yield Reason("fs.write-outside", f"inline code may write {path[:80]}")


def _foreign_paths(code: str, places: Places, cwds: tuple[str, ...]) -> Iterator[str]:
    for match in _PATHS.finditer(code):
        path = match.group(1)
        full = places.home + path[1:] if path.startswith("~") else path
        for base in ("",) if full.startswith("/") else cwds:
            if places.place(f"{base}/{full}" if base else full) in _FOREIGN:
                yield path


_SUFFIXES = {
    "py": "python",
    **dict.fromkeys(("js", "mjs", "cjs", "ts"), "node"),
    "rb": "ruby",
    "pl": "perl",
    "php": "php",
}


def language_of(file_name: str) -> str:
    """The language a script's suffix stands for; '' for any other."""
    return _SUFFIXES.get(file_name.rpartition(".")[2], "")


def examine_written(
    language: str, code: str, places: Places, cwds: tuple[str, ...]
) -> list[Reason]:
    """Why a program written and run by one command must be gated.

    Running code is a fact: what it does inside the worktree is not asked about, what reaches outside is.
    """
    reasons = examine(language, code, places, cwds) if language else []
    plain = [reason for reason in reasons if reason.hazard != "exec.inline"]
    if len(plain) < len(reasons):
        said = next(each.sentence for each in reasons if each.hazard == "exec.inline")
        plain += [
            Reason("exec.inline", f"{said}, and names {path[:60]}")
            for path in _foreign_paths(code, places, cwds)
        ]
    return plain


def _sql_by_words(code: str) -> list[Reason]:
    found = _SQL.search(code) or _SQL_BEGUN.match(code)
    return [Reason("sql.destructive", "inline code holds SQL that deletes data")] if found else []


def _sql_of(text: str) -> list[Reason]:
    """A string of the program: read as SQL where it is SQL, and by its words where it is not whole.

    What is filled in (`{…}` of an f-string, a NUL here) is taken for a value, else for a name.
    """
    seen = hazards_in_code(text.replace("\0", "?")) or hazards_in_code(
        text.replace("\0", "unknown")
    )
    if seen is None:
        return _sql_by_words(text)
    named = {name: said for name, said in seen.hazards.items() if name != WRITE}
    if seen.opaque:
        named["exec.inline"] = next(iter(seen.opaque.values()))
    return [Reason(name, f"inline code {said}") for name, said in named.items()]


def _everywhere(code: str, places: Places, cwds: tuple[str, ...]) -> Iterator[Reason]:
    if _OURS.search(code):
        yield Reason("control-plane", "inline code names Handfast's own data or keys")
    if _STEERS.search(code):
        yield Reason("control-plane", "inline code names the settings that steer agents")
    if _GIT_FILES.search(code):
        yield Reason("git.hooks", "inline code names files git runs or obeys")
    for port in places.scope.protected_ports:
        if re.search(rf"(?<!\d){port}(?!\d)", code) and re.search(
            r"localhost|127\.|0\.0\.0\.0|::1", code
        ):
            yield Reason("control-plane", f"inline code names Handfast's port {port}")
    yield from _named_paths(code, places, cwds)


def _named_paths(code: str, places: Places, cwds: tuple[str, ...]) -> Iterator[Reason]:
    for match in _PATHS.finditer(code):
        path = match.group(1)
        full = places.home + path[1:] if path.startswith("~") else path
        for base in cwds or ("",):
            absolute = full if full.startswith("/") else f"{base}/{full}"
            if places.is_secret(absolute):
                yield Reason("secret.access", f"inline code names {path}, which holds credentials")
            elif places.is_ours(absolute):
                yield Reason(
                    "control-plane", f"inline code names {path}, which belongs to Handfast"
                )


# Asking a server of this machine.
_LOCAL = re.compile(
    r"\b(?:fetch|axios(?:\.get)?|https?\.get|urlopen)\s*\(\s*['\"`]https?://(?:localhost|127\.0\.0\.1)(?:[:/][^'\"`$]*)?['\"`]\s*\)"
)


def _by_words(code: str) -> Iterator[Reason]:
    code = _LOCAL.sub("()", code)
    match = _WORDS.search(code)
    if match:
        yield Reason("exec.inline", f"inline code uses `{match.group(0).strip()[:40]}`")


class _Python(ast.NodeVisitor):
    def __init__(self, places: Places, cwds: tuple[str, ...]) -> None:
        self._places = places
        self._cwds = cwds
        self._reasons: list[Reason] = []
        self._modules: dict[str, str] = {}
        self._texts: list[str] = []
        self._filled: list[str] = []
        self._writes = False
        self._at_home = False
        self._unpacks = False
        self._reflects = False
        self._watched: dict[str, str] = {}

    def examine(self, tree: ast.AST) -> list[Reason]:
        self.visit(tree)
        if self._reflects and self._watched:
            self._flag("names of modules worked out")
        if self._writes and self._at_home:
            self._reasons.append(
                Reason("fs.write-outside", "inline Python may write in the home folder")
            )
        for text in dict.fromkeys([*self._texts, *self._filled]):
            self._reasons += _sql_of(text)
        if self._writes:
            self._reach()
        return self._reasons

    def _flag(self, what: str) -> None:
        self._reasons.append(Reason("exec.inline", f"inline Python uses `{what}`"))

    def _reach(self) -> None:
        """Where it writes at all, every absolute or climbing path in its texts counts as written."""
        for text in self._texts:
            shortest = 1 if self._unpacks else 3
            if not text.startswith(("/", "~", "..")) or "\n" in text or len(text) < shortest:
                continue
            full = self._places.home + text[1:] if text.startswith("~") else text
            for base in self._cwds or ("/",):
                path = full if full.startswith("/") else f"{base}/{full}"
                if self._places.place(path) not in {Place.WORKTREE, Place.SCRATCH, Place.NOWHERE}:
                    self._reasons.append(
                        Reason("fs.write-outside", f"inline Python may write {text[:80]}")
                    )

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.split(".")[0]
            self._modules[alias.asname or top] = alias.name if alias.asname else top
            if alias.name in _MODULES or top in _MODULES:
                self._watch(alias.asname or top, alias.name)

    def _watch(self, name: str, module: str) -> None:
        """Importing asks whether a module is there; using it is what counts."""
        if name == "*" or module.partition(".")[0] in _AT_ONCE:
            self._flag(module)
        self._watched[name] = module

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for alias in node.names:
            full = f"{module}.{alias.name}"
            if module in _HARMLESS_PARTS:
                pass
            elif module in _MODULES or module.split(".")[0] in _MODULES or full in _MODULES:
                self._watch(alias.asname or alias.name, module)
            elif (module == "os" and alias.name not in _OS_SAFE) or (
                module == "shutil" and alias.name not in _SHUTIL_SAFE
            ):
                self._flag(full)
            self._modules[alias.asname or alias.name] = full

    def visit_Attribute(self, node: ast.Attribute) -> None:
        named = node.value.id if isinstance(node.value, ast.Name) else ""
        if named in self._watched and node.attr in _ABOUT:
            return
        module = self._modules.get(named)
        if module == "os":
            if node.attr not in _OS_SAFE:
                self._flag(f"os.{node.attr}")
        elif module == "shutil":
            if node.attr not in _SHUTIL_SAFE:
                self._flag(f"shutil.{node.attr}")
        elif module == "sys" and node.attr == "modules":
            self._flag("sys.modules")
        else:
            if node.attr in _ATTRIBUTES or node.attr in {
                "os",
                "subprocess",
                "__globals__",
                "__subclasses__",
                "__mro__",
                "__builtins__",
            }:
                self._flag(node.attr)
            self.visit(node.value)
        self._writes = self._writes or node.attr in _WRITES
        self._unpacks = self._unpacks or node.attr in {"extractall", "unpack_archive"}
        self._at_home = self._at_home or node.attr in {"home", "expanduser"}

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self._watched:
            self._flag(self._watched[node.id])
        elif self._modules.get(node.id) in {"os", "shutil"}:
            self._flag(f"{node.id} passed on")
        elif node.id in {"__builtins__", "__loader__"}:
            self._flag(node.id)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            if node.func.id in _CALLS:
                self._flag(node.func.id)
            elif node.func.id in _REFLECTS:
                self._reflects = True
            elif node.func.id == "open":
                self._open(node)
            elif self._modules.get(node.func.id, "").endswith(".call_command"):
                self._management(node)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "open":
            self._open(node)
        if any(each.arg == "inplace" for each in node.keywords):
            self._writes = True
        self.generic_visit(node)

    def _management(self, node: ast.Call) -> None:
        """Django's `call_command`: what changes a database, or cannot be told."""
        first = node.args[0] if node.args else None
        if not isinstance(first, ast.Constant) or first.value in _CHANGES_DATABASE:
            self._flag("call_command")

    def _open(self, node: ast.Call) -> None:
        modes = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "mode")]
        for mode in modes:
            if isinstance(mode, ast.Constant) and isinstance(mode.value, str):
                if re.fullmatch(r"[rwaxbt+U]{1,4}", mode.value) and set(mode.value) & set("wax+"):
                    self._writes = True
            elif mode is not node.args[0]:
                self._writes = True

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = (each.value if isinstance(each, ast.Constant) else "\0" for each in node.values)
        self._filled.append("".join(str(part) for part in parts))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if node.value in _INNER:
            self._flag(str(node.value))
        if isinstance(node.value, str):
            self._texts.append(node.value)
