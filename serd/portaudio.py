"""PortAudio's inputs: which there are, which one is meant, and opening it.

Only a microphone's own process comes here; sounddevice is loaded when it is asked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LATENCY_S = 0.25
"""How much the driver is asked to hold, so that a busy machine loses nothing."""


class MicrophoneError(Exception):
    """No sound can be had; the message says why, in one line."""


@dataclass(frozen=True)
class Device:
    """An input that PortAudio knows."""

    index: int
    name: str
    channels: int
    sample_rate: int
    """Its own, Hz."""
    is_default: bool


def find(wanted: str, devices: list[Device], cards: Path = Path("/proc/asound")) -> Device:
    """The device that is meant.

    Args:
        wanted: `default`, ALSA's `hw:CARD,DEV` (numbers or names), an index, a name or a part
            of one name.
        devices: those there are.
        cards: where the kernel tells which number a card's name has.

    Raises:
        MicrophoneError: none fits, or more than one does.
    """
    if not devices:
        raise MicrophoneError("there is no input device")
    if wanted == "default":
        fits = [device for device in devices if device.is_default]
    elif wanted.startswith(("hw:", "plughw:")):
        fits = [device for device in devices if f"({_numbers(wanted, cards)})" in device.name]
    elif wanted.isdecimal():
        fits = [device for device in devices if device.index == int(wanted)]
    else:
        fits = [device for device in devices if device.name == wanted] or [
            device for device in devices if wanted.casefold() in device.name.casefold()
        ]
    if len(fits) == 1:
        return fits[0]
    said = "more than one fits" if fits else "not there, or in use"
    names = ", ".join(device.name for device in fits or devices)
    if len(names) > 200:
        names = f"{len(fits or devices)} devices, see `serd devices`"
    raise MicrophoneError(f"{said}; there is {names}")


def _numbers(address: str, cards: Path) -> str:
    """`plughw:CARD=Device,DEV=0` as PortAudio writes it, `hw:1,0`."""
    card, _, device = address.partition(":")[2].partition(",")
    card, device = card.removeprefix("CARD="), device.removeprefix("DEV=") or "0"
    link = cards / card
    if card and link.is_symlink():
        card = link.readlink().name.removeprefix("card")
    return f"hw:{card},{device}"


def load() -> Any:
    """The sounddevice module; raises MicrophoneError where PortAudio is missing or fails."""
    try:
        import sounddevice
    except Exception as error:  # OSError without the library, PortAudioError when it fails
        raise MicrophoneError(one_line(error)) from error
    return sounddevice


def inputs(portaudio: Any) -> list[Device]:
    """All devices that can be heard."""
    default = portaudio.default.device[0]
    return [
        Device(
            index=index,
            name=entry["name"],
            channels=entry["max_input_channels"],
            sample_rate=round(entry["default_samplerate"]),
            is_default=index == default,
        )
        for index, entry in enumerate(portaudio.query_devices())
        if entry["max_input_channels"] > 0
    ]


def open_stream(portaudio: Any, device: Device) -> Any:
    """A started stream of one channel, or of all where the hardware cannot give one alone."""
    for channels in dict.fromkeys((1, device.channels)):
        try:
            stream = portaudio.RawInputStream(
                samplerate=device.sample_rate,
                device=device.index,
                channels=channels,
                dtype="int16",
                latency=LATENCY_S,
            )
            stream.start()
        except portaudio.PortAudioError as error:
            failure = error
        else:
            return stream
    raise MicrophoneError(one_line(failure)) from failure


def one_line(error: Exception) -> str:
    """What an error says, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
