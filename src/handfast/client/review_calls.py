"""Calls about the files of finished work that a reviewer may edit."""

from collections.abc import Mapping
from dataclasses import replace

from handfast.client.request import Json, Request, get, path_part, read_bytes, read_object


def review_files(handoff_id: str) -> Request[Json]:
    """`{handoff_id, files: [{path, mode, old, new, digest, edited, edited_digest}], left_out: [{path, why}]}`."""
    return get(f"/v1/handoffs/{path_part(handoff_id)}/files", read_object)


def changes(handoff_id: str) -> Request[bytes]:
    """The whole diff as it is kept."""
    return Request("GET", f"/v1/handoffs/{path_part(handoff_id)}/changes", read_bytes, accept="*/*")


def with_unshown(decision: Request[Json]) -> Request[Json]:
    """The same approval, meant for what was too large to be shown as well."""
    return replace(decision, body={**(decision.body or {}), "covers_unshown": True})


def with_files(decision: Request[Json], texts: Mapping[str, str]) -> Request[Json]:
    """The same approval with edits of finished work: by path, each file as it should be, whole."""
    files = [{"path": path, "text": text} for path, text in texts.items()]
    return replace(decision, body={**(decision.body or {}), "edited_files": files})
