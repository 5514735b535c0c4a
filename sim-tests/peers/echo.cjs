// The peer in JavaScript: a server of npm's `ws`. The path selects its behaviour; see echo.py for the paths.
//
// Prints its two ports, without and with TLS, on one line. Arguments: the certificate, its key.
'use strict';

const { readFileSync } = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { WebSocketServer } = require('ws');

const [cert, key] = process.argv.slice(2, 4).map((path) => readFileSync(path));

function session(socket, request) {
  const [what, ...args] = request.url.slice(1).split('/');
  socket.on('error', () => {}); // an error of a client ends its connection, not the server
  if (what === 'close') return socket.close(Number(args[0]), args[1]);
  if (what === 'drop') return socket.terminate();
  let backlog = 0;
  socket.on('pong', (data) => {
    if (String(data) === 'are you there?') socket.send('pong');
  });
  socket.on('message', (data, binary) => {
    if (what === 'pings') return socket.ping('are you there?');
    if (what === 'fragments') {
      const third = Math.floor(data.length / 3);
      socket.send(data.subarray(0, third), { binary, fin: false });
      socket.ping();
      socket.send(data.subarray(third, 2 * third), { binary, fin: false });
      socket.ping();
      return socket.send(data.subarray(2 * third), { binary, fin: true });
    }
    // A client that does not read must not fill this process's memory, so reading stops until enough was written.
    backlog += 1;
    if (backlog === 64) socket.pause();
    socket.send(data, { binary }, () => {
      backlog -= 1;
      if (backlog < 32 && socket.isPaused) socket.resume();
    });
  });
}

const servers = [http.createServer(), https.createServer({ cert, key })];
const ports = servers.map((server) => {
  new WebSocketServer({
    server,
    perMessageDeflate: true,
    maxPayload: 32 << 20,
    handleProtocols: (offered) => offered.has('echo') && 'echo',
  }).on('connection', session);
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
});
Promise.all(ports).then((ports) => console.log(ports.join(' ')));
