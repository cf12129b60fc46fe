"""The units, and the command that puts them in place."""

import re
import shutil
import subprocess

import pytest

from serd.cli_service import install_service
from serd.settings import SettingsError, load
from serd.template import template

from .conftest import ROOT

UNITS = ROOT / "systemd"
ONE, MANY = "serd.service", "serd@.service"


def test_the_template_differs_only_in_what_each_instance_has_for_itself():
    text = (UNITS / ONE).read_text()
    for of_one, of_many in (
        ("Speech-emotion recognition", "Speech-emotion recognition, %i"),
        ("/etc/serd/serd.toml", "/etc/serd/%i.toml"),
        ("StateDirectory=serd", "StateDirectory=serd-%i"),
        ("serd.mqtt-password", "serd-%i.mqtt-password"),
    ):
        assert of_one in text
        text = text.replace(of_one, of_many)
    assert (UNITS / MANY).read_text() == text


@pytest.mark.parametrize("unit", [ONE, MANY])
def test_the_sandbox_is_tight(unit):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=20"]
    done = subprocess.run(
        [*words, str(UNITS / unit)], capture_output=True, text=True, check=False, timeout=60
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= 2.0
    assert done.returncode == 0


@pytest.fixture
def install(monkeypatch, tmp_path, capsys):
    """Puts the units of an environment in /opt/serd below a folder; what it prints, by lines.

    Where the tests' own environment lies, the service might not see it.
    """

    def run():
        install_service(tmp_path)
        return capsys.readouterr().out.splitlines()

    environment(monkeypatch)
    return run


def environment(monkeypatch, scripts="/opt/serd/bin", python="/opt/serd/bin/python", base="/usr"):
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(scripts))
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr("sys.base_prefix", str(base))
    monkeypatch.setattr("serd.__file__", "/opt/serd/lib/serd/__init__.py")


def test_install_service_writes_what_a_machine_needs(install, tmp_path):
    install()
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    units = tmp_path / "etc/systemd/system"
    config = tmp_path / "etc/serd/serd.toml"
    assert written == sorted([config, units / ONE, units / MANY])
    assert {path.stat().st_mode & 0o777 for path in written} == {0o644}
    assert config.read_text() == template()
    load(config)
    for name in (ONE, MANY):
        programs = re.findall(r"^Exec\w+=(/\S+/serd) ", (units / name).read_text(), re.MULTILINE)
        assert programs == ["/opt/serd/bin/serd"] * 2


def test_install_service_keeps_a_configuration(install, tmp_path):
    config = tmp_path / "etc/serd/serd.toml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\n")
    assert f"{config}: stays as it is" in install()
    assert config.read_text() == "# mine\n"


def test_install_service_where_nothing_can_be_written(install, tmp_path):
    (tmp_path / "etc").touch()
    with pytest.raises(
        NotADirectoryError
    ) as error:  # which the program says in a line, exit code 1
        install()
    assert error.value.filename == f"{tmp_path}/etc/systemd/system"


@pytest.mark.parametrize("folder", ["/home/me/serd/bin", "/opt/a b/bin", "/opt/100%/bin"])
def test_an_environment_that_the_service_cannot_use(folder, monkeypatch, tmp_path):
    environment(monkeypatch, scripts=folder)
    with pytest.raises(SettingsError, match="install serd into /opt/serd"):
        install_service(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["scripts", "python", "base"])
def test_an_environment_that_is_a_link_to_where_the_service_sees_nothing(
    which, monkeypatch, tmp_path
):
    closed, link = tmp_path / "closed" / "python", tmp_path / "link"
    link.symlink_to(closed)
    monkeypatch.setattr("serd.cli_service._CLOSED", (f"{tmp_path}/closed/",))
    environment(monkeypatch, **{which: link})
    with pytest.raises(SettingsError) as error:
        install_service(tmp_path / "root")
    assert str(error.value).startswith(f"{closed}")
    assert "closed to the service; install serd into /opt/serd" in str(error.value)
    assert not (tmp_path / "root").exists()
