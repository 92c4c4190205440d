"""What an agent's shell must never do to the control plane, and variables that change what programs run."""

import re

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.commands import Simple
from handfast.observe.options import names
from handfast.observe.wordreader import HIDDEN
from handfast.observe.words import DYNAMIC, Word

GRANT = re.compile(r"gr_[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}\Z")
_OURS = re.compile(r"\$HANDFAST_\w+")
SECRET_NAME = re.compile(
    r"\$\w*(TOKEN|SECRET|PASSW(OR)?D|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL)\w*",
    re.IGNORECASE,
)

# Variables whose value is a command some program will run.
_COMMANDS = names(
    "PAGER GIT_PAGER MANPAGER EDITOR VISUAL GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_SSH_COMMAND GIT_ASKPASS SSH_ASKPASS"
    " BROWSER SUDO_ASKPASS GIT_PROXY_COMMAND LESSOPEN PSQL_PAGER PSQL_EDITOR AWS_PAGER BAT_PAGER DELTA_PAGER SYSTEMD_PAGER"
    " SYSTEMD_EDITOR GH_PAGER GH_EDITOR GH_BROWSER KUBE_EDITOR SUDO_EDITOR FCEDIT HGEDITOR SVN_EDITOR CVS_RSH RSYNC_RSH"
    " npm_config_script_shell NPM_CONFIG_SCRIPT_SHELL npm_config_editor"
)
# Variables that make programs load or obey something else, in ways not followed here.
_LOADERS = names(
    "LD_PRELOAD LD_AUDIT DYLD_INSERT_LIBRARIES BASH_ENV ENV PROMPT_COMMAND PYTHONSTARTUP PYTHONHOME PERL5OPT PERL5DB"
    " RUBYOPT GIT_EXTERNAL_DIFF GIT_CONFIG GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS"
    " GIT_DIR GIT_WORK_TREE GIT_EXEC_PATH GIT_TEMPLATE_DIR GIT_SSH CDPATH BASH_FUNC_ls SHELLOPTS BASHOPTS PS4"
    " PYTHONBREAKPOINT PYTHONINSPECT GLOBIGNORE FPATH ZDOTDIR GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES"
)
# Compilers and their wrappers: builds start them.
_TOOLS = names("CC CXX AR LD RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTC_WRAPPER")
# Keeping these makes names run something else.
_NAME_TABLES = names("BASH_CMDS BASH_ALIASES")
# What these hold are options of a program, which may name another one.
_OPTIONS_OF = {
    "TAR_OPTIONS": re.compile(
        r"--(checkpoint-action|to-command|use-compress|rsh|info|rmt)|-[IF]|-P|--absolute"
    ),
    "ZIPOPT": re.compile(r"-TT|--unzip-command"),
    "RIPGREP_CONFIG_PATH": re.compile(r"."),
}
# What these hold is written.
_WRITTEN = names(
    "SSLKEYLOGFILE GOBIN CARGO_INSTALL_ROOT PIP_TARGET PIP_PREFIX CARGO_TARGET_DIR npm_config_prefix"
)
_MAKE_OBEYS = re.compile(r"--eval|SHELL|-f|--file|--makefile")
_NODE_LOADS = re.compile(r"--(require|import|loader|experimental-loader)|(^|\s)-r")


def assignments(simple: Simple, case: Case) -> None:
    for name, value in simple.assigns:
        _hidden(name, value, simple, case)
        if name.startswith("HANDFAST_"):
            case.findings.hazard("control-plane", f"sets {name}, which steers Handfast")
        elif name in _COMMANDS:
            if value.dynamic:
                case.findings.opaque(
                    f"environment-{name}", f"sets {name} to a command only known when it runs"
                )
            case.text(value.text, simple.cwds)
        elif (
            name in _LOADERS
            or name.startswith(("GIT_CONFIG", "BASH_FUNC_"))
            or (name == "NODE_OPTIONS" and _NODE_LOADS.search(value.text))
        ):
            case.findings.opaque(
                f"environment-{name}", f"sets {name}, which makes other programs load something"
            )
        elif re.fullmatch(r"PS[0124]", name) and re.search(r"\$\(|`|\x00", value.text):
            case.findings.opaque(f"environment-{name}", f"puts a command into {name}")
        elif name == "IFS" and not simple.argv and value.text.strip(" \t\n"):
            case.findings.opaque("environment-IFS", "changes how the shell splits words")
        elif name == "PATH" and not value.text.startswith(("/usr/", "/bin", DYNAMIC)):
            case.findings.at_least(Effect.EXEC)
            case.findings.detail(f"looks for programs first in {value.shown[:80]}")
        elif name == "DOCKER_HOST" and value.text:
            case.findings.hazard("deploy", "sends Docker commands to another host")
        variables(value, case)


