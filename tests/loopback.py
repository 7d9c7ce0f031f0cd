"""A real HTTP server on this machine that answers as told, misbehaviour included."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Server:
    """What the server answers, and what it was asked.

    ``answers`` maps a path to a list of behaviours, one for each request; the last one stays. A
    behaviour takes the request's handler and answers it.
    """

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.address = ""

    def queries(self, path=None):
        return [query for where, query, _ in self.asked if path in (None, where)]


@contextmanager
def serving():
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            told.asked.append((parts.path, query, dict(self.headers)))
            behaviours = told.answers.get(parts.path, [status(404)])
            behaviours.pop(0)(self) if len(behaviours) > 1 else behaviours[0](self)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def whole(content, code=200, ranges=False):
    """Answer with all of the content; with `ranges`, with the part that was asked for."""

    def answer(handler):
        body, state = content, code
        wanted = handler.headers.get("Range", "")
        if ranges and wanted.startswith("bytes="):
            body, state = content[int(wanted[len("bytes=") : -1]) :], 206
        handler.send_response(state)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code, body=b""):
    return whole(body, code)


def cut_off(content, after):
    """Promise all of the content and hang up after some of it."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        handler.close_connection = True

    return answer


def hang_up(handler):
    """Close the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()


def drip(content, seconds):
    """Send a byte now and then, so that no single wait is long and the whole never ends."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        try:
            for at in range(len(content)):
                handler.wfile.write(content[at : at + 1])
                handler.wfile.flush()
                time.sleep(seconds)
        except OSError:
            pass  # the client has had enough, which is what is tested

    return answer


def redirect(address):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer
