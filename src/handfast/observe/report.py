"""Facts as `policy facts` prints them: what the built-in policy would stop, apart from what it only records."""

from dataclasses import replace

from handfast.core.domain.action import Facts, Verdict
from handfast.core.policy.builtin import judge


def gated_report(facts: Facts) -> dict[str, list[str]]:
    """`hazards` and `opaque` hold what the built-in policy would gate or deny; `facts` the sentences, the summary first."""
    alone = replace(facts, opaque=(), hazards=())
    stopped = [
        hazard
        for hazard in facts.hazards
        if judge(replace(alone, hazards=(hazard,))).verdict is not Verdict.ALLOW
    ]
    return {
        "hazards": stopped,
        "opaque": list(facts.opaque),
        "facts": list(dict.fromkeys((facts.summary, *facts.details))),
    }
