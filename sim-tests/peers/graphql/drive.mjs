// Drives the example server of wavetank-graphql with npm's `graphql-ws`: drive.mjs URL. Exits with 0 if all went as it must.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const url = process.argv[2];
const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 });

async function first(query) {
  for await (const result of client.iterate({ query })) return result;
  return undefined;
}

async function all(query) {
  const results = [];
  for await (const result of client.iterate({ query })) results.push(result.data);
  return results;
}

async function rejected(query) {
  try {
    await all(query);
  } catch (error) {
    return error;
  }
  return undefined;
}

const checks = {
  async 'a query'() {
    assert.deepEqual((await first('{ hello }')).data, { hello: 'world' });
  },
  async 'a failed field is part of the result'() {
    const { data, errors } = await first('{ boom }');
    assert.equal(data, null);
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
  },
  async 'operations run side by side'() {
    const slow = first('{ slow(ms: 300) }');
    const counts = Array.from({ length: 20 }, () => all('subscription { count(to: 5, everyMs: 2) }'));
    for (const count of await Promise.all(counts)) assert.equal(count.length, 5);
    assert.deepEqual((await slow).data, { slow: 'done' });
  },
  async 'a mutation reaches a subscriber'() {
    const heard = first('subscription { channel(name: "a") }');
    for (let tries = 0; tries < 100; tries += 1) {
      const { data } = await first('mutation { publish(channel: "a", text: "hi") }');
      if (data.publish === 1) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual((await heard).data, { channel: 'hi' });
  },
  async 'a cancelled subscription is followed by others'() {
    for (let round = 0; round < 20; round += 1) {
      await first('subscription { count(everyMs: 1) }');
    }
    assert.deepEqual((await first('{ hello }')).data, { hello: 'world' });
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`  ok: ${name}`);
}
await client.dispose();
process.exit(0);
