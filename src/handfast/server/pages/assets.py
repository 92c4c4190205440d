"""Static files: style sheets, the icon, the built script. Read once, answered with an entity tag."""

import hashlib
import importlib.resources
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

router = APIRouter()
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    data: bytes
    tag: str
    media: str


@router.get("/static/{name:path}")
def get_static(request: Request, name: str) -> Response:
    """The browser asks each time whether a file changed: it is a short way, and an upgrade shows at once."""
    asset = assets().get(name)
    if asset is None:
        raise HTTPException(404)
    headers = {"ETag": asset.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.data, headers=headers, media_type=asset.media)


@cache
def assets() -> dict[str, Asset]:
    """Everything that may be fetched, by its path under `/static/`."""
    web = importlib.resources.files("handfast.server.web")
    found = {each.name: each for each in (web / "static").iterdir()}
    if (web / "dist").is_dir():
        found |= {f"dist/{each.name}": each for each in (web / "dist").iterdir()}
    return {name: _asset(each) for name, each in found.items() if _suffix(name) in _MEDIA}


def _asset(file: Traversable) -> Asset:
    data = file.read_bytes()
    return Asset(data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', _MEDIA[_suffix(file.name)])


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]
