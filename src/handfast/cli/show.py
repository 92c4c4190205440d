"""Handoffs and runs as text: the facts first, the agent's own words marked as such."""

from collections.abc import Iterator
from typing import Any

from handfast.cli.output import cell, short_time, shown
from handfast.core.domain.diff_parts import MAX_CHARS

_MAX_WORDS = 8_000
_MAX_SAID = 2_000


def handoff_lines(h: dict[str, Any]) -> Iterator[str]:
    """All a person needs before deciding."""
    yield from before_lines(h)
    yield ""
    yield "What will happen"
    text = shown(h["package"]["what_will_happen"]["text"], MAX_CHARS)
    yield from (f"  {line}" for line in text.splitlines() or [""])
    yield from after_lines(h)


def before_lines(h: dict[str, Any]) -> Iterator[str]:
    """What stands before the action itself."""
    package = h["package"]
    yield f"{h['handoff_id']}  {h['kind']}, {h['risk']} risk, {h['status']}"
    yield ""
    yield f"Ask      {cell(h['ask'])}"
    yield f"Why now  {cell(h.get('why_now') or package.get('why_now', ''))}"
    yield f"Agent    {cell(h['agent_name'])}{_in(h)}"
    note = h.get("checkpoint") or {}
    if note and h.get("waiting"):
        yield f"Together {cell(note['says'])}"
    if h.get("due_at") and not note.get("waits"):
        yield f"Due      {short_time(h['due_at'])} UTC"
    yield f"Digest   {h.get('presented_digest', '')}"
    yield from _takes(h)


def after_lines(h: dict[str, Any]) -> Iterator[str]:
    """What stands behind it: facts, evidence, the question, and what the agent says."""
    package = h["package"]
    yield from _facts(package["what_will_happen"])
    yield from _listed("Not seen", package.get("not_seen") or [])
    yield from _evidence(package.get("evidence") or [])
    yield from _stated(package.get("stated") or [])
    if package.get("open_question"):
        yield ""
        yield f"Question  {cell(package['open_question'], 500)}"
    if package.get("agent_says"):
        yield ""
        yield "The agent says (its own words, not checked)"
        yield _indented(shown(package["agent_says"], _MAX_SAID))
    if (h.get("may_give") or {}).get("times", 1) > 1:
        yield f"May give  {cell(h['may_give']['words'])}"
    yield from _result(h)


def _takes(h: dict[str, Any]) -> Iterator[str]:
    """What a decision takes, where one approval of any reviewer is not enough."""
    takes = h.get("takes") or {}
    if not takes or not h.get("waiting"):
        return
    yield f"Takes    {cell(takes['in_words'])}"
    if votes := [v["by_name"] for v in takes["votes"]]:
        yield f"Approved {cell(', '.join(votes))}"
    yield f"Asked    {cell(takes['asked'])}"
    if following := takes.get("next"):
        yield f"Then     {cell(following['to'])}, at {short_time(following['at'])} UTC"
    yield f"Silence  {cell(takes['silence_means'])}"
    if h.get("edited_by"):
        yield f"Edited   by {cell(h['edited_by'])}: only this runs then"
        yield _indented(shown(_command(h.get("edited_call")), _MAX_WORDS))


def _command(call: object) -> str:
    arguments = call.get("arguments") if isinstance(call, dict) else None
    if isinstance(call, dict) and isinstance(arguments, dict) and call.get("tool") == "git.merge":
        return _edited_merge(arguments)
    command = arguments.get("command") if isinstance(arguments, dict) else None
    return command if isinstance(command, str) else str(call)


def _edited_merge(arguments: dict[str, Any]) -> str:
    head = f"merge of {arguments['commit']} into {arguments['target_branch']}"
    files = (
        f"  {e['path']}  {e['before'][7:19]} -> {e['after'][7:19]}"
        for e in arguments.get("edits") or ()
    )
    return "\n".join((f"{head}, edited by {arguments['author']}:", *files))


def _in(h: dict[str, Any]) -> str:
    place = h.get("repository")
    return f" in {cell(place)}" if place else ""


