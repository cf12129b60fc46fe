"""Voices on disk: of people who were enrolled by name, and of those whom each source has heard.

Both are files of one kind, in the state directory: a list of voices, of one model.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from serd import whole
from serd.baseline import Baseline, Floats
from serd.bundle import Card
from serd.settings import BASELINES, Settings, as_name, state_dir
from serd.wording import first_line, reason


class VoicesError(Exception):
    """Voices that cannot be used; the message says which and why, in one line."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Its name and version, for people."""
    sha256: str
    """Of its network: what another makes of the same voice lies elsewhere."""
    voices: tuple[Baseline, ...]


def heard(settings: Settings) -> Path:
    """The folder of those whom each source has heard."""
    return state_dir(settings) / "baselines"


def file_of(name: str, settings: Settings) -> Path:
    """Where somebody enrolled is kept.

    Raises:
        VoicesError: it cannot be anybody's name.
    """
    try:
        as_name(name)
    except ValueError as error:
        raise VoicesError(f"{name!r}: {error}") from error
    if name in BASELINES:
        raise VoicesError(f"{name}: not a name: --baseline {name} means something else")
    return state_dir(settings) / "voices" / f"{name}.json"


def named(name: str, settings: Settings, card: Card) -> Floats | None:
    """The baseline of somebody enrolled, `[size]`; None for a model that takes none.

    Raises:
        VoicesError: there is no such voice, or it cannot be used.
    """
    file = file_of(name, settings)
    if not file.is_file():
        there = ", ".join(sorted(other.stem for other in file.parent.glob("*.json"))) or "none"
        raise VoicesError(f"{name}: no such voice (there are: {there}); serd enroll makes one")
    if card.adaptation is None:
        return None
    voices = read(file, card)
    if len(voices) != 1:
        raise VoicesError(f"{file}: not one voice")
    return voices[0].value(card.adaptation)


def read(file: Path, card: Card) -> tuple[Baseline, ...]:
    """The voices in a file; none if it is not there.

    Raises:
        VoicesError: it cannot be read, is damaged, or of another model.
    """
    try:
        content = _Content.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise VoicesError(f"{file}: {reason(error)}") from error
    except ValidationError as error:
        raise VoicesError(f"{file}: {first_line(error)}") from error
    if content.sha256 != card.sha256:
        raise VoicesError(f"{file}: made by another model, {content.model}")
    size = 0 if card.adaptation is None else len(card.adaptation.mean)
    if any(len(voice.mean) != size for voice in content.voices):
        raise VoicesError(f"{file}: a voice is not of the model's size")
    return content.voices


def write(file: Path, card: Card, voices: Sequence[Baseline]) -> None:
    """Replace a file of voices.

    Raises:
        VoicesError: it cannot be written.
    """
    content = _Content(model=card.id, sha256=card.sha256, voices=tuple(voices))
    try:
        whole.write(file, content.model_dump_json() + "\n", private=True)
        _give_to_owner(file.parent.parent, [file.parent, file])
    except OSError as error:
        raise VoicesError(f"{file}: {reason(error)}") from error


def _give_to_owner(state: Path, paths: Sequence[Path]) -> None:
    """What root enrols for the service is to be read by it: to it the state directory belongs."""
    if os.geteuid() != 0:
        return
    owner = state.stat()
    for path in paths:
        own = path.lstat()
        if (own.st_uid, own.st_gid) != (owner.st_uid, owner.st_gid):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
