"""The first program inside a sandbox: opens the doors, hands them out, becomes the agent.

It listens on loopback of the sandbox's own network, passes the listening sockets to the runner outside
over a Unix socket, and executes the agent in its place. So nothing of ours stays inside, and what comes
through a door is judged outside.

Run as a file, isolated (`-I -S`), with the standard library only. Arguments: one JSON object
(`channel`, `doors`, `proxy`, `copies`), then the agent's command line.
"""

import json
import os
import shutil
import socket
import sys
from pathlib import Path

NOT_RUN = 127


def main() -> int:
    config = json.loads(sys.argv[1])
    command = sys.argv[2:]
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(config["channel"])
    doors = [_listen(host, port) for host, port in config["doors"]]
    proxy = f"http://127.0.0.1:{doors[0].getsockname()[1]}"
    for source, target in config["copies"]:
        _copy(Path(source), Path(target))
    socket.send_fds(channel, [b"doors"], [door.fileno() for door in doors])
    for door in doors:
        door.close()
    environment = {**os.environ, **dict.fromkeys(config["proxy"], proxy)}
    try:
        # The channel closes on exec: that is how the runner knows that the agent runs.
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell on purpose
    except OSError as error:
        channel.sendall(json.dumps({"errno": error.errno}).encode())
    return NOT_RUN


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind((host, port))
    door.listen(128)
    return door


def _copy(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


if __name__ == "__main__":
    sys.exit(main())
