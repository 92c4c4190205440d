"""The whole change of a handoff, also where it is too large to be shown with it."""

from handfast.core.domain.errors import StaleDecision
from handfast.core.domain.handoff import Handoff
from handfast.engine.effects import open_package
from handfast.engine.kernel import Kernel


def whole_change(kernel: Kernel, handoff_id: str) -> str:
    """The exact text: a diff, or the call in words. Raises NotFound, StaleDecision where it was erased."""
    handoff = kernel.state(Handoff, handoff_id)
    if handoff.whole is None:
        return open_package(kernel, handoff).what_will_happen.text
    content = kernel.vault.open(handoff.whole.body_id)
    if content.erased:
        raise StaleDecision(f"the change of handoff `{handoff_id}` was erased")
    return content.text
