"""A peer in Python: a server of PyPI's `aiohttp`. See echo.py for ports, arguments and paths.

Leaves out /fragments: aiohttp sends whole messages only.
"""

import asyncio
import ssl
import sys

from aiohttp import WSMsgType, web


async def session(request):
    what, *arguments = request.path.strip("/").split("/")
    socket = web.WebSocketResponse(autoclose=False, autoping=False, max_msg_size=32 << 20, protocols=("echo",), timeout=60)
    await socket.prepare(request)
    if what == "close":
        await socket.close(code=int(arguments[0]), message=arguments[1].encode())
        return socket
    if what == "drop":
        request.transport.abort()
        return socket
    async for message in socket:
        if message.type == WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type == WSMsgType.PONG:
            if message.data == b"are you there?":
                await socket.send_str("pong")
        elif what == "pings":
            await socket.ping(b"are you there?")
        elif message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    # aiohttp itself would answer each Close with 1000.
    await socket.close(code=socket.close_code or 1000)
    return socket


async def main():
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(*sys.argv[1:3])
    application = web.Application()
    application.router.add_get("/{path:.*}", session)
    runner = web.AppRunner(application)
    await runner.setup()
    for context in (None, secure):
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(*(address[1] for address in runner.addresses), flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
