import pytest

from serd.cards import Card, cards, lasting, numbered

BUILT_IN, DEVICE, TWIN = Card(0, "PCH"), Card(1, "Device", "1-1.4"), Card(2, "Device_1", "1-1.3")


def plug_in(sysfs, number, name, device):
    """What the kernel shows of a card."""
    hardware = sysfs / "devices" / device
    hardware.mkdir(parents=True, exist_ok=True)
    folder = sysfs / f"card{number}"
    folder.mkdir()
    (folder / "id").write_text(f"{name}\n")
    (folder / "device").symlink_to(hardware)
    return folder


def test_cards_are_read_from_sysfs(tmp_path):
    plug_in(tmp_path, 0, "PCH", "pci0000:00/0000:00:1f.3")
    plug_in(tmp_path, 1, "Device", "pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0")
    plug_in(tmp_path, 12, "Device_1", "platform/soc/usb1/1-1/1-1:1.0")
    (tmp_path / "card3").mkdir()  # it goes at this moment
    (tmp_path / "controlC0").mkdir()
    found = [BUILT_IN, DEVICE, Card(12, "Device_1", "1-1")]
    assert sorted(cards(tmp_path), key=lambda card: card.number) == found


def test_where_there_is_no_sound_there_are_no_cards(tmp_path):
    assert cards(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ("hw:1,0", "hw:1,0"),
        ("plughw:1", "hw:1,0"),
        ("hw:7,3", "hw:7,3"),
        ("hw:Device,2", "hw:1,2"),
        ("plughw:CARD=Device_1,DEV=1", "hw:2,1"),
        ("hw:USB=1-1.4", "hw:1,0"),
        ("hw:USB=1-1,DEV=0", "hw:USB=1-1,0"),
        ("hw:CARD=Gone,DEV=0", "hw:Gone,0"),
        ("hw:USB=None", "hw:USB=None,0"),
        ("hw:1,a", "hw:1,a"),
    ],
)
def test_names_lead_to_the_number_of_now(address, number):
    assert numbered(address, [BUILT_IN, DEVICE, TWIN]) == number


@pytest.mark.parametrize(
    ("address", "there", "name"),
    [
        ("hw:1,0", [BUILT_IN, DEVICE], "hw:CARD=Device,DEV=0"),
        ("plughw:0", [BUILT_IN, DEVICE], "plughw:CARD=PCH,DEV=0"),
        ("hw:1,3", [BUILT_IN, DEVICE, TWIN], "hw:USB=1-1.4,DEV=3"),
        ("hw:0,0", [BUILT_IN, Card(1, "PCH_1")], "hw:CARD=PCH,DEV=0"),
        ("hw:5,0", [BUILT_IN], "hw:5,0"),
        ("hw:CARD=PCH,DEV=0", [BUILT_IN], "hw:CARD=PCH,DEV=0"),
        ("default", [BUILT_IN], "default"),
    ],
)
def test_a_number_becomes_a_name_that_lasts(address, there, name):
    assert lasting(address, there) == name


def test_a_card_is_found_under_another_number():
    name = lasting("hw:1,0", [BUILT_IN, DEVICE])
    assert numbered(name, [BUILT_IN, Card(4, "Device", "1-1.4")]) == "hw:4,0"
    assert numbered(name, [BUILT_IN, Card(1, "Another", "1-1.2")]) == "hw:Device,0"
