"""A share service that answers on a port without its threads, so without a broker."""

import contextlib
import threading

import uvicorn

from tests.support.waiting import wait_until


@contextlib.contextmanager
def served(app):
    """The address at which ``app`` answers."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
