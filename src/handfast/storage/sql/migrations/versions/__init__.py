"""One module a revision, numbered so that text order is age."""
