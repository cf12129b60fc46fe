"""From file names to labelled clips, and what is said when they cannot be had."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from serd.audio import read
from training import corpora
from training.corpora import ravdess
from training.corpora.clip import EMOTIONS, CorpusError
from training.corpora.duplicates import digest, duplicates
from training.corpora.labels import LABELS, emotion, sex

SOUND = np.array([0, 1000, -1000, 32_767, -32_768], np.int16)


def touch(root: Path, *names: str) -> None:
    """Small sound files."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, SOUND, 16_000, format="FLAC" if path.suffix == ".flac" else "WAV")


@pytest.fixture(autouse=True)
def _nothing_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERD_PREPARED", str(tmp_path / "prepared"))


def test_ravdess_speech_and_song_of_one_person(tmp_path: Path) -> None:
    for folder in ("ravdess/Actor_07", "ravdess_song"):  # both channels in both folders
        touch(tmp_path / folder, "03-01-08-01-02-01-07.flac", "03-02-05-02-01-02-07.wav")
    (spoken,) = corpora.load("ravdess", tmp_path)
    (sung,) = corpora.load("ravdess_song", tmp_path)
    assert (spoken.emotion, spoken.statement, spoken.sex) == ("surprised", "ravdess-2", "male")
    assert (sung.emotion, sung.statement, sung.sex) == ("angry", "ravdess-1", "male")
    assert spoken.speaker == sung.speaker == ravdess.speaker(7) == "ravdess-07"
    assert (spoken.corpus, sung.corpus) == ("ravdess", "ravdess_song")


def test_ravdess_in_every_format_and_case(tmp_path: Path) -> None:
    stems = [f"03-01-01-01-01-01-0{actor}" for actor in range(1, 6)]
    suffixes = (".wav", ".flac", ".opus", ".ogg", ".WAV")
    for stem, suffix in zip(stems, suffixes, strict=True):
        (tmp_path / (stem + suffix)).touch()
    (tmp_path / f"._{stems[0]}.wav").touch()  # no sound: macOS leaves them
    (tmp_path / "readme.txt").touch()
    assert [clip.path.stem for clip in ravdess.load(tmp_path)] == stems


def test_ravdess_without_song(tmp_path: Path) -> None:
    touch(tmp_path / "ravdess_song", "03-01-08-01-02-01-07.wav")
    with pytest.raises(CorpusError, match="none of ravdess_song"):
        corpora.load("ravdess_song", tmp_path)


def test_tess_flat_and_in_its_original_folders(tmp_path: Path) -> None:
    touch(
        tmp_path / "tess",
        *("OAF_Fear/OAF_back_fear.wav", "OAF_neutral/OA_bite_neutral.wav"),
        *("YAF_pleasant_surprised/YAF_dog_ps.wav", "YAF_back_angry.wav"),
    )
    clips = {clip.path.stem: clip for clip in corpora.load("tess", tmp_path)}
    assert clips["OAF_back_fear"].emotion == "fearful"
    assert clips["YAF_dog_ps"].emotion == "surprised"
    assert {clip.speaker for clip in clips.values()} == {"tess-OAF", "tess-YAF"}
    assert clips["OA_bite_neutral"].speaker == "tess-OAF"
    assert clips["OAF_back_fear"].statement == clips["YAF_back_angry"].statement == "tess-back"
    assert {clip.sex for clip in clips.values()} == {"female"}


def test_nemo_with_and_without_its_table(tmp_path: Path) -> None:
    touch(tmp_path / "nemo", "EB0_anger_1.wav", "KS0_surprised_90.wav", "ZZ0_happiness_2.wav")
    assert {clip.sex for clip in corpora.load("nemo", tmp_path)} == {"unknown"}
    (tmp_path / "nemo" / "speakers.tsv").write_text(
        "speaker\tsex\tage\nEB0\tfemale\t27\nKS0\tmale\t23\n"
    )
    one, two, three = corpora.load("nemo", tmp_path)
    assert (one.emotion, one.speaker, one.sex) == ("angry", "nemo-EB0", "female")
    assert (two.emotion, two.statement, two.sex) == ("surprised", "nemo-90", "male")
    assert three.sex == "unknown"


def test_original_crema_d_goes_before_what_was_prepared(tmp_path: Path) -> None:
    touch(tmp_path / "prepared" / "crema_d", "1001_DFA_ANG_XX.flac", "1002_IEO_HAP_HI.flac")
    assert [c.path.suffix for c in corpora.load("crema_d", tmp_path)] == [".flac", ".flac"]
    touch(tmp_path / "crema_d" / "AudioWAV", "1001_DFA_ANG_XX.wav", "1040_ITH_SAD_X.wav")
    first, last = corpora.load("crema_d", tmp_path)
    assert first.path.parent.name == last.path.parent.name == "AudioWAV"
    assert (first.emotion, first.speaker, first.sex) == ("angry", "crema_d-1001", "unknown")
    assert (last.emotion, last.statement) == ("sad", "crema_d-ITH")


