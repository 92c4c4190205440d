"""Untrusted text made safe to show. The rule itself lives in the core, beside the model that stores text."""

from handfast.core.domain.inert import inert as inert
from handfast.core.domain.inert import is_hidden as is_hidden

__all__ = ["inert", "is_hidden"]
