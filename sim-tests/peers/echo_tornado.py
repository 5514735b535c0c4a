"""A peer in Python: a server of PyPI's `tornado`. See echo.py for ports, arguments and paths.

Leaves out /fragments: Tornado sends whole messages only.
"""

import asyncio
import ssl
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler


class Session(WebSocketHandler):
    def get_compression_options(self):
        return {}

    def select_subprotocol(self, offered):
        return "echo" if "echo" in offered else None

    def open(self, path):
        self.what, *arguments = path.split("/")
        if self.what == "close":
            self.close(int(arguments[0]), arguments[1])
        elif self.what == "drop":
            self.ws_connection.stream.close()

    async def on_message(self, message):
        if self.what == "pings":
            self.ping(b"are you there?")
        else:
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_pong(self, data):
        if data == b"are you there?":
            self.write_message("pong")


async def main():
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(*sys.argv[1:3])
    application = Application([("/(.*)", Session)], websocket_max_message_size=32 << 20)
    ports = []
    for context in (None, secure):
        sockets = bind_sockets(0, "127.0.0.1")
        HTTPServer(application, ssl_options=context).add_sockets(sockets)
        ports.append(sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
