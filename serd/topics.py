"""Where everything lies on the broker; the one place that spells topics."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topics:
    """The topics of one node.

    >>> Topics("serd", "pi").event("mic")
    'serd/pi/mic/event'
    """

    prefix: str
    node: str

    @property
    def status(self) -> str:
        return self._of("status")

    @property
    def info(self) -> str:
        return self._of("info")

    @property
    def health(self) -> str:
        return self._of("health")

    @property
    def commands(self) -> str:
        """A filter that catches `listening_set` of every source."""
        return self.listening_set("+")

    def source_status(self, source: str) -> str:
        return self._of(source, "status")

    def event(self, source: str) -> str:
        return self._of(source, "event")

    def state(self, source: str) -> str:
        return self._of(source, "state")

    def listening(self, source: str) -> str:
        return self._of(source, "listening")

    def listens(self, topic: str) -> str | None:
        """The source of which a topic is the `listening`; None of another.

        >>> Topics("serd", "pi").listens("serd/pi/mic/listening")
        'mic'
        """
        name = topic.removeprefix(self._of("")).removesuffix("/listening")
        return name if topic == self.listening(name) else None

    def listening_set(self, source: str) -> str:
        return self._of(source, "listening", "set")

    def _of(self, *levels: str) -> str:
        return "/".join((self.prefix, self.node, *levels))
