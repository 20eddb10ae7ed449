// A small chat as an app would have it, in a page and in Node alike. It sends
// until the server has said yes, and after a reconnect it reads what it missed.

export class Chat {
  #seen = new Set();
  #pushed = new Set();
  #newest = 0; // the time of the newest message that was pushed: all before it are here
  doubled = []; // what the SDK reported twice
  lines = []; // what the user sees, in the order it came: {id, words}

  constructor(IM) {
    this.IM = IM;
  }

  async open(options, user) {
    this.realtime = new this.IM.Realtime(options);
    this.client = await this.#insist(() => this.realtime.createIMClient(user));
    this.client.on('message', (message, conversation) => {
      if (this.#pushed.has(message.id)) this.doubled.push(message.text);
      this.#pushed.add(message.id);
      this.#newest = Math.max(this.#newest, Number(message.timestamp));
      this.#show(message, conversation.id);
    });
    let from = 0;
    this.client.on('disconnect', () => (from = this.#newest));
    this.client.on('reconnect', () => this.catchUp(from));
  }

  async start(members) {
    this.conversation = await this.#insist(() => this.client.createConversation({ members, unique: true }));
    return this.conversation.id;
  }

  async enter(id) {
    this.conversation = await this.#insist(() => this.client.getConversation(id));
  }

  /** Sends, as often as it takes; the SDK's message keeps its token. */
  async say(words) {
    const message = new this.IM.TextMessage(words);
    await this.#insist(() => this.conversation.send(message));
    this.#show(message, this.conversation.id);
    return message.id;
  }

  /**
   * Shows what was not shown yet of all from a time on. It does not stop at a
   * message that is here: what was pushed after the reconnect, and what was sent
   * here, is newer than what was missed.
   */
  async catchUp(from = 0) {
    const pager = this.conversation.createMessagesIterator({ limit: 50 });
    const missed = [];
    for (;;) {
      const { value, done } = await this.#insist(() => pager.next());
      missed.unshift(...value);
      if (done || Number(value[0].timestamp) < from) break;
    }
    for (const message of missed) this.#show(message, this.conversation.id);
  }

  #show(message, conversation) {
    if (this.conversation && conversation !== this.conversation.id) return;
    if (this.#seen.has(message.id)) return;
    this.#seen.add(message.id);
    this.lines.push({ id: message.id, words: message.text, at: Number(message.timestamp) });
  }

  async #insist(call) {
    for (let tries = 0; ; tries++) {
      try {
        return await call();
      } catch (error) {
        if (tries > 100 || error instanceof TypeError) throw error;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    }
  }
}
