"""How an agent is started: fresh, resumed after a decision, or told what became of its calls."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.client.discovery import EPOCH_VARIABLE, RUN_VARIABLE
from handfast.client.request import Json
from handfast.core.domain.errors import UsageError
from handfast.runner.environment import scrubbed_environment
from handfast.runner.hooks.registry import OnWait
from handfast.runner.supervisor import claude, claude_home, prompts
from handfast.runner.supervisor.settings import SupervisorSettings

# So that the agent's own git works as it does for the person.
_KEPT: Final = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_MAX_FEEDBACK: Final = 20_000
SETTINGS, FEEDBACK, HANDED_BACK = "settings.json", "feedback.txt", "handed-back.txt"
_LOOPBACK: Final = "127.0.0.1,localhost,::1"


@dataclass(frozen=True, slots=True)
class Going:
    """What an agent goes on with: `feedback` of a reviewer, else `words` of ours, before them what a person
    `handed_back`. A `pending` call was paused by the hook, and its agent asks about it again by itself."""

    fresh: bool = True
    words: str = ""
    feedback: str = ""
    pending: bool = False
    handed_back: str = ""

    @property
    def prompt(self) -> str:
        if self.handed_back:
            return f"{self.handed_back}\n\n{self.words}"
        return prompts.feedback_text(self.feedback) if self.feedback else self.words


@dataclass(frozen=True, slots=True)
class Start:
    command: list[str]
    environment: dict[str, str]
    session_id: str
    resumed: bool


class Agent:
    """The agent of one run: which command line, which environment."""

    def __init__(self, run: Json, settings: SupervisorSettings, base: Mapping[str, str]) -> None:
        self.command = [str(word) for word in run.get("command") or []]
        if not self.command:
            raise UsageError(f"run `{run['run_id']}` has no command", hint="Start a new run.")
        self._run = run
        self._settings = settings
        self.is_claude = claude.is_claude(self.command, str(run.get("harness", "")))
        self._parsed = claude.parse(self.command) if self.is_claude else None
        keep = (*_KEPT, *settings.keep, *(claude.KEPT if self.is_claude else ()))
        kept = scrubbed_environment(base, keep)
        self.environment = {k: v for k, v in kept.items() if k not in claude.NEVER}

    @property
    def on_wait(self) -> OnWait:
        return OnWait.DEFER if self.is_claude else OnWait.POLL

    @property
    def session_id(self) -> str:
        """The same for every start of the run, so that a start nobody recorded is found again."""
        named = self._parsed.session_id if self._parsed else ""
        drawn = str(uuid.uuid5(uuid.NAMESPACE_URL, f"handfast:{self._run['run_id']}"))
        return str(self._run.get("session_id") or named or drawn)

    @property
    def folder(self) -> Path:
        """What this runner keeps of the run."""
        return self._settings.folder(str(self._run["run_id"]))

    def session_file(self) -> Path | None:
        """The newest: a contained start has its sessions in the run's own folder."""
        if not self.is_claude:
            return None
        theirs = claude.session_file(self.environment, self.session_id)
        own = claude_home.own_session(self.folder, self.session_id)
        found = [path for path in (theirs, own) if path is not None]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def bring_session(self, worktree: Path, *, contained: bool) -> None:
        """Put the session where the start to come looks for it, when the last one was of the other kind."""
        found = self.session_file()
        if found is None or found.is_relative_to(self.folder) is contained:
            return
        content = found.read_bytes()
        if contained:
            name = claude.project_name(worktree)
            claude_home.place_session(self.folder, name, self.session_id, content)
        else:
            claude.place_session(self.environment, self.session_id, worktree, content)

    def told_files(self, folder: Path) -> tuple[Path, ...]:
        """Files of a start that its agent reads."""
        return folder / SETTINGS, folder / FEEDBACK, folder / HANDED_BACK

    def start(self, going: Going, token: str, folder: Path) -> Start:
        """`folder` is of this start alone and is not the agent's to write."""
        resumed = self.is_claude and not going.fresh and self.session_file() is not None
        ours = self._ours(token)
        if self._parsed is None:
            ours |= self._told(going, folder)
            command = list(self.command)
        else:
            command = self._claude_words(self._parsed, going, folder, resumed=resumed)
        environment = scrubbed_environment(self.environment, ("*",), ours)
        return Start(command, environment, self.session_id, resumed)

    def _claude_words(
        self, parsed: claude.Command, going: Going, folder: Path, *, resumed: bool
    ) -> list[str]:
        more = ["--settings", str(folder / SETTINGS)]
        prompt, system = self._opening(parsed)
        if system:
            more += ["--append-system-prompt", system]
        if not resumed:
            asked = f"{prompt}\n\n{going.prompt}" if going.prompt else prompt
            return parsed.words(asked, *more, "--session-id", self.session_id)
        said = None if going.pending else going.prompt or "Go on."
        return parsed.words(said, *more, "--resume", self.session_id)

    def _opening(self, parsed: claude.Command) -> tuple[str, str]:
        """The prompt, and what is added to the system prompt."""
        brief = prompts.with_rules(prompts.brief_text(self._run))
        if not parsed.prompt:
            return brief, ""
        if parsed.has("--append-system-prompt") or parsed.has("--append-system-prompt-file"):
            return f"{parsed.prompt}\n\n{brief}", ""
        return parsed.prompt, brief

    def _ours(self, token: str) -> dict[str, str]:
        ours = {
            "HANDFAST_URL": self._settings.server_url,
            "HANDFAST_HOOK_URL": self._settings.hook_url,
            RUN_VARIABLE: str(self._run["run_id"]),
            EPOCH_VARIABLE: str(self._run["epoch"]),
            "HANDFAST_SESSION_ID": self.session_id,
        }
        for name in ("NO_PROXY", "no_proxy"):
            known = self.environment.get(name, "")
            ours[name] = f"{known},{_LOOPBACK}" if known else _LOOPBACK
        if not self.is_claude:
            # Claude Code has it in its settings file: every command it runs would inherit a variable.
            ours["HANDFAST_TOKEN"] = token
        return ours

    def _told(self, going: Going, folder: Path) -> dict[str, str]:
        brief = prompts.brief_text(self._run)
        told = {"HANDFAST_BRIEF": brief.replace("\0", "")[:_MAX_FEEDBACK]}
        if not going.fresh:
            told["HANDFAST_RESUME"] = "1"
        if going.handed_back:
            path = folder / HANDED_BACK
            path.write_text(going.handed_back, "utf-8")
            told["HANDFAST_HANDED_BACK_FILE"] = str(path)
        if going.feedback:
            path = folder / FEEDBACK
            path.write_text(going.feedback, "utf-8")
            told["HANDFAST_FEEDBACK_FILE"] = str(path)
            told["HANDFAST_FEEDBACK"] = going.feedback.replace("\0", "")[:_MAX_FEEDBACK]
        elif going.words:
            told["HANDFAST_RESUME_NOTE"] = going.words.replace("\0", "")[:_MAX_FEEDBACK]
        return told