def _hidden(name: str, value: Word, simple: Simple, case: Case) -> None:
    """Values that run later although the assignment itself does nothing."""
    if name in _NAME_TABLES:
        case.findings.opaque("alias", f"makes a name run something else, through {name}")
    elif HIDDEN.search(value.text):
        case.findings.opaque("hidden-substitution", f"puts a command into a subscript in {name}")
    elif name in _WRITTEN and not value.dynamic:
        case.writes(value, simple.cwds)
    elif name in _TOOLS and not value.dynamic:
        case.text(value.text, simple.cwds)
    elif name in _OPTIONS_OF and _OPTIONS_OF[name].search(value.text):
        case.findings.opaque("other-program", f"makes a program run another one, through {name}")
    elif name in {"MAKEFLAGS", "GNUMAKEFLAGS"} and _MAKE_OBEYS.search(value.text):
        case.findings.opaque("given-recipe", f"gives make a recipe through {name}")


def variables(word: Word, case: Case) -> None:
    if any(_OURS.match(source) for source in word.sources):
        case.findings.hazard(
            "control-plane", "uses Handfast's own settings or tokens from the environment"
        )


def shown_secrets(call: Invocation, case: Case) -> None:
    """echo and printf of a variable whose name says it is a secret."""
    for word in call.args:
        for source in word.sources:
            if SECRET_NAME.fullmatch(source) and DYNAMIC in word.raw:
                case.findings.hazard("secret.access", f"prints {source}", undo=True)


# Names that hold no secret by convention; `DATABASE_URL` or `HTTP_PROXY` may.
_HARMLESS_NAME = re.compile(
    r"(?i)\^?(PATH|HOME|LANG|LC_\w*|PYTHON\w*|VIRTUAL_ENV|VENV|CONDA\w*|SHELL|TERM|EDITOR|NODE_ENV|GOPATH|GOROOT"
    r"|DJANGO_SETTINGS\w*|DISPLAY|USER|TZ|DEBUG|\w+_HOME|MPLBACKEND|LD_LIBRARY_PATH)=?"
)


def narrowed(call: Invocation) -> bool:
    """Whether only variables of a harmless name are left of what is printed: `env | grep PATH`."""
    reader = call.simple.reader
    words = reader.argv if reader is not None else []
    if len(words) < 2 or words[0].text not in {"grep", "egrep", "fgrep"}:
        return False
    *options, pattern = words[1:]
    plain = all(re.fullmatch(r"-[icnEFow]+", option.text) for option in options)
    return plain and pattern.fixed and bool(_HARMLESS_NAME.fullmatch(pattern.text))


def printenv(call: Invocation, case: Case) -> None:
    names = [word for word in call.args if not word.is_option]
    if not names and not narrowed(call):
        case.findings.hazard(
            "secret.access", "prints every environment variable, tokens included", undo=True
        )
    for word in names:
        if word.dynamic or SECRET_NAME.fullmatch("$" + word.text):
            case.findings.hazard("secret.access", f"prints ${word.shown}", undo=True)
        elif word.text.startswith("HANDFAST_"):
            case.findings.hazard("control-plane", "prints Handfast's own settings or tokens")


# What may stand beside `handfast exec` in one text: it leaves the environment as the approval saw it.
_BESIDE_A_GRANT = names("handfast cd echo pwd tail head cat grep tee true : wc sleep")


def handfast(call: Invocation, case: Case) -> None:
    """Only redeeming a grant by its id is open to an agent's shell."""
    texts = call.texts
    case.findings.at_least(Effect.CONTROL)
    if len(texts) == 2 and texts[0] == "exec" and call.args[1].fixed and GRANT.match(texts[1]):
        if case.depth or call.simple.assigns or not case.steps <= _BESIDE_A_GRANT:
            case.findings.hazard(
                "control-plane", "changes what surrounds an approved command before it is run"
            )
        case.findings.at_least(Effect.EXEC)
        case.findings.effect = Effect.EXEC
        case.findings.headline(f"executes what grant {texts[1]} approves")
        return
    if texts in (["--version"], ["--help"]) or (
        texts and texts[-1] == "--help" and all(word.fixed for word in call.args)
    ):
        case.findings.effect = Effect.EXEC
        case.findings.headline("asks handfast for help")
        return
    case.findings.hazard("control-plane", f"uses Handfast's own command line: `{call.shown}`")


def ports(call: Invocation, case: Case) -> None:
    """A protected port on this machine in any argument of a program that is not a plain reader."""
    for word in call.args:
        match = re.search(
            r"(?:localhost|127\.[\d.]+|0\.0\.0\.0|\[?::1\]?|\[::\])[:/ ](\d{2,5})(?!\d)",
            word.text,
            re.IGNORECASE,
        )
        if match and int(match.group(1)) in case.places.scope.protected_ports:
            case.findings.hazard(
                "control-plane", f"names Handfast's own port {match.group(1)}: `{call.shown}`"
            )


def is_handfast(name: str) -> bool:
    return name == "handfast" or name.startswith(("handfast.", "handfast@", "handfast=="))


def start_agent(call: Invocation, case: Case) -> None:
    """Another agent started from a shell is not under the hook of this session's runner."""
    case.findings.at_least(Effect.EXEC)
    if not any(text in {"--version", "-v", "--help", "mcp", "doctor"} for text in call.texts[:1]):
        case.findings.hazard(
            "agent.start", f"starts an agent that may not be watched: `{call.shown}`"
        )


HANDLERS = {
    "printenv": printenv,
    **dict.fromkeys(
        names("claude codex gemini cursor-agent aider opencode goose amp crush copilot qwen devin"),
        start_agent,
    ),
}
