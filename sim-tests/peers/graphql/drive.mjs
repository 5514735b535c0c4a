// Drives the example server of wavetank-graphql with npm's `graphql-ws`: drive.mjs SERVER [ARGUMENT...]. Starts the server
// with these arguments, and again where a check needs another one. Exits with 0 if every check passed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [binary, ...rest] = process.argv.slice(2);

async function start(...more) {
  const child = spawn(binary, [...rest, ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  const [url] = await once(createInterface({ input: child.stdout }), 'line');
  return { url, child };
}

// Ends a server as Ctrl-C does: it drains, and exits with 0.
async function stop({ child }) {
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
}

const server = await start('--listen', '127.0.0.1:0');
const client = createClient({ url: server.url, webSocketImpl: WebSocket, retryAttempts: 0 });

async function first(query, by = client) {
  for await (const result of by.iterate({ query })) return result;
  return undefined;
}

async function all(query, by = client) {
  const results = [];
  for await (const result of by.iterate({ query })) results.push(result.data);
  return results;
}

async function rejected(query, by = client) {
  try {
    await all(query, by);
  } catch (error) {
    return error;
  }
  return undefined;
}

async function publishUntilHeard(text, by = client) {
  for (let tries = 0; tries < 200; tries += 1) {
    const { data } = await first(`mutation { publish(channel: "a", text: "${text}") }`, by);
    if (data.publish === 1) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('nobody subscribed');
}

const checks = {
  async 'a query'() {
    assert.deepEqual((await first('{ hello }')).data, { hello: 'world' });
  },
  async 'a failed field is part of the result'() {
    const { data, errors } = await first('{ boom }');
    assert.deepEqual(data, { boom: null });
    assert.deepEqual(errors[0].path, ['boom']);
  },
  async 'a request that fails validation is an error'() {
    assert.match((await rejected('{ nope }'))[0].message, /nope/);
  },
  async 'a syntax error is an error'() {
    assert.ok(Array.isArray(await rejected('{')));
  },
  async 'a source stream that cannot be made is an error'() {
    const error = await rejected('subscription { fails }');
    assert.match(error[0].message, /always fails/);
  },
  async 'a subscription ends by itself'() {
    const counts = await all('subscription { count(to: 3, everyMs: 5) }');
    assert.deepEqual(counts, [{ count: 1 }, { count: 2 }, { count: 3 }]);
    assert.deepEqual(await all('subscription { one }'), [{ one: 1 }]);
  },
  async 'operations run side by side'() {
    const slow = first('{ slow(ms: 300) }');
    const counts = Array.from({ length: 20 }, () => all('subscription { count(to: 5, everyMs: 2) }'));
    for (const count of await Promise.all(counts)) assert.equal(count.length, 5);
    assert.deepEqual((await slow).data, { slow: 'done' });
  },
  async 'a mutation reaches a subscriber'() {
    const heard = first('subscription { channel(name: "a") }');
    await publishUntilHeard('hi');
    assert.deepEqual((await heard).data, { channel: 'hi' });
  },
  async 'a cancelled subscription is followed by others'() {
    for (let round = 0; round < 20; round += 1) {
      await first('subscription { count(everyMs: 1) }');
    }
    assert.deepEqual((await first('{ hello }')).data, { hello: 'world' });
  },
  async 'a rejected init closes with 4403'() {
    const guarded = await start('--listen', '127.0.0.1:0', '--token', 'secret');
    const connect = (token) =>
      createClient({ url: guarded.url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { token } });
    const { code, reason } = await rejected('{ hello }', connect('guessed'));
    assert.deepEqual({ code, reason }, { code: 4403, reason: 'Forbidden' });
    const admitted = connect('secret');
    assert.deepEqual((await first('{ hello }', admitted)).data, { hello: 'world' });
    await admitted.dispose();
    await stop(guarded);
  },
  async 'a late init closes with 4408'() {
    const hasty = await start('--listen', '127.0.0.1:0', '--init-timeout-ms', '200');
    const socket = new WebSocket(hasty.url, 'graphql-transport-ws');
    const [code, reason] = await once(socket, 'close');
    assert.deepEqual([code, reason.toString()], [4408, 'Connection initialisation timeout']);
    await stop(hasty);
  },
  async 'a subscription goes on after a restart'() {
    let restarted = await start('--listen', '127.0.0.1:0');
    const { port } = new URL(restarted.url);
    const closes = [];
    const stubborn = createClient({
      url: restarted.url,
      webSocketImpl: WebSocket,
      retryAttempts: 100,
      // By default the client gives up if a connection is refused, as it is until the new server listens.
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
      on: { closed: ({ code }) => closes.push(code) },
    });
    const heard = stubborn.iterate({ query: 'subscription { channel(name: "a") }' });
    for (const text of ['before', 'after']) {
      const next = heard.next();
      await publishUntilHeard(text, stubborn);
      assert.deepEqual((await next).value.data, { channel: text });
      await stop(restarted);
      restarted = await start('--listen', `127.0.0.1:${port}`);
    }
    assert.equal(closes[0], 1012);
    await stubborn.dispose();
    await stop(restarted);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`  ok: ${name}`);
}
await client.dispose();
await stop(server);
process.exit(0);
