"""`python -m bench.queue`: the first page of the inbox when 10,000 cases wait, for those who see all of it and for
somebody who sees five of them. In one process, without the way over the network; processor time, median of 15.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bench.engine import PASSWORD, PIN, RUNNER, Bench, open_bench
from bench.filler import Mix, fill
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.engine.gating import Proposal
from handfast.engine.people import NewPerson
from handfast.engine.runs import Session
from handfast.server.pages import inbox
from handfast.server.pages.reader import Reader, page
from handfast.server.web.inbox_filters import read_filters

MIX = Mix(waiting=10_000, approved=2_000, refused=20_000, light=True)
ROUNDS = 15


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        bench = open_bench(Path(name))
        with closing(bench.engine):
            fill(bench, MIX)
            all_of_it = Reader(bench.engine, bench.person.id, "secret")
            _shown("all of 10,000", all_of_it, {})
            _shown("only what is a stamp: none", all_of_it, {"need": "stamp"})
            _shown("5 of 10,005", _who_sees_five(bench), {})


def _who_sees_five(bench: Bench) -> Reader:
    engine, me = bench.engine, Actor("person", bench.person.id, "browser")
    new = Session(bench.agent_id, "claude-code", "small", "/small", Mode.ENFORCE)
    run = str(engine.runs.session(RUNNER, new)["run_id"])
    for n in range(5):
        call = Call("Bash", {"command": f"git push origin small-{n}"})
        facts = Facts(Effect.NETWORK, f"pushes small-{n}", hazards=("git.push",))
        engine.actions.propose(RUNNER, Proposal(run, f"k{n}", call, facts))
    secret = engine.people.invite_another(me, ("reviewer",))
    made = engine.people.set_up(secret, NewPerson("Sam", "sam", PASSWORD, PIN))
    engine.knowing.set_project(me, "small", ["/small"], ["sam"], [])
    return Reader(engine, str(made["person_id"]), "secret")


def _shown(name: str, reader: Reader, query: Mapping[str, str]) -> None:
    took, html = [], b""
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        shown = inbox._inbox(reader, read_filters(query), "")  # noqa: SLF001
        html = bytes(page("inbox.html", shown).body)
        took.append((time.process_time() - start) * 1000)
    rows = html.count(b"data-case=")
    print(f"{name:30} {statistics.median(took[1:]):7.1f} ms, {rows} rows")


if __name__ == "__main__":
    main()
