// Scenarios: each runs once for each version of the SDK, on clients of its own.
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Device, patience } from './device.js';
import { Front, place } from './front.js';
import { Event, versions, typedMessages } from './sdk.js';
import { insist } from './steadfast.js';

export * from './sdk.js';
export { assert, insist, patience };

const { nodes, app, control } = JSON.parse(process.env.QUORATE_E2E ?? '{"nodes":[]}');
const killing = Boolean(process.env.KILL);
let turn = 0;

let lastingHere = false;

/**
 * Scenarios of one area, several at a time: they share nothing but the cluster.
 * What is lasting holds at the first try also while nodes are killed: what was
 * acknowledged, and what the log says. Elsewhere a kill may take away what the
 * scenario waits for, which nobody stores (who is online, an acknowledgement on its
 * way), or has a call made again that is counted: such a scenario has three tries.
 */
export function area(name, body, { together = 6, lasting = false } = {}) {
  describe(name, { concurrency: together }, () => {
    lastingHere = lasting;
    body();
  });
}

/** A scenario, named by the ids that it proves. A fleeting one has tries in any area. */
export function scenario(name, body, { sdks = Object.keys(versions), timeout = 45_000, fleeting = false } = {}) {
  const limit = killing ? 240_000 : timeout;
  const tries = killing && (fleeting || !lastingHere) ? 3 : 1;
  for (const sdk of sdks) {
    test(`${name} (${sdk})`, { timeout: limit }, async () => {
      for (let left = tries; ; left--) {
        const world = new World(versions[sdk]);
        try {
          await body(world);
          return;
        } catch (error) {
          if (left <= 1) throw error;
          console.log(`# once more, since nodes are killed: ${name} (${sdk}): ${error.message}`);
        } finally {
          await world.close();
        }
      }
    });
  }
}

/** What a scenario has: the cluster, and devices that end with it. */
export class World {
  #salt = randomBytes(5).toString('hex');
  #devices = [];
  #links = [];

  constructor(sdk) {
    this.sdk = sdk;
    this.app = app;
    this.nodes = nodes;
  }

  /** The client id of a name, nobody else's. */
  id(name) {
    return `${name}-${this.#salt}`;
  }

  ids(...names) {
    return names.map((name) => this.id(name));
  }

  /**
   * A Realtime at a node, without a client. If it is balanced, its HTTP requests
   * go to any node that lives, that one first.
   */
  realtime(name, { node = turn++ % nodes.length, sdk = this.sdk, link, balanced = killing, ...options } = {}) {
    const IM = sdk.load();
    const home = nodes[node];
    const device = new Device(name, home.name, IM);
    const server = sdk.server(balanced ? `http://${home.front}` : home.http, home.secure);
    const all = [...nodes.slice(node), ...nodes.slice(0, node)];
    const sockets = link
      ? { RTMServers: [`ws://${link.address}${socketPath}`] }
      : sdk.name === 'JS4' && options.throughRouter !== true
        ? { RTMServers: all.slice(0, killing ? 3 : 1).map((n) => `${n.http.replace('http', 'ws')}${socketPath}`) }
        : {};
    delete options.throughRouter;
    const plugins = [typedMessages(IM).TypedMessagesPlugin, ...device.plugins, ...(options.plugins ?? [])];
    device.realtime = new IM.Realtime({ appId: app.id, appKey: app.key, server, ...sockets, ...options, plugins });
    device.typed = typedMessages(IM);
    device.node = home;
    this.#devices.push(device);
    return device;
  }

  /**
   * A device with an open client. at: the options of its Realtime; the rest is
   * what createIMClient takes.
   */
  async open(name, { at = {}, as = this.id(name), ...options } = {}) {
    const device = this.realtime([name, options.tag].filter(Boolean).join(' '), at);
    const create = () => device.realtime.createIMClient(as, options);
    device.im = await (killing ? insist(create, patience) : create());
    return device;
  }

  /** Several devices of different users, on different nodes. */
  opened(...names) {
    return Promise.all(names.map((name) => this.open(name)));
  }

