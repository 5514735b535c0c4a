"""Drives the example server of wavetank-graphql with Python's `gql`: drive.py SERVER [ARGUMENT...].

Starts the server with these arguments, and again where a check needs another one. Exits with 0 if every check passed.
"""

import asyncio
import signal
import subprocess
import sys
from urllib.parse import urlsplit

from gql import Client, gql
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from websockets.exceptions import ConnectionClosed


class Server:
    """The example server, until the end of a `with` block; then it has to drain and exit with 0."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([*sys.argv[1:], *arguments], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, kind, _value, _trace):
        self.process.send_signal(signal.SIGKILL if kind else signal.SIGINT)
        assert self.process.wait(20) == 0 or kind


def transport(url, **more):
    return WebsocketsTransport(url=url, subprotocols=["graphql-transport-ws"], **more)


async def collect(session, query):
    return [result async for result in session.subscribe(gql(query))]


async def operations(url):
    async with Client(transport=transport(url)) as session:
        assert await session.execute(gql("{ hello }")) == {"hello": "world"}
        print("  ok: a query")
        try:
            await session.execute(gql("{ nope }"))
            raise AssertionError("an unknown field passed")
        except TransportQueryError as error:
            assert "nope" in str(error), error
        print("  ok: a request that fails validation is an error")
        counts = await collect(session, "subscription { count(to: 3, everyMs: 5) }")
        assert counts == [{"count": 1}, {"count": 2}, {"count": 3}], counts
        print("  ok: a subscription ends by itself")
        many = [collect(session, "subscription { count(to: 5, everyMs: 2) }") for _ in range(10)]
        slow = session.execute(gql("{ slow(ms: 200) }"))
        *counts, done = await asyncio.gather(*many, slow)
        assert all(len(count) == 5 for count in counts) and done == {"slow": "done"}
        print("  ok: operations run side by side")
        heard = session.subscribe(gql('subscription { channel(name: "a") }'))
        first = asyncio.ensure_future(anext(heard))
        publish = gql('mutation { publish(channel: "a", text: "hi") }')
        while (await session.execute(publish))["publish"] == 0:
            await asyncio.sleep(0.02)
        assert await first == {"channel": "hi"}
        await heard.aclose()
        print("  ok: a mutation reaches a subscriber")
        async for _ in session.subscribe(gql("subscription { count(everyMs: 1) }")):
            break
        assert await session.execute(gql("{ hello }")) == {"hello": "world"}
        print("  ok: a cancelled subscription is followed by others")


async def rejected_init():
    with Server("--listen", "127.0.0.1:0", "--token", "secret") as guarded:
        try:
            async with Client(transport=transport(guarded.url, init_payload={"token": "guessed"})):
                raise AssertionError("a wrong token was accepted")
        except (TransportError, ConnectionClosed) as error:
            assert "4403" in f"{error} {error.__cause__}", error
        async with Client(transport=transport(guarded.url, init_payload={"token": "secret"})) as session:
            assert await session.execute(gql("{ hello }")) == {"hello": "world"}
    print("  ok: a rejected init closes with 4403")


async def restart():
    with Server("--listen", "127.0.0.1:0") as server:
        client = Client(transport=transport(server.url))
        session = await client.connect_async(reconnecting=True)
        assert await session.execute(gql("{ hello }")) == {"hello": "world"}
    # The old server has drained, closed with 1012, and exited.
    with Server("--listen", f"127.0.0.1:{urlsplit(server.url).port}"):
        assert await session.execute(gql("{ hello }")) == {"hello": "world"}
        await client.close_async()
    print("  ok: operations go on after a restart")


async def default_subprotocols():
    # Offers both protocols, and speaks the legacy one where the name of a response header is in small letters.
    with Server("--listen", "127.0.0.1:0", "--legacy") as server:
        async with Client(transport=WebsocketsTransport(url=server.url)) as session:
            assert await session.execute(gql("{ hello }")) == {"hello": "world"}
            assert len(await collect(session, "subscription { count(to: 3, everyMs: 5) }")) == 3
    print("  ok: a client that offers both protocols is served")


async def main():
    with Server("--listen", "127.0.0.1:0") as server:
        await operations(server.url)
    await rejected_init()
    await restart()
    await default_subprotocols()


asyncio.run(main())
