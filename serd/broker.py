"""A small MQTT broker inside serd, for when there is none."""

import asyncio
import logging
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

_HOST = "127.0.0.1"
_START_S = 10.0
_CLOSE_S = 0.5  # nobody is kept by it: its messages live no longer than it


class BrokerError(Exception):
    """The broker cannot run; the message says why, in one line."""


def require() -> None:
    """Raise BrokerError unless what is needed to run one is installed."""
    try:
        import amqtt.broker  # noqa: F401
    except ImportError as error:
        raise BrokerError("the embedded broker needs amqtt: install serd[broker]") from error


class EmbeddedBroker:
    """amqtt in a thread of its own; only this machine reaches it, without a password.

    Retained messages live as long as it does.
    """

    def __init__(self, port: int) -> None:
        """Start it.

        Args:
            port: where it listens on the loopback address; 0 takes a free one.

        Raises:
            BrokerError: amqtt is not installed, or the port is taken.
        """
        require()
        from amqtt.broker import Broker

        for name in ("amqtt", "transitions"):
            # It logs each lost client as an error; what matters comes as an exception.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {}},
        }
        self._broker_class: Any = Broker
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="mqtt-broker", daemon=True
        )
        self._thread.start()
        try:
            self.port = started.result(_START_S)
            """Where it listens."""
        except Exception as error:
            reason = str(error.__cause__ or error) or type(error).__name__
            raise BrokerError(f"the embedded broker cannot start: {reason}") from error

    def close(self) -> None:
        """Stop it, and wait for that, but not for ever."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(_CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, started: "Future[int]") -> None:
        self._loop.set_exception_handler(lambda _loop, _context: None)  # no noise on stderr
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: "Future[int]") -> None:
        try:
            broker = self._broker_class(self._config)
            await broker.start()
            # amqtt does not tell which port it got.
            (listener,) = broker._servers["default"].instance.sockets
            started.set_result(listener.getsockname()[1])
        except Exception as error:  # noqa: BLE001 - handed over to the constructor
            started.set_exception(error)
            return
        await self._closing.wait()
        await broker.shutdown()
