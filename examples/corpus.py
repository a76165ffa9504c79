"""Text that every Python brings along: the language reference behind `help("topics")`, for the examples that read."""

from pydoc_data.topics import topics


def chapters():
    """Pairs of title and text, longest first."""
    return sorted(topics.items(), key=lambda pair: len(pair[1]), reverse=True)


def whole():
    """All chapters as one text."""
    return "\n".join(text for _, text in sorted(topics.items()))
