"""The peer in Python: a server of PyPI's `websockets`. The path selects its behaviour.

Prints its two ports, without and with TLS, on one line. Arguments: the certificate, its key.

/echo           sends back each message
/fragments      sends back each message in three fragments, with a ping between them
/pings          at each message, pings the client, waits for the pong, and says so
/close/4001/why closes with this code and reason at once
/drop           ends TCP without a Close frame at once
"""

import asyncio
import ssl
import sys

from websockets.asyncio.server import serve


async def in_three(websocket, message):
    third = len(message) // 3
    yield message[:third]
    await websocket.ping()
    yield message[third : 2 * third]
    await websocket.ping()
    yield message[2 * third :]


async def session(websocket):
    what, *arguments = websocket.request.path.strip("/").split("/")
    if what == "close":
        await websocket.close(int(arguments[0]), arguments[1])
        return
    if what == "drop":
        websocket.transport.abort()
        return
    async for message in websocket:
        if what == "fragments":
            await websocket.send(in_three(websocket, message))
        elif what == "pings":
            pong = await websocket.ping("are you there?")
            await pong
            await websocket.send("pong")
        else:
            await websocket.send(message)


async def main():
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(*sys.argv[1:3])
    options = {
        "max_size": 32 << 20,
        "select_subprotocol": lambda _, offered: "echo" if "echo" in offered else None,
    }
    async with (
        serve(session, "127.0.0.1", 0, **options) as plain,
        serve(session, "127.0.0.1", 0, ssl=secure, **options) as tls,
    ):
        print(*(server.sockets[0].getsockname()[1] for server in (plain, tls)), flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
