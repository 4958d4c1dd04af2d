"""Web servers on this machine whose answers a test writes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]


class Handler(BaseHTTPRequestHandler):
    """Gives what :meth:`LocalServer.answer` says, and ends the connection: a body may be shorter than announced."""

    owner: LocalServer

    def log_message(self, *args: object) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        status, headers, body = self.owner.answer(self.path)
        self.send(status, {"Content-Length": str(len(body))} | headers, body)

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


class LocalServer:
    """Serves below ``path`` until it is closed; ``url`` is its address."""

    def __init__(self, path: str, handler: type[Handler] = Handler) -> None:
        bound = type("Bound", (handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), bound)
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/{path}"

    def answer(self, path: str) -> Answer:
        """Status, headers and body of a request by its path and query."""
        raise NotImplementedError

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
