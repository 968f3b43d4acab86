"""A TCP relay that tests put before a server, to cut it off or to swallow what is sent."""

import contextlib
import socket
import threading

PIECE = 65_536


class Relay:
    """Passes bytes to ``(host, port)`` and back. `cut` closes every connection and refuses new
    ones; `freeze` takes them and passes nothing on, as a broken network does."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        self._refusing = True
        self._drop()

    def freeze(self) -> None:
        self._flowing.clear()

    def restore(self) -> None:
        self._refusing = False
        if not self._flowing.is_set():
            # what was swallowed is lost
            self._drop()
            self._flowing.set()

    def close(self) -> None:
        self._closed = True
        self.cut()
        self._flowing.set()
        # wakes the accepting thread
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._listening.close()
        self._thread.join(5)

    def _drop(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed:
            near, _ = self._listening.accept()
            if self._refusing or self._closed:
                near.close()
                continue
            far = socket.create_connection(self._target)
            for one, other in ((near, far), (far, near)):
                self._open.add(one)
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(PIECE):
                self._flowing.wait()
                other.sendall(data)
        self._open.discard(one)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        one.close()
