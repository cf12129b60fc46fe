"""Whether a daemon can be made of a configuration."""

import socket

from serd import broker, cleaning, companies, login, metrics
from serd.bundle import Card, find, load
from serd.capture import SourceError, open_source
from serd.settings import Settings, SettingsError
from serd.wording import reason


def check(settings: Settings) -> Card:
    """Read all that it names, and start nothing; the card of its model.

    Raises:
        SettingsError, BundleError, VoicesError, BrokerError, MetricsError: what is wrong first.
    """
    for name, spec in settings.sources.items():
        try:
            open_source(spec)  # nothing runs yet
        except SourceError as error:
            raise SettingsError(f"sources.{name}: {error}") from error
    card = load(find(settings.model)).card
    cleaning.load(settings.denoise)
    companies.fixed(settings, card)
    if settings.mqtt.broker != "none":
        login.client(settings.mqtt)
    if settings.mqtt.broker == "embedded":
        broker.require()
    if settings.health.prometheus_port:
        metrics.require()
    return card


def visible(settings: Settings) -> tuple[Settings, list[str]]:
    """What can be checked outside of the service, and what of `[mqtt]` only in it, by its keys."""
    hidden = login.hidden(settings.mqtt)
    left_out = {*hidden, *(["certificate_file"] if "key_file" in hidden else [])}
    mqtt = settings.mqtt.model_copy(update=dict.fromkeys(left_out))
    return settings.model_copy(update={"mqtt": mqtt}), hidden


def check_ports(settings: Settings, held: Settings) -> None:
    """Try to listen where it is to listen, unless a daemon of `held` does so already.

    Raises:
        SettingsError: somebody else does.
    """
    ours = set(_ports(held).values())
    for key, port in _ports(settings).items():
        if port not in ours:
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError as error:
                raise SettingsError(f"{key} {port}: {reason(error)}") from error


def _ports(settings: Settings) -> dict[str, int]:
    ports = {"health.prometheus_port": settings.health.prometheus_port}
    if settings.mqtt.broker == "embedded":
        ports["mqtt.embedded_port"] = settings.mqtt.embedded_port
    return {key: port for key, port in ports.items() if port}