@pytest.mark.parametrize(
    "table", ["crema_d/VideoDemographics.csv", "crema_d/speakers.csv", "crema_d_mel/speakers.csv"]
)
def test_crema_d_takes_the_sexes_from_a_table(tmp_path: Path, table: str) -> None:
    touch(tmp_path / "crema_d" / "AudioWAV", "1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav")
    (tmp_path / table).parent.mkdir(exist_ok=True)
    (tmp_path / table).write_text("ActorID,Age,Sex\n1001,51,Male\n1002,21,Female\n")
    assert [clip.sex for clip in corpora.load("crema_d", tmp_path)] == ["male", "female"]


@pytest.mark.parametrize("folder", ["crema_d", "crema_d_mel"])
def test_crema_d_takes_what_listeners_heard_from_a_table(tmp_path: Path, folder: str) -> None:
    touch(tmp_path / "crema_d" / "AudioWAV", "1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav")
    assert {clip.votes for clip in corpora.load("crema_d", tmp_path)} == {()}
    table = tmp_path / folder / "voice_votes.csv"
    table.parent.mkdir(exist_ok=True)
    table.write_text("clip,angry,NEU\n1001_DFA_ANG_XX,7,3\n1003_DFA_ANG_XX,1,1\n")
    heard, unheard = corpora.load("crema_d", tmp_path)
    assert heard.votes == (("angry", 7), ("neutral", 3))
    assert unheard.votes == ()
    assert len({heard, unheard}) == 2
    for row, said in (("1001_DFA_ANG_XX,7", "'' is no number"), ("x,1.5,2", "'1.5' is no number")):
        table.write_text(f"clip,angry,neutral\n{row}\n")
        with pytest.raises(CorpusError, match=f"voice_votes.csv: .*{said} of votes"):
            corpora.load("crema_d", tmp_path)


def test_crema_d_prepared_in_part_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "prepared" / "crema_d"
    touch(folder, "1001_DFA_ANG_XX.flac")
    (folder / "unfinished").touch()
    with pytest.raises(CorpusError, match="prepared in part only"):
        corpora.load("crema_d", tmp_path)


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    touch(tmp_path / "own", "Anger/a.wav", "pleasant_surprise/anna/b.flac", "SAD/bert/c.wav")
    angry, sad, surprised = corpora.load("folder:own", tmp_path)
    assert [c.emotion for c in (angry, sad, surprised)] == ["angry", "sad", "surprised"]
    assert angry.speaker == "folder:own-unknown"
    assert surprised.speaker == "folder:own-anna"
    assert {c.corpus for c in (angry, sad, surprised)} == {"folder:own"}
    absolute = corpora.load(f"folder:{tmp_path / 'own'}", Path("elsewhere"))
    assert [clip.path for clip in absolute] == [angry.path, sad.path, surprised.path]


@pytest.mark.parametrize("name", ["a.wav", "sad/anna/monday/a.wav"])
def test_a_clip_at_another_depth_is_named(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "own", name)
    with pytest.raises(CorpusError, match=rf"{name}: neither LABEL/clip nor LABEL/SPEAKER/clip"):
        corpora.load("folder:own", tmp_path)


def test_a_table(tmp_path: Path) -> None:
    touch(tmp_path, "lists/a.wav", "sounds/b.wav")
    (tmp_path / "lists" / "own.csv").write_bytes(
        "\ufeffPath,Emotion,Speaker,Sex,Statement\r\n"
        'a.wav,ANG,zoë,F,"hello, you"\r\n'
        "../sounds/b.wav,sadness,ravdess-07\r\n\r\n".encode()
    )
    one, two = corpora.load("csv:lists/own.csv", tmp_path)
    assert (one.emotion, one.speaker, one.sex) == ("angry", "zoë", "female")
    assert one.statement == "hello, you"
    assert (two.emotion, two.speaker, two.sex, two.statement) == (
        "sad",
        "ravdess-07",
        "unknown",
        "",
    )
    assert read(two.path).tolist() == SOUND.tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na.wav,sad\n", "no column path, emotion, speaker"),
        ("path;emotion;speaker\na.wav;sad;anna\n", "',' between cells"),
        ("path,emotion,speaker,emotion\na.wav,sad,anna,calm\n", "a column stands there twice"),
        ("", "no column path"),
        ("path,emotion,speaker\n", "no clips"),
        ("path,emotion,speaker\nb.wav,sad,anna\n", "no such file: .*b.wav"),
        ("path,emotion,speaker\na.wav,sad\n", "no speaker of .*a.wav"),
        ("path,emotion,speaker\na.wav,sad,anna\n,sad,anna\n", "no path in row 2"),
        ("path,emotion,speaker\na.wav,bored,anna\n", "a.wav: unknown emotion 'bored'"),
        ("path,emotion,speaker,sex\na.wav,sad,anna,x\n", "a.wav: unknown sex 'x'"),
        ("path,emotion,speaker\na.wav,sad,zo\xeb\n", "not a table in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path: Path, text: str, said: str) -> None:
    touch(tmp_path, "a.wav")
    (tmp_path / "own.csv").write_text(text, "latin-1")
    with pytest.raises(CorpusError, match=said) as caught:
        corpora.load("csv:own.csv", tmp_path)
    assert "\n" not in str(caught.value)


def test_every_emotion_has_words_and_every_word_an_emotion() -> None:
    assert set(LABELS.values()) == set(EMOTIONS)
    assert all(LABELS[name] == name for name in EMOTIONS)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *(("ANG", "angry"), ("Fear", "fearful"), ("ps", "surprised"), ("DIS", "disgust")),
        *(("happiness", "happy"), ("Pleasant_surprise", "surprised"), (" neu ", "neutral")),
    ],
)
def test_the_words_of_the_corpora(word: str, expected: str) -> None:
    assert emotion(word, Path("a.wav")) == expected


