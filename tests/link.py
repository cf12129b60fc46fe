"""A link to a broker that can be cut, or forward nothing without a word."""

import selectors
import socket
import threading
import time
from contextlib import suppress


class Link:
    """Forwards TCP to a local port, as long as it is whole."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.open = True
        """Whether newcomers are let through; otherwise they are hung up on."""
        self.stalled = False
        """Whether what is sent is kept back, while all connections stay."""
        self.accepted = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """End all connections in the middle of whatever they carry."""
        while self._pairs:
            for one in self._pairs.pop():
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self.accepted += 1
                try:
                    if not self.open:
                        raise ConnectionRefusedError
                    far = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    near.close()
                    continue
                self._pairs.append((near, far))
                threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        with near, far, selectors.DefaultSelector() as ready, suppress(OSError):
            for one in other:
                ready.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    while self.stalled:
                        time.sleep(0.01)
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if not (data := one.recv(65_536)):
                        return
                    other[one].sendall(data)
