"""What the runner raises when it cannot go on."""


class UnableToStart(Exception):
    """One sentence for the terminal: what is wrong, and what to do about it."""
