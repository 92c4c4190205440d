"""One run of the real binary in a scratch repository, under a stub hook."""

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from handfast.testing.claude_binary import ClaudeProcess, ClaudeRun, claude_env, start_claude
from handfast.testing.fake_anthropic import FakeAnthropic

Place = Literal["local", "project", "user", "flag"]
TOOL_EVENTS = ("PreToolUse", "PostToolUse", "PostToolUseFailure")
SESSION_EVENTS = ("Stop", "SubagentStop", "SessionEnd")
TOKEN = "from-settings"
RUN_TIMEOUT_S = 45.0


@dataclass(frozen=True)
class Bench:
    binary: Path
    root: Path

    @classmethod
    def prepare(cls, binary: Path, root: Path) -> "Bench":
        bench = cls(binary, root)
        bench.home.mkdir()
        bench.repo.mkdir()
        (bench.repo / "README.md").write_text("hello\n")
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
            subprocess.run(["git", *command], cwd=bench.repo, check=True)
        return bench

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def flag_file(self) -> Path:
        return self.root / "settings-of-the-run.json"

    def wrote(self, name: str = "out.txt") -> str | None:
        """What the agent's command left in a file of the repository; None when nothing."""
        path = self.repo / name
        return path.read_text().strip() if path.exists() else None

    def place(self, place: Place, settings: dict[str, Any]) -> Path:
        """Write a settings file where Claude Code looks for it."""
        path = {
            "local": self.repo / ".claude" / "settings.local.json",
            "project": self.repo / ".claude" / "settings.json",
            "user": self.home / ".claude" / "settings.json",
            "flag": self.flag_file,
        }[place]
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(settings))
        return path

    def hook(self, url: str, place: Place = "local", **fields: Any) -> None:
        """Install the hook as the product does; `fields` are further settings of the file."""
        self.place(place, {**self.hook_settings(url), **fields})

    def hook_settings(
        self,
        url: str,
        *,
        timeout_s: object = 30,
        on_failure: bool = True,
        authorization: str = "Bearer $HANDFAST_TOKEN",
        events: tuple[str, ...] = (*TOOL_EVENTS, *SESSION_EVENTS),
    ) -> dict[str, Any]:
        hooks: dict[str, Any] = {}
        for event in events:
            call: dict[str, Any] = {
                "type": "http",
                "url": url,
                "headers": {"Authorization": authorization},
                "allowedEnvVars": ["HANDFAST_TOKEN"],
                "timeout": timeout_s,
            }
            if event == "PreToolUse" and on_failure:
                call["onFailure"] = "block"
            hooks[event] = [{"hooks": [call], **({"matcher": "*"} if event in TOOL_EVENTS else {})}]
        return {"env": {"HANDFAST_TOKEN": TOKEN}, "hooks": hooks}

    def start(
        self,
        model: FakeAnthropic,
        *arguments: str,
        prompt: str | None = "go",
        mode: str | None = "bypassPermissions",
        cwd: Path | None = None,
        home: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> ClaudeProcess:
        """Start `claude -p` with its result as JSON."""
        # The prompt comes first: several options swallow every word after them.
        words = ["-p", *([prompt] if prompt is not None else []), "--output-format", "json"]
        if mode is not None:
            words += ["--permission-mode", mode]
        if self.flag_file.exists():
            words += ["--settings", str(self.flag_file)]
        return start_claude(
            self.binary,
            [*words, *arguments],
            cwd=cwd or self.repo,
            env={**claude_env(home or self.home, model.url), **(env or {})},
        )

    def run(self, model: FakeAnthropic, *arguments: str, **options: Any) -> ClaudeRun:
        """`start`, and wait for the end; a run that hangs fails the test."""
        with self.start(model, *arguments, **options) as process:
            ran = process.finish(RUN_TIMEOUT_S)
        assert not ran.timed_out, f"claude did not end: {ran.stdout} {ran.stderr}"
        return ran

    def resume(self, model: FakeAnthropic, session_id: str, **options: Any) -> ClaudeRun:
        """Resume without a prompt, as after a decision."""
        return self.run(model, "--resume", session_id, **{"prompt": None, **options})

    def session_file(self, session_id: str) -> Path:
        """The one transcript of a session under this bench's HOME."""
        found = list(self.home.glob(f".claude/projects/*/{session_id}.jsonl"))
        assert len(found) == 1, found
        return found[0]

    def wait_written(self, session_id: str, text: str, within_s: float = 20) -> None:
        """Until the session's file holds `text`."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, AssertionError):
                if text in self.session_file(session_id).read_text("utf-8"):
                    return
            time.sleep(0.02)
        raise AssertionError(f"the session's file never held {text}")