  /**
   * A conversation of several, each with a device: the devices, and what each has
   * of the conversation. The first makes it.
   */
  async chat(names, properties = {}) {
    const devices = await this.opened(...names);
    const [first, ...others] = devices;
    const made = await first.im.createConversation({ members: others.map((d) => d.id), unique: false, ...properties });
    const rooms = [made, ...(await Promise.all(others.map((d) => d.im.getConversation(made.id))))];
    // Until the SDKs have heard of it, they ask for it, and an older answer may come in between.
    const told = (device) => device.all(Event.MEMBERS_JOINED, (_, where) => where.id === made.id).length > 0;
    await until('all are told of the conversation', () => devices.every(told));
    return { devices, rooms };
  }

  /** A TCP link to a node that can be cut. */
  async link(node = 0) {
    const behind = killing ? [...nodes.slice(node), ...nodes.slice(0, node)] : [nodes[node]];
    const link = await new Front(behind.map(({ http }) => place(http))).listen();
    this.#links.push(link);
    return link;
  }

  /** Asks the REST API of a node with the master key. */
  async rest(method, path, body, { key = `${app.master_key},master`, node = 0, headers = {} } = {}) {
    const home = killing ? `http://${nodes[node].front}` : nodes[node].http;
    const call = () => fetch(home + path, {
      method,
      headers: { 'X-LC-Id': app.id, 'X-LC-Key': key, 'Content-Type': 'application/json', ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    // Who only reads asks again when the node has died under the question.
    const again = () => call().catch((error) => Promise.reject(new Error(`${method} ${path}: ${error.cause ?? error}`)));
    const answer = await (killing && method === 'GET' ? insist(again, patience) : call());
    const text = await answer.text();
    const json = text ? JSON.parse(text) : {};
    if (!answer.ok) {
      throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${text}`), { status: answer.status, code: json.code });
    }
    return json;
  }

  /** Asks for something that only the app's own servers do, in Quorate's own API. */
  async manage(method, path) {
    const home = killing ? `http://${nodes[0].front}` : nodes[0].http;
    const answer = await fetch(home + path, { method, headers: { 'X-Quorate-App': app.id, Authorization: `Bearer ${app.master_key}` } });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  }

  async close() {
    await Promise.all(this.#devices.map((device) => leave(device)));
    for (const link of this.#links) link.close();
  }
}

/** Where the socket of the dialect is, on a node. */
export const socketPath = '/leanmessage/v1';

/** Logs a device out; if its connection is down it only goes away. */
async function leave(device) {
  const away = new Promise((resolve) => {
    setTimeout(resolve, 1_000).unref();
  });
  await Promise.race([Promise.resolve(device.im?.close()).catch(() => {}), away]);
  try {
    device.realtime.pause();
  } catch {
    // it had no connection
  }
}

/** Asserts that a promise is refused with a code of the protocol. */
export async function refused(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, `refused with ${error.code} (${error.message}), want ${code}`);
    return true;
  });
}

/** Waits until a condition holds. */
export async function until(what, holds, within = patience) {
  const deadline = Date.now() + within;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not in ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Kills a node, or starts it again. */
export async function tell(verb, node) {
  const answer = await fetch(`${control}/${verb}/${node.name}`, { method: 'POST' });
  if (!answer.ok) throw new Error(await answer.text());
}

/** Signs as an app's own server does; sign.stamp stands for time and nonce. */
export function sign(...parts) {
  const timestamp = Date.now();
  const nonce = randomBytes(8).toString('hex');
  const stamps = new Map([[sign.stamp, `${timestamp}:${nonce}`], [sign.nonceFirst, `${nonce}:${timestamp}`]]);
  const signed = parts.map((part) => stamps.get(part) ?? part).join(':');
  return { signature: createHmac('sha1', app.master_key).update(signed).digest('hex'), timestamp, nonce };
}
sign.stamp = Symbol('time and nonce');
sign.nonceFirst = Symbol('nonce and time');

/** A text message of the device's SDK. */
export function text(device, words) {
  return new device.IM.TextMessage(words);
}

/** Matches messages of these words. */
export const says = (words) => Object.assign((message) => message.text === words, { wanted: ` that says “${words}”` });

/** Matches events of a conversation, whose payload is this. */
export function of(conversation, payload = {}) {
  return (got, where) => {
    if (where.id !== conversation.id) return false;
    return Object.entries(payload).every(([key, want]) => {
      const have = got[key];
      return Array.isArray(want) ? isDeepStrictEqual([...have].sort(), [...want].sort()) : have === want;
    });
  };
}
