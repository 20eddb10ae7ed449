// Doors in front of a node: TCP links that a scenario can cut, and the TLS
// front that SDK 4 wants for everything but its socket.
import net from 'node:net';
import tls from 'node:tls';

/**
 * Listens on loopback and passes bytes on to the first of the targets that
 * accepts a connection, as a load balancer would.
 */
export class Front {
  #server;
  #sockets = new Set();
  #down = false;

  constructor(targets, { pair } = {}) {
    this.targets = targets; // [{host, port}], the preferred one first
    const accept = (socket) => this.#accept(socket);
    this.#server = pair ? tls.createServer({ key: pair, cert: pair }, accept) : net.createServer(accept);
    this.#server.on('tlsClientError', () => {}); // who hangs up early is no news
  }

  async listen() {
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    this.#server.unref();
    return this;
  }

  get address() {
    return `127.0.0.1:${this.#server.address().port}`;
  }

  /** Ends all connections without a word, as a lost network does. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts, and lets nobody in until up. */
  down() {
    this.#down = true;
    this.cut();
  }

  up() {
    this.#down = false;
  }

  close() {
    this.#down = true;
    this.cut();
    this.#server.close();
  }

  #accept(socket) {
    this.#keep(socket);
    if (this.#down) {
      socket.destroy();
      return;
    }
    this.#dial(socket, 0);
  }

  #dial(socket, index) {
    const target = this.targets[index];
    if (!target || socket.destroyed) {
      socket.destroy();
      return;
    }
    const out = net.connect(target);
    const failed = () => this.#dial(socket, index + 1);
    out.once('error', failed);
    out.once('connect', () => {
      out.off('error', failed);
      this.#keep(out);
      socket.pipe(out);
      out.pipe(socket);
      socket.on('close', () => out.destroy());
      out.on('close', () => socket.destroy());
    });
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** The host and port of a URL. */
export function place(url) {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
