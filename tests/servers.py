"""A server on this machine that behaves well or badly, as it is asked."""

import contextlib
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    """Gives a file of `server.files` as its method does that the path names first: /good/file, /cut/file, ..."""

    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        self.server.asked.append(self.path)
        content = self.server.files[name]
        getattr(self, behaviour)(content)

    def answer(self, content, status=200, length=None, **headers):
        self.send_response(status)
        headers["Content-Length"] = str(len(content) if length is None else length)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def good(self, content):
        self.answer(content)

    def together(self, content):
        self.server.barrier.wait()
        self.answer(content)

    def missing(self, _):
        self.answer(b"not here", 404)

    def broken(self, _):
        self.answer(b"out of order", 500)

    def wrong(self, content):
        self.answer(content[:-1] + b"?")

    def page(self, _):
        self.answer(b"<html>Please log in to this network</html>")

    def cut(self, content):
        self.answer(content[: len(content) // 2], length=len(content))

    def loop(self, _):
        self.answer(b"", 302, Location=self.path)

    def endless(self, _):
        self.send_response(200)
        self.end_headers()
        self.repeat(bytes(2**16), 0)

    def silent(self, _):
        self.repeat(b"", 0.01)

    def dripping(self, _):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.repeat(b".", 0.01)

    def steady(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for start in range(0, len(content), 2**15):
            self.server.over.wait(0.7)
            self.wfile.write(content[start : start + 2**15])

    def dripping_headers(self, _):
        self.repeat(b"H", 0.01)

    def repeat(self, piece, seconds):
        with contextlib.suppress(OSError):  # the other side has hung up
            while not self.server.over.wait(seconds):
                self.wfile.write(piece)

    def log_message(self, *args):
        pass
