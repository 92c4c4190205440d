"""The sentences of a report: what the checks that passed prove, and what they cannot."""

from collections.abc import Iterator, Mapping

from handfast.core.audit.bodies import BodyCheck
from handfast.core.audit.entries import EntryCheck
from handfast.core.audit.heads import Heads, Source, Track


def proven_claims(
    heads: Heads, tracks: Mapping[Source, Track], entries: EntryCheck, bodies: BodyCheck
) -> Iterator[str]:
    """Only what holds even if other checks failed."""
    signed, since = tracks[Source.SIGNED], tracks[Source.SINCE]
    if signed.good and heads.keys:
        yield (
            f"Entries 1 to {signed.good:,} are exactly those signed by a key you gave: "
            "none changed, added, removed or moved."
        )
    elif signed.good:
        yield (
            f"Entries 1 to {signed.good:,} are exactly those the tree head in the bundle covers."
        )
    if since.good and heads.keys:
        yield (
            f"Entries 1 to {since.good:,} are as they were when the earlier tree head you gave "
            "was signed."
        )
    if bodies.verified:
        yield f"{bodies.verified:,} bodies are byte for byte what the entries refer to."
    if entries.dense and entries.streams:
        yield f"The versions of all {entries.streams:,} streams are dense from 1."


def unproven_claims(
    heads: Heads, tracks: Mapping[Source, Track], bodies: BodyCheck
) -> Iterator[str]:
    """Never empty."""
    if not heads.keys:
        yield (
            "Who signed: no key was given, and keys found in the bundle prove nothing. "
            "Get the verifier key from the operator by another way and give it with --key."
        )
    since = tracks[Source.SINCE]
    if not heads.since:
        yield (
            "That no later entries were cut off, and that the holder of the signing key did not "
            "rewrite the history and sign it again: give an earlier tree head with --since."
        )
    elif since.bad is None:
        yield (
            f"Entries after {since.good:,}: later ones may have been cut off, and the holder of the "
            "signing key could have rewritten them before this bundle was made."
        )
    if heads.declared_count:
        yield (
            f"{heads.declared_count:,} tree heads are signed only by keys that the bundle itself "
            "names. Give those keys too if you have them."
        )
    yield from _about_bodies(bodies)
    yield "That what was recorded is what happened, and when: times are the recording server's."


def _about_bodies(bodies: BodyCheck) -> Iterator[str]:
    if bodies.erased_count:
        yield f"What the {bodies.erased_count:,} erased bodies held."
    unrecorded = bodies.erased_count - bodies.recorded.total()
    if unrecorded:
        yield (f"Who erased {unrecorded:,} of them: no entry up to this tree head records it.")
    if bodies.withheld:
        yield f"What {bodies.withheld:,} bodies hold: they were left out of this bundle."
