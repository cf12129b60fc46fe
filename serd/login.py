"""A client of a broker as the settings want it: address, protocol, TLS, name and password."""

import os
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from serd.settings import MqttSettings, SettingsError
from serd.wording import reason

_PORTS = {"mqtt": 1883, "mqtts": 8883}

_CREDENTIAL = Path("mqtt-password")
"""Of systemd: the password where no file is named."""

_PLAIN = {  # what paho says, in plain words
    "Unspecified error": "hung up",
    "Bad user name or password": "wrong user name or password",
    "Not authorized": "not authorised (user name or password missing or wrong?)",
    "Session taken over": "another client came with the same name (a second daemon for this node?)",
    "Unsupported protocol version": "it does not speak this version of MQTT (mqtt.protocol)",
    "Keep alive timeout": "heard nothing for too long",
}


def address(settings: MqttSettings) -> tuple[str, int]:
    """Host and port of the broker.

    Raises:
        SettingsError: the broker is no URL.
    """
    if settings.broker == "embedded":
        return "127.0.0.1", settings.embedded_port
    url = urlsplit(settings.broker)
    if not url.hostname or url.scheme not in _PORTS:
        raise SettingsError(f"mqtt.broker: {settings.broker!r} is not a URL")
    return url.hostname, url.port or _PORTS[url.scheme]


def client(settings: MqttSettings, name: str = "") -> Client:
    """A client that is ready to connect, by this name or a random one.

    Raises:
        SettingsError: the password, a certificate or a key cannot be read.
    """
    # The embedded broker knows no other.
    version5 = settings.protocol == "5" and settings.broker != "embedded"
    made = Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        clean_session=None if version5 else True,
        protocol=MQTTProtocolVersion.MQTTv5 if version5 else MQTTProtocolVersion.MQTTv311,
    )
    if settings.username is not None:
        made.username_pw_set(settings.username, _password(settings.password_file))
    if settings.broker.startswith("mqtts:"):
        made.tls_set_context(_trust(settings))
    return made


def hidden(settings: MqttSettings) -> list[str]:
    """Keys of files that, if anything, are credentials of systemd: only the service sees those."""
    # Where systemd has closed the folder to us, pathlib raises.
    if os.path.isdir(os.environ.get("CREDENTIALS_DIRECTORY", "")):  # noqa: PTH112
        return []
    keys = ("password_file", "ca_file", "certificate_file", "key_file")
    files = [(key, getattr(settings, key)) for key in keys]
    return [
        key for key, path in files if path and len(path.parts) == 1 and not os.path.lexists(path)
    ]


def plain(code: ReasonCode) -> str:
    """Why a broker refuses or leaves, in plain words."""
    return _PLAIN.get(str(code), str(code).lower())


def why(error: BaseException | None) -> str:
    """Why there is no connection, in plain words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message.lower().rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {tls_reason(str(error)) or str(error).lower()}"
    if isinstance(error, OSError):
        return reason(error)
    return str(error).lower()


def tls_reason(said: str) -> str | None:
    """The words of OpenSSL within one of its errors.

    >>> tls_reason("[SSL: X] tlsv13 alert certificate required (_ssl.c:2580)")
    'tlsv13 alert certificate required'
    """
    found = re.search(r"\[[A-Z0-9_: ]+\] (.*?) \(_ssl", said)
    return found[1] if found else None


def _password(path: Path | None) -> str | None:
    found = _found(path or _CREDENTIAL)
    if path is None and found == _CREDENTIAL:
        return None
    try:
        return found.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable("password_file", found, error, "not text in UTF-8") from error


def _trust(settings: MqttSettings) -> ssl.SSLContext:
    """Whom to believe that they are the broker, and what to show to it."""
    ca, certificate, key = settings.ca_file, settings.certificate_file, settings.key_file
    try:
        context = ssl.create_default_context(cafile=_found(ca) if ca else None)
    except OSError as error:  # ssl's errors are OSErrors too
        raise _unusable("ca_file", ca, error, "no certificates in PEM") from error
    if certificate is None:
        return context
    try:
        # The password only keeps OpenSSL from asking for one at a terminal.
        context.load_cert_chain(_found(certificate), key and _found(key), password="")
    except OSError as error:
        name, path = "certificate_file", certificate
        if key and _found(certificate).is_file() and not _found(key).is_file():
            name, path = "key_file", key
        wanted = "not, with its key, a pair in PEM without a passphrase"
        raise _unusable(name, path, error, wanted) from error
    return context


def _found(path: Path) -> Path:
    """A credential of systemd is in a folder whose name only the service knows."""
    if folder := os.environ.get("CREDENTIALS_DIRECTORY"):
        credential = Path(folder, path)  # an absolute path stays what it is
        if os.path.exists(credential):  # noqa: PTH110 # as above
            return credential
    return path


def _unusable(key: str, path: Path | None, error: Exception, otherwise: str) -> SettingsError:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        otherwise = reason(error)
    return SettingsError(f"mqtt.{key}: {path}: {otherwise}")
