"""Whether a daemon can be made of a configuration."""

from serd import cleaning, companies
from serd.bundle import Card, find, load
from serd.capture import SourceError, open_source
from serd.settings import Settings, SettingsError


def check(settings: Settings) -> Card:
    """Read all that it names, and start nothing; the card of its model.

    Raises:
        SettingsError, BundleError, VoicesError: what is wrong first.
    """
    for name, spec in settings.sources.items():
        try:
            open_source(spec)  # nothing runs yet
        except SourceError as error:
            raise SettingsError(f"sources.{name}: {error}") from error
    card = load(find(settings.model)).card
    cleaning.load(settings.denoise)
    companies.fixed(settings, card)
    return card
