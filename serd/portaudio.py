"""PortAudio's inputs: which there are, which one is meant, and opening it.

Only a microphone's own process comes here; sounddevice is loaded when it is asked for.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from serd.cards import Card, cards, lasting, numbered

LATENCY_S = 0.25
"""How much the driver is asked to hold, so that a busy machine loses nothing."""


_ADDRESS = re.compile(r" *\((hw:\d+,\d+)\)$")  # how PortAudio ends the names of ALSA's devices


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
    spec: str
    """What to call it in a configuration: a name that it keeps when it is plugged in again."""


def find(wanted: str, devices: list[Device], known: Sequence[Card] = ()) -> Device:
    """The device that is meant.

    Args:
        wanted: `default`, ALSA's `hw:CARD,DEV` (the card's number, `CARD=` its id or `USB=` its
            port), a name or a part of one name.
        devices: those there are.
        known: the cards there are.

    Raises:
        MicrophoneError: none fits, or more than one does.
    """
    if wanted.isdecimal():
        raise MicrophoneError("a number alone names no device for long; see `serd devices`")
    if not devices:
        raise MicrophoneError("there is no input device")
    if wanted == "default":
        fits = [device for device in devices if device.is_default]
    elif wanted.startswith(("hw:", "plughw:")):
        fits = [device for device in devices if f"({numbered(wanted, known)})" in device.name]
    else:
        # Without the card's number, which may be another one since the name was copied.
        part = _without_address(wanted).casefold()
        fits = [device for device in devices if device.name == wanted] or [
            device for device in devices if part in _without_address(device.name).casefold()
        ]
    if len(fits) == 1:
        return fits[0]
    said = "more than one fits" if fits else "not there, or in use"
    names = ", ".join(device.spec for device in fits or devices)
    if len(names) > 200:
        names = f"{len(fits or devices)} devices, see `serd devices`"
    raise MicrophoneError(f"{said}; there is {names}")


def _without_address(name: str) -> str:
    return _ADDRESS.sub("", name)


def load() -> Any:
    """The sounddevice module; raises MicrophoneError where PortAudio is missing or fails."""
    try:
        import sounddevice
    except Exception as error:  # OSError without the library, PortAudioError when it fails
        raise MicrophoneError(one_line(error)) from error
    return sounddevice


def look_again(portaudio: Any) -> None:
    """Forget what there was: PortAudio sees devices that come only when it begins anew."""
    with suppress(portaudio.PortAudioError):
        portaudio._terminate()
    try:
        portaudio._initialize()
    except portaudio.PortAudioError as error:
        raise MicrophoneError(one_line(error)) from error


def inputs(portaudio: Any) -> list[Device]:
    """All devices that can be heard."""
    default = portaudio.default.device[0]
    known = cards()
    return [
        Device(
            index=index,
            name=entry["name"],
            channels=entry["max_input_channels"],
            sample_rate=round(entry["default_samplerate"]),
            is_default=index == default,
            spec=_spec(entry["name"], known),
        )
        for index, entry in enumerate(portaudio.query_devices())
        if entry["max_input_channels"] > 0
    ]


def _spec(name: str, known: Sequence[Card]) -> str:
    address = _ADDRESS.search(name)
    return lasting(address[1], known) if address else name


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
