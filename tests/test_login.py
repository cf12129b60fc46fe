"""TLS, passwords, versions of MQTT, and what is said when a broker does not like ours."""

import time

import pytest

from serd import login
from serd.settings import MqttSettings, SettingsError

from .certificates import Authority
from .link import Link
from .mosquitto import Mosquitto, eventually, mosquitto, retained
from .publishing import event, publisher
from .running import running

__all__ = ["mosquitto", "publisher"]  # fixtures


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def guarded(tmp_path, authority):
    """A broker behind TLS that wants to see a certificate."""
    own = authority.sign("broker")
    more = f"cafile {authority.certificate}\ncertfile {own}\nkeyfile {own.with_suffix('.key')}"
    broker = Mosquitto(tmp_path, more=f"{more}\nrequire_certificate true")
    yield broker
    broker.kill()


def tls(broker):
    return f"mqtts://localhost:{broker.port}"


def own(authority):
    certificate = authority.sign("serd")
    return {"certificate_file": certificate, "key_file": certificate.with_suffix(".key")}


def delivered(one):
    eventually(lambda: one.connected)
    one.publish_event(event())
    return one.drained(30)


def only_warning(caplog):
    """What is told, once, although it is tried again."""
    eventually(lambda: caplog.messages)
    time.sleep(1.2)  # for one more
    (warning,) = caplog.messages
    return warning


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_both_show_their_certificates(protocol, guarded, authority, publisher):
    more = {"protocol": protocol, "ca_file": authority.certificate}
    assert delivered(publisher(tls(guarded), **more, **own(authority)))


def test_a_broker_of_another_authority_is_not_believed(
    guarded, authority, publisher, caplog, tmp_path
):
    stranger = Authority(tmp_path, "stranger")
    one = publisher(tls(guarded), ca_file=stranger.certificate, **own(authority))
    one.publish_event(event())
    beginning = (
        f"MQTT broker localhost:{guarded.port} unreachable: its certificate is not accepted: "
    )
    assert only_warning(caplog).startswith(beginning)
    assert not one.connected
    assert len(one._outbox) == 1


def test_the_system_does_not_know_the_authority(guarded, publisher, caplog):
    publisher(tls(guarded))
    assert "its certificate is not accepted" in only_warning(caplog)


def test_a_certificate_of_another_host_is_not_believed(tmp_path, authority, publisher, caplog):
    other = authority.sign("other", host="elsewhere.example")
    more = f"certfile {other}\nkeyfile {other.with_suffix('.key')}"
    broker = Mosquitto(tmp_path, more=more)
    try:
        publisher(tls(broker), ca_file=authority.certificate)
        assert "hostname mismatch" in only_warning(caplog)
    finally:
        broker.kill()


def test_a_broker_that_misses_our_certificate(guarded, authority, publisher, caplog):
    publisher(tls(guarded), ca_file=authority.certificate)
    assert "certificate required" in only_warning(caplog)


def test_a_broker_without_tls(mosquitto, publisher, caplog):
    publisher(tls(mosquitto))
    assert f"MQTT broker localhost:{mosquitto.port} unreachable: " in only_warning(caplog)


def test_the_embedded_broker_is_met_in_its_own_language():
    settings = MqttSettings(broker="embedded", embedded_port=1234, protocol="5")
    assert login.address(settings) == ("127.0.0.1", 1234)
    assert login.client(settings).protocol == 4  # how MQTT 3.1.1 calls itself


def spoiled(tmp_path):
    (tmp_path / "junk").write_text("no certificate")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    return tmp_path / "junk", tmp_path / "bytes", tmp_path / "none"


