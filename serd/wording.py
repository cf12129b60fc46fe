"""What went wrong, as one line for people."""

from pydantic import ValidationError


def reason(error: OSError) -> str:
    """What the system says was wrong, as the end of a line.

    >>> reason(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    said = error.strerror or str(error)
    return said[:1].lower() + said[1:]


# What is wrong in the words of TOML, where pydantic's are of Python.
_SAID = {"extra_forbidden": "unknown key", "tuple_type": "should be a list"}


def first_line(error: ValidationError) -> str:
    """The first thing that is wrong, and how many more there are, in one line."""
    first, *others = error.errors()
    place = ".".join(str(part) for part in first["loc"] if part != "[key]")
    said = _SAID.get(first["type"], first["msg"]).removeprefix("Value error, ").replace("\n", " ")
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {said}{more}" if place else said + more
