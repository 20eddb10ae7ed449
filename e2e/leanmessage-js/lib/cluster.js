// A cluster of node processes, by `quorate dev`, and what is done to it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, openSync, closeSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { writePages } from '../browser/pages.js';
import { Front, place } from './front.js';

const readyWithin = 90_000;

export class Cluster {
  #dev;
  #restarted = new Map(); // name → process that was started here in place of a killed one
  #fronts = [];
  #control;

  /** Starts three nodes, whose ports are from PORT on, or where some are free. */
  static async start(binary) {
    const port = process.env.PORT ? Number(process.env.PORT) : await freePorts();
    const cluster = new Cluster();
    cluster.binary = binary;
    cluster.dir = mkdtempSync(path.join(tmpdir(), 'quorate-leanmessage-'));
    await cluster.#start(port);
    return cluster;
  }

  async #start(port) {
    const web = path.join(this.dir, 'web');
    await writePages(web);
    const args = ['dev', '--nodes', '3', '--dir', this.dir, '--port', String(port), '--web', web, '--json'];
    this.#dev = spawn(this.binary, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: this.#environment,
    });
    const ready = await Promise.race([
      firstLine(this.#dev.stdout),
      once(this.#dev, 'exit').then(([code]) => Promise.reject(new Error(`quorate dev ended with ${code}`))),
      late(readyWithin, 'quorate dev is not ready'),
    ]);
    ({ nodes: this.nodes, app: this.app } = JSON.parse(ready));
    for (const [i, node] of this.nodes.entries()) {
      const order = [...this.nodes.slice(i), ...this.nodes.slice(0, i)].map((n) => place(n.http));
      const pair = readFileSync(path.join(node.dir, 'client.pem'));
      const plain = await new Front(order).listen();
      const secure = await new Front(order, { pair }).listen();
      this.#fronts.push(plain, secure);
      Object.assign(node, { front: plain.address, secure: secure.address });
    }
    await this.#serveControl();
  }

  /** Makes an app, with settings; its keys. */
  async makeApp(name, settings) {
    const flags = Object.entries({ enabled: 'on', ...settings }).map(([key, value]) => `--setting=leanmessage.${key}=${value}`);
    const child = spawn(this.binary, ['app', 'create', name, ...flags, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...this.#environment, QUORATE_MASTER_KEY: this.app.master_key },
    });
    const [line] = await Promise.all([all(child.stdout), once(child, 'exit')]);
    if (child.exitCode !== 0) throw new Error(`quorate app create ended with ${child.exitCode}`);
    return JSON.parse(line);
  }

  /** What the processes of scenarios must know. */
  env(app) {
    return {
      QUORATE_E2E: JSON.stringify({ nodes: this.nodes, app, control: this.control }),
      NODE_EXTRA_CA_CERTS: path.join(this.dir, 'ca.crt'),
    };
  }

  /** Its profile is nobody else's. */
  get #environment() {
    return { ...process.env, QUORATE_PROFILE: path.join(this.dir, 'profile.json') };
  }

  /** Kills a node at once; resolves when the process has ended. */
  async kill(name) {
    const node = this.#node(name);
    const own = this.#restarted.get(name);
    const gone = own ? once(own, 'exit') : ended(node.pid);
    process.kill(node.pid, 'SIGKILL');
    await gone;
  }

  /** Starts a killed node again; resolves when it serves. */
  async restart(name) {
    const node = this.#node(name);
    const log = openSync(path.join(node.dir, 'quorate.log'), 'a');
    const child = spawn(this.binary, ['serve', '--config', path.join(node.dir, 'quorate.toml')], {
      stdio: ['ignore', 'ignore', log],
    });
    closeSync(log);
    node.pid = child.pid;
    this.#restarted.set(name, child);
    await healthy(node.http, readyWithin);
  }

  async stop() {
    this.#control?.close();
    for (const front of this.#fronts) front.close();
    const children = [...this.#restarted.values(), this.#dev].filter((c) => c.exitCode === null && c.signalCode === null);
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map((child) => once(child, 'exit')));
    if (process.env.KEEP) console.log(`kept ${this.dir}`);
    else rmSync(this.dir, { recursive: true, force: true });
  }

  #node(name) {
    const node = this.nodes.find((n) => n.name === name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  /** Scenarios are processes of their own: POST /kill/n2, /restart/n2. */
  async #serveControl() {
    this.#control = http.createServer(async (request, response) => {
      const [, verb, name] = request.url.split('/');
      try {
        if (verb === 'kill') await this.kill(name);
        else if (verb === 'restart') await this.restart(name);
        else throw new Error(`no ${verb}`);
        response.end();
      } catch (error) {
        response.writeHead(500).end(String(error));
      }
    });
    this.#control.listen(0, '127.0.0.1');
    await once(this.#control, 'listening');
    this.control = `http://127.0.0.1:${this.#control.address().port}`;
  }
}

/** Kills a node now and then, one at a time, and starts it again, until stopped. */
export function tormented(cluster, every) {
  let stopped = false;
  let wake;
  const pause = (ms) => new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, ms);
  });
  let kills = 0;
  const done = (async () => {
    for (let turn = 0; !stopped; turn++) {
      await pause(turn === 0 ? 1_000 : every);
      if (stopped) return;
      const { name } = cluster.nodes[turn % cluster.nodes.length];
      await cluster.kill(name);
      kills++;
      console.log(`# killed ${name}`);
      await pause(2_000);
      await cluster.restart(name);
      console.log(`# ${name} is back`);
    }
  })();
  return async () => {
    stopped = true;
    wake?.();
    await done;
    return kills;
  };
}

/** A port with thirty free ones from it on, below those that outgoing connections have. */
async function freePorts() {
  const free = (port) => new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
  for (;;) {
    const base = 10_000 + 50 * Math.floor(Math.random() * 400);
    const all = Array.from({ length: 30 }, (_, i) => free(base + i));
    if ((await Promise.all(all)).every(Boolean)) return base;
  }
}

async function firstLine(stream) {
  const lines = readline.createInterface({ input: stream });
  const [line] = await once(lines, 'line');
  lines.on('line', () => {});
  return line;
}

async function all(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}

function late(ms, what) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${what} after ${ms} ms`)), ms).unref();
  });
}

async function poll(what, ms, good) {
  const deadline = Date.now() + ms;
  while (!(await good())) {
    if (Date.now() > deadline) throw new Error(`${what} after ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function ended(pid) {
  return poll(`process ${pid} lives`, 10_000, () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
}

function healthy(url, ms) {
  return poll(`${url} does not serve`, ms, () =>
    fetch(`${url}/healthz`).then(
      (answer) => answer.ok,
      () => false,
    ),
  );
}