def test_files_that_are_no_good(tmp_path, authority):
    junk, octets, none = spoiled(tmp_path)
    pair = own(authority)
    other = authority.sign("other").with_suffix(".key")
    a_pair = "not, with its key, a pair in PEM without a passphrase"
    for more, said in (
        ({"ca_file": none}, f"ca_file: {none}: no such file or directory"),
        ({"ca_file": junk}, f"ca_file: {junk}: no certificates in PEM"),
        (pair | {"certificate_file": none}, f"certificate_file: {none}: no such file or directory"),
        (pair | {"key_file": none}, f"key_file: {none}: no such file or directory"),
        (pair | {"key_file": junk}, f"certificate_file: {pair['certificate_file']}: {a_pair}"),
        (pair | {"key_file": other}, f"certificate_file: {pair['certificate_file']}: {a_pair}"),
        (
            {"username": "ann", "password_file": none},
            f"password_file: {none}: no such file or directory",
        ),
        (
            {"username": "ann", "password_file": octets},
            f"password_file: {octets}: not text in UTF-8",
        ),
    ):
        with pytest.raises(SettingsError) as error:
            login.client(MqttSettings(broker="mqtts://localhost", **more))
        assert str(error.value) == f"mqtt.{said}"


def test_a_watcher_tells_why_it_hears_nothing(tmp_path, command):
    broker = Mosquitto(tmp_path, {"ann": "right"})
    try:
        with running(tmp_path / "watch", [*command, "watch", "--broker", broker.url]) as watch:
            eventually(lambda: watch.err)
            assert "refused the connection: not authorised" in watch.err
    finally:
        broker.kill()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_wrong_password_is_told_once(protocol, tmp_path, publisher, caplog):
    broker = Mosquitto(tmp_path, {"ann": "right"})
    link = Link(broker.port)
    try:
        password = tmp_path / "password"
        password.write_text("wrong\n")
        more = {"username": "ann", "password_file": password, "protocol": protocol}
        publisher(link.url, **more)
        warning = only_warning(caplog)
        assert "not authorised" in warning or "wrong user name or password" in warning
        eventually(lambda: link.accepted >= 3)  # it goes on trying
        time.sleep(1.2)
        assert link.accepted <= 4  # but in no hurry
        password.write_text("right\nsecond line\n")
        assert delivered(publisher(broker.url, **more))
    finally:
        link.close()
        broker.kill()


def test_a_credential_of_systemd_is_found_by_its_name(tmp_path, publisher, monkeypatch):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    name = "mqtt-password"
    (credentials / name).write_text("right\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    broker = Mosquitto(tmp_path, {"ann": "right"})
    try:
        assert delivered(publisher(broker.url, username="ann", password_file=name))
        assert delivered(publisher(broker.url, username="ann"))  # by this name it needs no mention
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_text("right")
        assert delivered(publisher(broker.url, username="ann", password_file=elsewhere))
    finally:
        broker.kill()


def test_a_watcher_logs_in_like_a_daemon(guarded, authority, publisher, command, tmp_path):
    pair = own(authority)
    config = tmp_path / "serd.toml"
    config.write_text(
        f'[mqtt]\nbroker = "{tls(guarded)}"\nprotocol = "5"\nca_file = "{authority.certificate}"\n'
        f'certificate_file = "{pair["certificate_file"]}"\nkey_file = "{pair["key_file"]}"\n'
    )
    assert delivered(publisher(tls(guarded), ca_file=authority.certificate, **pair))
    with running(tmp_path / "watch", [*command, "watch", "--config", str(config)]) as watch:
        eventually(lambda: watch.out == ["pi is online"])
        assert watch.err == ""


@pytest.mark.system
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_two_of_one_name_do_not_fight_without_a_pause(protocol, mosquitto, publisher, caplog):
    link = Link(mosquitto.port)
    try:
        one = publisher(link.url, protocol=protocol)
        other = publisher(link.url, protocol=protocol)
        told = "another client" if protocol == "5" else "has another client the name serd-pi?"
        eventually(lambda: told in caplog.text)
        time.sleep(5)
        assert link.accepted < 12
        assert len(caplog.messages) <= 8
        other.stop(1)
        assert delivered(one)  # it comes back
        assert retained(mosquitto.port)["serd/pi/status"] == "online"  # not the other's farewell
    finally:
        link.close()
