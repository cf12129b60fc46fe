"""What the tests of the command line share."""

import numpy as np
import soundfile

from serd.audio import SAMPLE_RATE


def one_line(done, code, said):
    """That a command failed with this exit code and one line."""
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("serd: ")
    assert said in line


def long_file(path, speech, hours):
    """Speech once a minute in a quiet room."""
    rng = np.random.default_rng(0)
    minute = np.concatenate([speech, np.zeros(60 * SAMPLE_RATE - speech.size)])
    minute = (minute * 32_000 + rng.normal(0, 10, minute.size)).astype(np.int16)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
        for _ in range(int(60 * hours)):
            file.write(minute)
