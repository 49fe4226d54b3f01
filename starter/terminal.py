"""The console for what is too wide or too colourful for plain lines."""

from __future__ import annotations

from rich.console import Console

# Of what is read from a file or a pipe: nothing is cut, little is broken.
PIPE_WIDTH = 160


def console() -> Console:
    """Rich's console on stdout, without guessing at colours for numbers and paths."""
    found = Console(highlight=False, markup=False)
    if not found.is_terminal:
        found.width = max(found.width, PIPE_WIDTH)
    return found
