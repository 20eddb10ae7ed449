// A device: one Realtime of an SDK, one client on it, and all it has heard.
import { inspect } from 'node:util';
import { Event } from './sdk.js';
import { steadfast } from './steadfast.js';

export const patience = Number(process.env.PATIENCE ?? (process.env.KILL ? 30_000 : 12_000));

export class Device {
  #waiting = new Set();
  heard = []; // {event, args, taken}

  constructor(name, node, IM) {
    this.name = `${name} on ${node}`;
    this.IM = IM;
    this.plugins = [{ name: `recorder of ${name}`, onIMClientCreate: (client) => this.listen(client) }];
    if (process.env.KILL) this.plugins.push(steadfast(this, patience));
  }

  get id() {
    return this.im.id;
  }

  /** Keeps all events of an emitter: a client, a conversation, a Realtime. */
  listen(emitter) {
    for (const event of new Set(Object.values(Event))) {
      emitter.on(event, (...args) => this.hear({ event, args }));
    }
    return emitter;
  }

  /**
   * Resolves with the arguments of the first event of that name that matches and
   * that no next had before, whether it is there already or still to come.
   */
  async next(event, matches = () => true, within = patience) {
    const fits = (h) => !h.taken && h.event === event && matches(...h.args);
    const there = this.heard.find(fits);
    if (there) {
      there.taken = true;
      return there.args;
    }
    return new Promise((resolve, reject) => {
      const waiting = { fits, resolve };
      const timer = setTimeout(() => {
        this.#waiting.delete(waiting);
        reject(new Error(`${this.name} heard no ${event}${matches.wanted ?? ''} in ${within} ms; ${this.#story()}`));
      }, within);
      waiting.done = () => clearTimeout(timer);
      this.#waiting.add(waiting);
    });
  }

  /** The arguments of all events of that name so far. */
  all(event, matches = () => true) {
    return this.heard.filter((h) => h.event === event && matches(...h.args)).map((h) => h.args);
  }

  /** Takes note of an event. */
  hear(heard) {
    this.heard.push(heard);
    for (const waiting of this.#waiting) {
      if (!waiting.fits(heard)) continue;
      heard.taken = true;
      this.#waiting.delete(waiting);
      waiting.done();
      waiting.resolve(heard.args);
      return;
    }
  }

  #story() {
    const told = this.heard.slice(-20).map(({ event, args }) => `${event} ${brief(args[0])}`);
    return told.length ? `what it heard:\n  ${told.join('\n  ')}` : 'it heard nothing';
  }
}

function brief(payload) {
  const list = Array.isArray(payload) && payload[0]?.unreadMessagesCount !== undefined;
  if (list) return payload.map((c) => `${c.id}: ${c.unreadMessagesCount}`).join(', ');
  const shown = payload?.toFullJSON?.() ?? payload?.message ?? payload;
  return inspect(shown, { depth: 2, breakLength: Infinity }).slice(0, 200);
}
