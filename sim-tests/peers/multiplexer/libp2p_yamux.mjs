// npm's @chainsafe/libp2p-yamux as a peer: one TCP connection, one session, one scenario.
//
//   node libp2p_yamux.mjs (--listen|--connect) HOST:PORT --scenario NAME
//
// Each line of standard output is a JSON object; the last one is {"event":"done","ok":BOOL,"reason":TEXT}. The exit code is 0 if
// the scenario went as expected, 1 if not, and 2 for bad arguments. After 40 s it gives up.
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { yamux } from '@chainsafe/libp2p-yamux'

const KIB = 1024
const MIB = 1024 * KIB
const MESSAGE = 100 * KIB
const PATIENCE = 10_000

function print (event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

function done (error) {
  print({ event: 'done', ok: error == null, reason: error == null ? 'as expected' : String(error.message ?? error) })
  process.exit(error == null ? 0 : 1)
}

function byteAt (seed, offset) {
  return (offset + (offset >> 8) + (offset >> 16) + 13 * seed) & 0xff
}

/** Yields a part of a body in pieces. */
function * body (seed, begin, end, piece) {
  for (let offset = begin; offset < end;) {
    const bytes = new Uint8Array(Math.min(piece, end - offset))
    for (let index = 0; index < bytes.length; index++) bytes[index] = byteAt(seed, offset + index)
    offset += bytes.length
    yield bytes
  }
}

/** A stream with reads of exact lengths, and writes one after another. */
class Peer {
  constructor (stream) {
    this.stream = stream
    this.reader = stream.source[Symbol.asyncIterator]()
    this.rest = new Uint8Array(0)
    this.queue = []
    this.sinking = stream.sink(this.pieces())
    this.sinking.catch(() => {})
  }

  /** What is written, piece by piece; the sink asks for the next when it has sent the one before. */
  async * pieces () {
    for (;;) {
      if (this.queue.length === 0) await new Promise(resolve => { this.wake = resolve })
      const { bytes, taken } = this.queue.shift()
      if (bytes == null) return
      yield bytes
      taken()
    }
  }

  async write (bytes) {
    const taken = new Promise(resolve => {
      this.queue.push({ bytes, taken: resolve })
      this.wake?.()
    })
    // The sink ends early only with an error.
    await Promise.race([taken, this.sinking])
  }

  async writeBody (seed, begin, end, piece) {
    for (const bytes of body(seed, begin, end, piece)) await this.write(bytes)
  }

  /** Ends the direction once everything is sent. */
  async finish () {
    this.queue.push({ bytes: null, taken () {} })
    this.wake?.()
    await this.sinking
  }

  /** The next bytes, or null at the end. */
  async read () {
    if (this.rest.length > 0) {
      const bytes = this.rest
      this.rest = new Uint8Array(0)
      return bytes
    }
    const { value, done } = await this.reader.next()
    return done ? null : value.subarray()
  }

  async readBody (seed, begin, end) {
    for (let offset = begin; offset < end;) {
      const bytes = await this.read()
      if (bytes == null) throw new Error(`body ${seed} ends at ${offset}, and not at ${end}`)
      const count = Math.min(bytes.length, end - offset)
      this.rest = bytes.subarray(count)
      for (let index = 0; index < count; index++, offset++) {
        if (bytes[index] !== byteAt(seed, offset)) throw new Error(`body ${seed} is wrong at ${offset}`)
      }
    }
  }

  async readEnd () {
    if (await this.read() != null) throw new Error('there is more than there should be')
  }

  async echo () {
    for (let bytes = await this.read(); bytes != null; bytes = await this.read()) await this.write(bytes)
    await this.finish()
  }
}

/** A session over a socket. */
class Session {
  constructor (socket, direction) {
    const log = Object.assign(() => {}, { error () {}, trace () {}, newScope: () => log })
    const components = { logger: { forComponent: () => log } }
    this.waiting = []
    this.acceptors = []
    this.muxer = yamux({ maxInboundStreams: 2000, maxOutboundStreams: 2000 })(components).createStreamMuxer({
      direction,
      onIncomingStream: stream => {
        const acceptor = this.acceptors.shift()
        if (acceptor != null) acceptor(new Peer(stream))
        else this.waiting.push(new Peer(stream))
      }
    })
    socket.setNoDelay(true)
    const ended = new Promise(resolve => {
      socket.on('close', resolve)
      socket.on('error', resolve)
    })
    const received = (async function * () {
      try {
        for await (const bytes of socket) yield bytes
      } catch {}
    })()
    const writing = (async () => {
      for await (const bytes of this.muxer.source) {
        const taken = socket.write(bytes.subarray())
        if (!taken) await Promise.race([new Promise(resolve => socket.once('drain', resolve)), ended])
      }
      socket.end()
    })()
    this.closed = Promise.race([this.muxer.sink(received), ended, writing]).catch(() => {})
  }

  open () {
    return new Peer(this.muxer.newStream())
  }

  accept () {
    const next = this.waiting.shift()
    if (next != null) return Promise.resolve(next)
    return new Promise((resolve) => {
      this.acceptors.push(resolve)
      this.closed.then(() => resolve(null))
    })
  }

  async close () {
    await this.muxer.close()
    await Promise.race([this.closed, sleep(1000)])
  }

  async serveEcho () {
    for (let stream = await this.accept(); stream != null; stream = await this.accept()) {
      stream.echo().catch(() => {})
    }
  }

  async waitForTheEnd () {
    const late = sleep(PATIENCE).then(() => { throw new Error('the other side did not end the session') })
    await Promise.race([this.closed, late])
  }

  async askEcho () {
    await Promise.all([0, 1, 2].map(async seed => {
      const stream = this.open()
      await Promise.all([
        stream.writeBody(seed, 0, MIB, 64 * KIB).then(() => stream.finish()),
        stream.readBody(seed, 0, MIB).then(() => stream.readEnd())
      ])
    }))
  }
}

const connectors = {
  async echo (session) { await session.askEcho() },
  'reverse-echo': async session => { await session.serveEcho() },
  async sink (session) {
    const stream = session.open()
    await stream.writeBody(0, 0, MIB, 64 * KIB)
    await stream.finish()
    await session.waitForTheEnd()
  },
  async source (session) {
    const stream = session.open()
    await stream.write(new TextEncoder().encode('G'))
    await stream.readBody(0, 0, MIB)
    await stream.readEnd()
  },
  'half-close': async session => {
    const stream = session.open()
    await stream.writeBody(0, 0, KIB, KIB)
    await stream.finish()
    await stream.readBody(1, 0, 100 * KIB)
    await stream.readEnd()
  },
  'open-many': async session => {
    let having = 0
    let tell
    const all = new Promise(resolve => { tell = resolve })
    await Promise.all(Array.from({ length: 1000 }, async (_, seed) => {
      const stream = session.open()
      await stream.writeBody(seed, 0, KIB, KIB)
      await stream.readBody(seed, 0, KIB)
      if (++having === 1000) tell()
      await all
      await stream.finish()
      await stream.readEnd()
    }))
  },
  'slow-reader': async session => {
    const first = session.open()
    const writing = first.writeBody(0, 0, MIB, 64 * KIB).then(() => first.finish())
    await sleep(500)
    const second = session.open()
    const start = performance.now()
    for (let round = 0; round < 200; round++) {
      await second.writeBody(1, round * KIB, (round + 1) * KIB, KIB)
      await second.readBody(1, round * KIB, (round + 1) * KIB)
    }
    if (performance.now() - start > 3000) throw new Error('200 round trips took over 3 s')
    await sleep(1000)
    await first.readBody(0, 0, MIB)
    await first.readEnd()
    await writing
    await second.finish()
    await second.readEnd()
  },
  'issue-133': session => writeToOneThatLeaves(session, 10),
  'issue-133-long': session => writeToOneThatLeaves(session, 320)
}

async function writeToOneThatLeaves (session, messages) {
  const first = session.open()
  const writing = first.writeBody(0, 0, messages * MESSAGE, MESSAGE).then(() => first.finish()).catch(() => {})
  const blocked = await Promise.race([writing.then(() => false), sleep(PATIENCE, true)])
  let problem
  try {
    const second = session.open()
    await second.writeBody(1, 0, KIB, KIB)
    await second.readBody(1, 0, KIB)
  } catch (error) {
    problem = error
  }
  print({ event: 'second-stream', ok: problem == null })
  if (blocked) throw new Error('the writer was blocked for 10 s')
  if (problem != null) throw problem
}

const listeners = {
  echo: session => session.serveEcho(),
  'open-many': session => session.serveEcho(),
  'slow-reader': session => session.serveEcho(),
  'reverse-echo': async session => {
    await session.askEcho()
    await session.close()
  },
  async sink (session) {
    const stream = await session.accept()
    await stream.readBody(0, 0, MIB)
    await stream.readEnd()
    await stream.finish()
    await session.close()
  },
  async source (session) {
    const stream = await session.accept()
    await stream.read()
    await stream.writeBody(0, 0, MIB, 64 * KIB)
    await stream.finish()
    await session.waitForTheEnd()
  },
  'half-close': async session => {
    const stream = await session.accept()
    await stream.readBody(0, 0, KIB)
    await stream.readEnd()
    await stream.writeBody(1, 0, 100 * KIB, 64 * KIB)
    await stream.finish()
    await session.waitForTheEnd()
  },
  'issue-133': leave,
  'issue-133-long': leave
}

async function leave (session) {
  const stream = await session.accept()
  await stream.readBody(0, 0, 5 * MESSAGE)
  // FIN. Its full close goes on to wait for the other side's end, which is not waited for here.
  await stream.finish()
  stream.stream.close().catch(() => {})
  await session.serveEcho()
}

function parse (words) {
  const options = {}
  for (let at = 0; at < words.length; at += 2) options[words[at]] = words[at + 1]
  const address = options['--listen'] ?? options['--connect']
  const scenario = options['--scenario']
  if (address == null || connectors[scenario] == null) {
    process.stderr.write('usage: libp2p_yamux.mjs (--listen|--connect) HOST:PORT --scenario NAME\n')
    process.exit(2)
  }
  const colon = address.lastIndexOf(':')
  return { listens: '--listen' in options, host: address.slice(0, colon), port: Number(address.slice(colon + 1)), scenario }
}

const { listens, host, port, scenario } = parse(process.argv.slice(2))
setTimeout(() => done(new Error('40 s are over')), 40_000).unref()
if (listens) {
  const server = net.createServer(socket => {
    server.close()
    listeners[scenario](new Session(socket, 'inbound')).then(() => done(), done)
  })
  server.on('error', done)
  server.listen(port, host, () => {
    print({ event: 'listening', addr: `${host}:${server.address().port}` })
  })
} else {
  const socket = net.connect(port, host, async () => {
    try {
      const session = new Session(socket, 'outbound')
      await connectors[scenario](session)
      if (scenario !== 'reverse-echo' && scenario !== 'sink') await session.close()
      done()
    } catch (error) {
      done(error)
    }
  })
  socket.on('error', done)
}
