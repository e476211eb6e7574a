# SPDX-License-Identifier: MIT
"""An endpoint for the tests of the programs that keeps what it is sent: method, target, header fields and body of each request."""
import collections
import contextlib
import http.server
import threading

Request = collections.namedtuple("Request", "method target headers body")


class Recorder:
    """`respond(request, n)`: the status, or (status, {field: value}), of the nth request (from 1)."""

    def __init__(self, respond=lambda request, n: 200):
        self.respond, self.requests, self.lock = respond, [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                self.close_connection = self.server.of.take(self)

            do_OPTIONS = do_POST

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads, of, request_queue_size = True, self, 128

            def handle_error(self, *_):  # a client that was killed
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.url = self.base + "/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def take(self, handler):
        length = int(handler.headers.get("Content-Length", 0))
        body = handler.rfile.read(length)
        if len(body) < length:  # the client was killed while it wrote
            return True
        request = Request(handler.command, handler.path, handler.headers, body)
        with self.lock:
            self.requests.append(request)
            n = len(self.requests)
        status = self.respond(request, n)
        status, fields = status if isinstance(status, tuple) else (status, {})
        with contextlib.suppress(OSError):
            handler.send_response(status)
            for name, value in fields.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
