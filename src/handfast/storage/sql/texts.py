"""Text that both databases can hold and compare alike."""

from handfast.core.domain.errors import UsageError


def check_texts(*texts: str) -> None:
    """PostgreSQL has no NUL in text, and UTF-8 no half of a surrogate pair. Raises UsageError."""
    for text in texts:
        if "\0" in text:
            raise UsageError(
                f"a name or key holds a NUL character: {text[:80]!r}", hint="Send it without."
            )
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UsageError(
                    f"a name or key holds half of a surrogate pair: {text[:80]!r}",
                    hint="Send valid Unicode.",
                ) from None
