// A headless Chromium, over the DevTools protocol.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import WebSocket from 'ws';

const program = process.env.CHROMIUM ?? '/usr/bin/chromium';

const patience = 60_000; // it may be the first start after its installation, on a busy machine

export class Chromium {
  #process;
  #gone;
  #said = '';
  #directory = mkdtempSync(path.join(tmpdir(), 'quorate-chromium-'));

  async start() {
    this.#process = spawn(program, [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-background-networking', '--disable-component-update',
      '--remote-debugging-port=0', `--user-data-dir=${this.#directory}`, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#gone = once(this.#process, 'exit');
    this.#process.stderr.on('data', (data) => {
      this.#said = (this.#said + data).slice(-4000);
    });
    const file = path.join(this.#directory, 'DevToolsActivePort');
    const deadline = Date.now() + patience;
    while (Date.now() < deadline && this.#process.exitCode === null) {
      const [port] = (await readFile(file, 'utf8').catch(() => '')).split('\n');
      if (port) {
        this.base = `http://127.0.0.1:${port}`;
        return this;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await this.stop();
    throw new Error(`Chromium does not answer; it said: ${this.#said}`);
  }

  /** Opens a tab. */
  async tab(url) {
    const answer = await fetch(`${this.base}/json/new?${encodeURIComponent(url)}`, { method: 'PUT' });
    const { webSocketDebuggerUrl } = await answer.json();
    return new Tab(new WebSocket(webSocketDebuggerUrl)).ready(url);
  }

  /**
   * Ends it and all its processes, which write to its directory to the last. What
   * cannot be removed of that is left: it says nothing of what was tested.
   */
  async stop() {
    try {
      process.kill(-this.#process.pid, 'SIGKILL');
    } catch {
      // it has ended by itself
    }
    await this.#gone;
    try {
      rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    } catch (error) {
      console.log(`# ${error.message}`);
    }
  }
}

class Tab {
  #serial = 0;
  #asked = new Map();

  constructor(socket) {
    this.socket = socket;
    socket.on('message', (data) => {
      const { id, result, error } = JSON.parse(data);
      const asked = this.#asked.get(id);
      if (!asked) return;
      this.#asked.delete(id);
      if (error) asked.reject(new Error(error.message));
      else asked.resolve(result);
    });
    socket.on('close', () => {
      for (const { reject } of this.#asked.values()) reject(new Error('the tab has gone'));
    });
  }

  async ready(url) {
    await once(this.socket, 'open');
    const deadline = Date.now() + patience;
    while (Date.now() < deadline) {
      const there = await this.run(`location.href === ${JSON.stringify(url)} && document.readyState`).catch(() => '');
      if (there === 'complete') return this;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${url} does not load`);
  }

  /** Evaluates an expression in the page, and waits if it is a promise. */
  async run(expression) {
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Calls a function of the page with arguments that JSON can hold. */
  call(name, ...args) {
    return this.run(`${name}(...${JSON.stringify(args)})`);
  }

  close() {
    this.socket.close();
  }

  #ask(method, params) {
    return new Promise((resolve, reject) => {
      const id = ++this.#serial;
      this.#asked.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }
}
