"""A peer in Python: an ASGI application on PyPI's `uvicorn` with `wsproto`. See echo.py for ports, arguments and paths.

Leaves out what ASGI cannot express: /fragments, /pings and /drop.
"""

import asyncio
import socket
import sys

import uvicorn


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    protocol = "echo" if "echo" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": protocol})
    what, *arguments = scope["path"].strip("/").split("/")
    if what == "close":
        await send({"type": "websocket.close", "code": int(arguments[0]), "reason": arguments[1]})
        return
    while (event := await receive())["type"] == "websocket.receive":
        kind = "text" if event.get("text") is not None else "bytes"
        await send({"type": "websocket.send", kind: event[kind]})


async def main():
    certificate, key = sys.argv[1:3]
    servers, ports = [], []
    for tls in ({}, {"ssl_certfile": certificate, "ssl_keyfile": key}):
        config = uvicorn.Config(
            application, ws="wsproto", ws_max_size=32 << 20, ws_ping_interval=None, lifespan="off", log_level="error", **tls
        )
        listener = socket.create_server(("127.0.0.1", 0))
        ports.append(listener.getsockname()[1])
        servers.append(uvicorn.Server(config).serve(sockets=[listener]))
    print(*ports, flush=True)
    await asyncio.gather(*servers)


asyncio.run(main())
