"""A token issuer on a real socket, which rotates keys, is slow, drips, lies, or is away."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class IssuerServer:
    """Answers ``document`` at ``address``; ``gate`` holds answers back while it is not set."""

    def __init__(self) -> None:
        self.document: Any = {"keys": []}
        self.status = 200
        self.drip_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0
        self.asking = threading.Semaphore(0)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.asking.release()
                outer.gate.wait(20)
                body = outer.document
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                elsewhere = self.path == "/elsewhere"
                self.send_response(200 if elsewhere else outer.status)
                if outer.status == 302 and not elsewhere:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self._write(data)
                except OSError:
                    return  # the one who asked has had enough

            def _write(self, data: bytes) -> None:
                if not outer.drip_s:
                    self.wfile.write(data)
                    return
                for place in range(len(data)):
                    self.wfile.write(data[place : place + 1])
                    self.wfile.flush()
                    outer.gone.wait(outer.drip_s)

            def log_message(self, *_: Any) -> None:
                pass

        self.gone = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self.gone.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def issuer_server() -> Iterator[IssuerServer]:
    server = IssuerServer()
    try:
        yield server
    finally:
        server.close()
