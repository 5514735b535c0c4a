// Drives the pages of the example server of wavetank-graphql in headless Chromium: browser.mjs CHROMIUM FOLDER SERVER
// [ARGUMENT...]. Starts the server with these arguments. Leaves screenshots in the folder. Exits with 0 if every check
// passed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [executablePath, folder, binary, ...rest] = process.argv.slice(2);
const engine = rest[rest.indexOf('--engine') + 1] ?? 'default';
const flags = ['no-sandbox', 'disable-gpu', 'disable-quic', 'no-first-run', 'disable-background-networking'];
flags.push('disable-component-update', 'disable-sync');

const server = spawn(binary, [...rest, '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
process.once('exit', () => server.kill('SIGKILL'));
const [url] = await once(createInterface({ input: server.stdout }), 'line');
const origin = new URL('/', url.replace('ws:', 'http:')).origin;
// A new user data directory is playwright's default.
const browser = await chromium.launch({ executablePath, headless: true, args: flags.map((flag) => `--${flag}`) });

// Opens a page in a profile of its own, and notes what it requests and what goes wrong.
async function open(path) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 700 } });
  const page = await context.newPage();
  const seen = { requests: [], problems: [] };
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('pageerror', (error) => seen.problems.push(error.message));
  page.on('console', (message) => message.type() === 'error' && seen.problems.push(message.text()));
  await page.goto(`${origin}${path}`);
  return { context, page, seen };
}

function assertClean({ requests, problems }) {
  const foreign = requests.filter((request) => !request.startsWith(`${origin}/`) && !request.startsWith('data:'));
  assert.deepEqual({ foreign, problems }, { foreign: [], problems: [] });
}

const checks = {
  async 'the pages have their content types'() {
    const heads = async (path) => {
      const { status, headers } = await fetch(`${origin}${path}`);
      assert.equal(status, 200);
      return [headers.get('content-type'), headers.get('content-encoding')];
    };
    const page = await (await fetch(`${origin}/`)).text();
    const [, style] = /href="(\?style[^"]*)"/.exec(page);
    const [, script] = /src="(\?script[^"]*)"/.exec(page);
    assert.deepEqual(await heads('/'), ['text/html; charset=utf-8', null]);
    assert.deepEqual(await heads(`/${style}`), ['text/css; charset=utf-8', 'gzip']);
    assert.deepEqual(await heads(`/${script}`), ['text/javascript; charset=utf-8', 'gzip']);
    assert.match(await (await fetch(`${origin}/?licences`)).text(), /graphiql 4\.1\.2 \(MIT\)/);
  },
  async 'a subscription runs in GraphiQL'() {
    const { context, page, seen } = await open('/');
    const editor = page.locator('.graphiql-query-editor .CodeMirror').first();
    await editor.waitFor();
    // GraphiQL reads what was written a moment later.
    const write = async (text) => {
      await editor.evaluate((node, value) => node.CodeMirror.setValue(value), text);
      await page.waitForTimeout(1000);
    };
    const result = page.locator('.result-window');
    const execute = page.getByRole('button', { name: /^(Execute|Stop) query/ });
    // Once the schema has come, GraphiQL writes nothing of its own any more. Its fields are in the documentation.
    await page.getByRole('button', { name: /Documentation Explorer/ }).click();
    await page.locator('.graphiql-plugin').getByText('Subscription', { exact: true }).first().waitFor();
    await write('subscription Count { count(everyMs: 100) }');
    await execute.click();
    await result.getByText(/"count"/).first().waitFor();
    const number = async () => Number(/"count": (\d+)/.exec(await result.innerText())[1]);
    const first = await number();
    for (let tries = 0; (await number()) < first + 3; tries += 1) {
      assert.ok(tries < 100, 'the number goes up');
      await page.waitForTimeout(100);
    }
    await page.screenshot({ path: join(folder, `graphiql-${engine}.png`) });
    await execute.click();
    await page.waitForTimeout(300);
    const last = await number();
    await page.waitForTimeout(500);
    assert.equal(await number(), last, 'a stopped subscription gives nothing more');
    // The name stays: GraphiQL asks for the operation by the name that it read last, some time after the text.
    await write('query Count { hello }');
    await execute.click();
    await result.getByText(/"hello"/).first().waitFor();
    assertClean(seen);
    await context.close();
  },
  async 'two browsers chat'() {
    const pages = [await open('/chat?room=green'), await open('/chat?room=green'), await open('/chat?room=other')];
    for (const { page } of pages) await page.getByText('connected', { exact: true }).waitFor();
    const [one, two, other] = pages;
    const say = async ({ page }, text) => {
      await page.getByLabel('Message').fill(text);
      await page.getByRole('button', { name: 'Send' }).click();
    };
    const heard = ({ page }) => page.locator('#messages li').allInnerTexts();
    await say(one, 'hello <b>two</b>');
    for (const listener of [one, two]) await listener.page.getByText('hello <b>two</b>').waitFor();
    await say(two, 'hello one');
    for (const listener of [one, two]) await listener.page.getByText('hello one').waitFor();
    for (const listener of [one, two]) assert.deepEqual(await heard(listener), ['hello <b>two</b>', 'hello one']);
    assert.deepEqual(await heard(other), [], 'another room hears nothing');
    await two.page.screenshot({ path: join(folder, `chat-${engine}.png`) });
    for (const { context, seen } of pages) {
      assertClean(seen);
      await context.close();
    }
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`  ok: ${name}`);
}
await browser.close();
server.kill('SIGINT');
assert.deepEqual((await once(server, 'exit'))[0], 0);
process.exit(0);
