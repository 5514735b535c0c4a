"""A peer in Python: a server of PyPI's `picows`. See echo.py for ports, arguments and paths.

picows has no compression, and hands out frames: each is sent back as it came.
"""

import asyncio
import ssl
import sys

from picows import WSListener, WSMsgType, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)


class Session(WSListener):
    def __init__(self, path):
        self.what, *self.arguments = path.strip("/").split("/")

    def on_ws_connected(self, transport):
        if self.what == "close":
            code, reason = self.arguments
            transport.send(WSMsgType.CLOSE, int(code).to_bytes(2, "big") + reason.encode())
        elif self.what == "drop":
            transport.disconnect(graceful=False)

    def on_ws_frame(self, transport, frame):
        payload = frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.CLOSE:
            if self.what != "close":
                transport.send(WSMsgType.CLOSE, payload)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PONG:
            if payload == b"are you there?":
                transport.send(WSMsgType.TEXT, b"pong")
        elif frame.msg_type not in DATA:
            return
        elif self.what == "pings":
            transport.send_ping(b"are you there?")
        elif self.what == "fragments":
            third = len(payload) // 3
            transport.send(frame.msg_type, payload[:third], fin=False)
            transport.send_ping(b"")
            transport.send(WSMsgType.CONTINUATION, payload[third : 2 * third], fin=False)
            transport.send_ping(b"")
            transport.send(WSMsgType.CONTINUATION, payload[2 * third :])
        else:
            transport.send(frame.msg_type, payload, fin=frame.fin)


def accept(request):
    session = Session(request.path.decode())
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if "echo" not in (name.strip() for name in offered.split(",")):
        return session
    response = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "echo"})
    return WSUpgradeResponseWithListener(response, session)


async def main():
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(*sys.argv[1:3])
    ports = []
    for context in (None, secure):
        server = await ws_create_server(accept, "127.0.0.1", 0, ssl=context, max_frame_size=32 << 20)
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