def _facts(what: dict[str, Any]) -> Iterator[str]:
    yield from _listed("", what.get("details") or [])
    if what.get("hazards"):
        yield f"  hazards: {cell(', '.join(what['hazards']))}"
    if what.get("opaque"):
        yield f"  could not be read: {cell(', '.join(what['opaque']))}"
    undo = {True: "yes", False: "no", None: "not known"}[what.get("reversible")]
    yield f"  can be undone: {undo}"
    if what.get("undo"):
        yield f"  undo ({cell(what.get('undo_about', ''))}): {cell(what['undo'], 500)}"
    if what.get("preview_about"):
        yield f"Preview  {cell(what['preview_about'], 300)}"
        yield _indented(shown(what.get("preview", ""), _MAX_WORDS))


def _listed(title: str, items: list[Any]) -> Iterator[str]:
    if items and title:
        yield ""
        yield title
    yield from (f"  - {cell(item, 500)}" for item in items)


def _evidence(evidence: list[dict[str, Any]]) -> Iterator[str]:
    if not evidence:
        return
    yield ""
    yield "Evidence"
    for e in evidence:
        result = f": {cell(e['result'])}" if e.get("result") else ""
        yield f"  - [{cell(e.get('status', 'unverified'))}] {cell(e['claim'], 500)}{result}"


def _stated(stated: list[dict[str, Any]]) -> Iterator[str]:
    """Never beside `[recorded]` or the like: a step that a basis names shows only that it was run."""
    if stated:
        yield ""
        yield "The agent states (its own words and numbers, not checked)"
    for s in stated:
        says = f" (says {cell(s['confidence'])})" if s.get("confidence") else ""
        yield f"  - {cell(s['claim'], 500)}{says}"
        if s.get("basis"):
            yield f"    basis: {cell(s['basis'], 500)}"
        code = s.get("exit_code")
        ended = "no exit code" if code is None else f"exit {code}"
        yield (
            f"    names step {cell(s['step_id'])}, {ended}"
            if s.get("step_id")
            else "    unverified"
        )


def _result(h: dict[str, Any]) -> Iterator[str]:
    if d := h.get("decision"):
        yield ""
        alone = ", in an emergency: it took more" if d.get("overridden") else ""
        yield f"Decided  {d['kind']} by {cell(d['by_name'])} at {short_time(d['at'])} UTC{alone}"
        if d.get("reason"):
            yield _indented(shown(d["reason"], _MAX_SAID))
        if d.get("edited_call"):
            yield _indented(shown(_command(d["edited_call"]), _MAX_WORDS))
    if (g := h.get("grant")) and g.get("uses", 1) > 1:
        yield f"Used     {g['used']} of {g['uses']}, for this {cell(g['span'])}"
    if x := h.get("effect"):
        code = "" if x.get("exit_code") is None else f", exit code {x['exit_code']}"
        yield f"Effect   {cell(x['outcome'])}{code}"
    for line in h.get("timeline") or []:
        if line["type"] == "handoff.commented":
            yield f"Comment  {cell(line['who'])}: {cell(line['text'], 500)}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines() or [""])


def step_line(step: dict[str, Any]) -> str:
    """One step on one line: when, which tool, what it does, what became of it."""
    verdict = step.get("verdict", "")
    code = step.get("exit_code")
    ended = f", exit {code}" if code is not None else ", failed" if step.get("failed") else ""
    at = str(step.get("at", ""))[11:19]
    tool, summary = step.get("tool", ""), step.get("summary", "")
    return " ".join(f"{at}  {verdict:<8} {tool}  {summary}{ended}".splitlines())


def limit_lines(limits: dict[str, Any]) -> Iterator[str]:
    """What a run used beside its limits, what it was warned of, and what nobody watches."""
    for row in limits.get("usage") or []:
        beside = f": {cell(row['limit'], 300)}" if row.get("limit") else ""
        yield f"used     {cell(row['label'])} {cell(row['used'])}{beside}"
    for warning in limits.get("warnings") or []:
        yield f"warning  {cell(warning, 300)}"
    if names := limits.get("not_watched"):
        yield f"not watched: {cell(', '.join(names), 300)}"
