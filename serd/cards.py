"""Sound cards by names that last: the kernel numbers them anew whenever they come and go."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SYSFS = Path("/sys/class/sound")
_USB_PORT = re.compile(r"/(\d+-\d+(?:\.\d+)*)(?=/|$)")
_ADDRESS = re.compile(r"((?:plug)?hw:)(?:CARD=)?([^,]*)(?:,(?:DEV=)?(\d+))?")
_TWIN = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Card:
    """A sound card that is there now."""

    number: int
    id: str
    """The kernel's own name, such as `Device`; the second of two like it is `Device_1`."""
    port: str | None = None
    """Where it is plugged in, such as `1-1.4`, if it is a USB one."""


def cards(sysfs: Path = _SYSFS) -> list[Card]:
    """Those that are there; /sys, as /proc/asound is hidden from a service that is shut in."""
    found = []
    for folder in sorted(sysfs.glob("card[0-9]*")):
        try:
            name = (folder / "id").read_text().strip()
        except OSError:
            continue  # just unplugged
        ports = _USB_PORT.findall(str((folder / "device").resolve()))
        number = int(folder.name.removeprefix("card"))
        found.append(Card(number, name, ports[-1] if ports else None))
    return found


def numbered(address: str, known: Sequence[Card]) -> str:
    """`plughw:CARD=Device,DEV=0`, `hw:USB=1-1.4` or `hw:1,0` as PortAudio writes it, `hw:1,0`."""
    if not (parts := _ADDRESS.fullmatch(address)):
        return address
    name, device = parts[2], parts[3] or "0"
    for card in known:
        if name == card.id or (card.port and name == f"USB={card.port}"):
            name = str(card.number)
            break
    return f"hw:{name},{device}"


def lasting(address: str, known: Sequence[Card]) -> str:
    """What to call `hw:1,0` so that the card is found again under another number.

    The card's id, or where it is plugged in when there are others like it; anything that is
    no card's number, or of no card that is there, stays as it is.
    """
    parts = _ADDRESS.fullmatch(address)
    card = next((one for one in known if parts and parts[2] == str(one.number)), None)
    if not parts or not card:
        return address
    kinds = [_TWIN.sub("", one.id) for one in known]
    has_twin = kinds.count(_TWIN.sub("", card.id)) > 1
    name = f"USB={card.port}" if has_twin and card.port else f"CARD={card.id}"
    return f"{parts[1]}{name},DEV={parts[3] or 0}"
