"""Domain values as the JSON of the API: every field, its default filled in."""

from dataclasses import fields, is_dataclass

from handfast.core.domain.codec import encode

Result = dict[str, object]


def full(value: object) -> Result:
    """A dataclass as JSON with its defaults, so that a client need not know them."""
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is not a dataclass")
    encoded = encode(value)
    out: Result = {}
    for f in fields(value):
        item = getattr(value, f.name)
        out[f.name] = _full_item(item, encoded.get(f.name, item))
    return out


def _full_item(item: object, encoded: object) -> object:
    if is_dataclass(item) and not isinstance(item, type):
        return full(item)
    if isinstance(item, tuple):
        return [_full_item(x, x) for x in item]
    return encoded