def test_a_sex_is_said_in_some_words() -> None:
    said = [sex(word, Path("t.csv")) for word in ("Male", "f", "", "unknown")]
    assert said == ["male", "female", "unknown", "unknown"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ravdess", "03-01-09-01-01-01-01.wav"),
        ("ravdess", "03-03-01-01-01-01-01.wav"),
        ("ravdess_song", "03-02-01-01-03-01-01.wav"),
        ("tess", "UAF_back_fear.wav"),
        ("tess", "OAF_back_bored.wav"),
        ("nemo", "EB0_anger.wav"),
        ("nemo", "EB0_boredom_3.wav"),
        ("crema_d", "AudioWAV/1001_DFA_ANG.wav"),
        ("crema_d", "AudioWAV/1001_DFA_XXX_XX.wav"),
        ("folder:own", "bored/a.wav"),
    ],
)
def test_a_name_or_label_that_is_not_known_is_named(tmp_path: Path, name: str, file: str) -> None:
    touch(tmp_path / name.removeprefix("folder:"), file)
    with pytest.raises(CorpusError, match=file) as caught:
        corpora.load(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*corpora.LOADERS, "folder:own", "csv:own.csv"])
def test_nothing_there_is_one_line(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name.rpartition(":")[2]
    with pytest.raises(CorpusError, match=str(folder)):
        corpora.load(name, tmp_path)
    (folder / "AudioWAV").mkdir(parents=True)
    with pytest.raises(CorpusError, match=str(folder)) as caught:
        corpora.load(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["emodb", "", "folder:", "zip:a"])
def test_an_unknown_corpus_is_told_which_there_are(tmp_path: Path, name: str) -> None:
    for ask in (lambda: corpora.load(name, tmp_path), lambda: corpora.licence(name)):
        with pytest.raises(CorpusError, match=r"ravdess, .*folder:PATH, csv:PATH"):
            ask()


def test_every_corpus_has_a_licence() -> None:
    assert set(corpora.LICENCES) == set(corpora.LOADERS)
    assert corpora.licence("nemo")["licence"] == "CC BY-NC-SA 4.0"
    assert corpora.licence("csv:own.csv")["licence"].startswith("unknown")
    assert all(set(corpora.licence(n)) == {"licence", "source"} for n in ("tess", "folder:a"))


def test_the_same_sound_in_two_formats_is_a_duplicate(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, 4000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", noise, 16_000)
    soundfile.write(tmp_path / "b.wav", noise[::-1], 16_000)
    soundfile.write(tmp_path / "c.flac", noise, 16_000)
    digests = [digest(read(tmp_path / name)) for name in ("a.wav", "b.wav", "c.flac", "b.wav")]
    assert duplicates(digests) == [(0, 2), (1, 3)]
    assert duplicates(digests[:2]) == []


@pytest.mark.parametrize(
    ("name", "clips", "speakers", "emotions", "sexes"),
    [
        ("ravdess", 1440, 24, 8, {"male", "female"}),
        ("ravdess_song", 887, 23, 6, {"male", "female"}),
        ("tess", 1400, 2, 7, {"female"}),
        ("nemo", 4481, 9, 6, {"male", "female"}),
    ],
)
def test_the_corpora_themselves(
    data: Path, name: str, clips: int, speakers: int, emotions: int, sexes: set[str]
) -> None:
    if not (data / name).is_dir():
        pytest.skip(f"there is no {name} in $SERD_DATA")
    found = corpora.load(name, data)
    assert len(found) == clips
    assert len({clip.speaker for clip in found}) == speakers
    assert len({clip.emotion for clip in found}) == emotions
    assert {clip.sex for clip in found} == sexes
