"""A corpus made of nothing: voices that differ in pitch, emotions in melody and tempo."""

from pathlib import Path

import numpy as np
import soundfile

from training.corpora.clip import EMOTIONS

RATE = 16_000


def sentence(actor: int, emotion: int, take: int) -> np.ndarray:
    """About 1.5 s of syllables with quiet around them, float `[n]`."""
    rng = np.random.default_rng([actor, emotion, take])
    t = np.arange(int(1.2 * RATE)) / RATE
    pitch = (110 if actor % 2 else 200) + 12 * emotion + rng.normal(0, 3)
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.03 * emotion * np.sin(2 * np.pi * 2 * t))) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * (2.5 + 0.4 * emotion) * t), 0.1, 1)
    quiet = np.zeros(int(0.4 * RATE))
    sound = np.concatenate([quiet, 0.12 * voice * syllables, quiet])
    return sound + rng.normal(0, 0.001, sound.size)


def write(root: Path, actors: int, statements: int = 1) -> None:
    """RAVDESS's tree and file names, 8 emotions × actors × statements."""
    for actor in range(1, actors + 1):
        folder = root / "ravdess" / f"Actor_{actor:02}"
        folder.mkdir(parents=True)
        for emotion in range(1, 9):
            for statement in range(1, statements + 1):
                name = f"03-01-{emotion:02}-01-{statement:02}-01-{actor:02}.wav"
                soundfile.write(folder / name, sentence(actor, emotion, statement), RATE)


def write_voices(root: Path, actors: range) -> None:
    """A folder for each emotion, in it one for each speaker: nobody of RAVDESS."""
    for actor in actors:
        for number, emotion in enumerate(EMOTIONS):
            folder = root / "voices" / emotion / f"speaker-{actor}"
            folder.mkdir(parents=True)
            soundfile.write(folder / "1.wav", sentence(actor, number + 1, 1), RATE)


def write_noises(root: Path) -> None:
    """Four kinds of noise, a tone each, and three rooms of one echo each."""
    t = np.arange(2 * RATE) / RATE
    for number, kind in enumerate(("fan", "rain", "dog", "bell")):
        (root / "noise" / kind).mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * 500 * (number + 1) * t)
        soundfile.write(root / "noise" / kind / "1.wav", tone, RATE)
    (root / "rir").mkdir()
    for number, room in enumerate(("hall", "bath", "cell")):
        response = np.zeros(800)
        response[[0, 100 * (number + 1)]] = 1, 0.5
        soundfile.write(root / "rir" / f"{room}.wav", response, RATE)
