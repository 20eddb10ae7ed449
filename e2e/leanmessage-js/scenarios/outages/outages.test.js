// What holds when a node dies: the one that a client is on, and the one that
// leads the shard which knows.
import { area, assert, Event, insist, of, says, scenario, tell, text, until } from '../../lib/scenario.js';

const soon = 40_000;

/** A client that no node's death can cut off: its socket goes to any node that lives. */
async function steady(world, name) {
  const link = await world.link(0);
  link.targets = world.nodes.map(({ http }) => ({ host: '127.0.0.1', port: Number(new URL(http).port) }));
  return world.open(name, { at: { link, node: 0 } });
}

/** Kills a node for the time of an action. */
async function without(node, action) {
  await tell('kill', node);
  try {
    await action();
  } finally {
    await tell('restart', node);
  }
}

area('outages', () => {
  scenario('LM-70 the will of a client whose node dies is sent', async (world) => {
    const jerry = await steady(world, 'jerry');
    const node = world.sdk.name === 'JS4' ? 1 : 2; // none that has just come back
    const tom = await world.open('tom', { at: { node } });
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    const will = await made.send(text(tom, 'my node has died'), { will: true });
    await without(world.nodes[node], async () => {
      tom.realtime.pause();
      const [message] = await jerry.next(Event.MESSAGE, says('my node has died'), soon);
      assert.equal(message.id, will.id);
    });
  }, { timeout: 120_000 });

  scenario('LM-70 a will survives the death of any one node', async (world) => {
    const jerry = await steady(world, 'jerry');
    const link = await world.link(0);
    const tom = await world.open('tom', { at: { link, node: 0 } });
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    await made.send(text(tom, 'goodbye'), { will: true });
    for (const node of world.nodes.slice(1)) {
      await without(node, () => until('it works without the node', () => made.count().then((n) => n === 2, () => false), soon));
    }
    link.down();
    await jerry.next(Event.MESSAGE, says('goodbye'), soon);
  }, { timeout: 180_000 });

  scenario('LM-05 LM-06 a tag is known when the node that its holder is on dies', async (world) => {
    const phone = await world.open('tom', { tag: 'phone', at: { node: 1 } });
    await without(world.nodes[1], async () => {
      await phone.next(Event.DISCONNECT, undefined, soon);
      const rival = await until('a login', () => world.open('tom', { tag: 'phone', at: { node: 2 } }).catch(() => null), soon);
      assert.equal(rival.id, phone.id);
    });
    // Whichever of the two came first, the phone is out.
    const outcome = await Promise.race([
      phone.next(Event.RECONNECT_ERROR, undefined, soon).then(([error]) => error.code),
      phone.next(Event.CONFLICT, undefined, soon).then(() => 4111),
    ]);
    assert.equal(outcome, 4111);
  }, { timeout: 120_000 });

  scenario('LM-05 a tag is known when the leader that knew of it dies', async (world) => {
    const old = await steady(world, 'tom');
    await old.im.close();
    const link = await world.link(0);
    const holder = await world.open('tom', { tag: 'phone', at: { link, node: 0 } });
    for (const node of world.nodes.slice(1)) {
      await without(node, () => until('it works', () => holder.im.ping([holder.id]).then(() => true, () => false), soon));
    }
    await until('a rival', () => world.open('tom', { tag: 'phone', at: { node: 1 } }).catch(() => null), soon);
    await holder.next(Event.CONFLICT, undefined, soon);
  }, { timeout: 180_000 });

  scenario('LM-52 who is in a room is in it again when the node died', async (world) => {
    const tom = await steady(world, 'tom');
    const made = await tom.im.createChatRoom({ name: 'tea' });
    const link = await world.link(2);
    link.targets = [2, 1].map((i) => ({ host: '127.0.0.1', port: Number(new URL(world.nodes[i].http).port) }));
    const jerry = await world.open('jerry', { at: { link, node: 2 } });
    await (await jerry.im.getConversation(made.id)).join();
    await without(world.nodes[2], async () => {
      await jerry.next(Event.RECONNECT, undefined, soon);
      let n = 0;
      await until('jerry hears the room', async () => {
        await made.send(text(tom, `welcome ${n++}`)).catch(() => {});
        return jerry.all(Event.MESSAGE).length > 0;
      }, soon);
    });
  }, { timeout: 120_000 });

  scenario('LM-14 a kick holds when a node dies right after it', async (world) => {
    const phone = await steady(world, 'tom');
    await world.rest('POST', `/1.2/rtm/clients/${phone.id}/kick`, { reason: 'enough' }, { node: 2 });
    await without(world.nodes[2], async () => {
      const [closed] = await phone.next(Event.CLOSE, undefined, soon);
      assert.equal(closed.code, 4115);
    });
  }, { timeout: 120_000 });

  scenario('LM-63 LM-66 what was acknowledged is there after the leader\'s death, once', async (world) => {
    const tom = await steady(world, 'tom');
    const made = await tom.im.createConversation({ members: [world.id('jerry')], unique: false });
    const acknowledged = [];
    let stop = false;
    const talking = (async () => {
      for (let i = 0; !stop; i++) {
        const message = text(tom, `number ${i}`);
        await insist(() => made.send(message), soon, tom.im);
        acknowledged.push(message.text);
      }
    })();
    for (const node of world.nodes) {
      const before = acknowledged.length;
      await without(node, () => until('sends go on', () => acknowledged.length > before + 10, soon));
    }
    stop = true;
    await talking;
    const all = [];
    const pager = made.createMessagesIterator({ limit: 100 });
    for (let page = await pager.next(); ; page = await pager.next()) {
      all.unshift(...page.value.map((m) => m.text));
      if (page.done) break;
    }
    assert.deepEqual(all, acknowledged);
  }, { timeout: 240_000 });

  scenario('LM-41 LM-27 what a client missed while its node was dead, it is told', async (world) => {
    const tom = await steady(world, 'tom');
    const jerry = await world.open('jerry', { at: { node: 2, throughRouter: true, balanced: true } });
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    await jerry.next(Event.INVITED, of(made));
    await without(world.nodes[2], async () => {
      await until('it is renamed', () => {
        made.set('name', 'renamed');
        return made.save().then(() => true, () => false);
      }, soon);
    });
    await jerry.next(Event.CONVERSATION_INFO_UPDATED, of(made, { updatedBy: tom.id }), soon);
  }, { timeout: 120_000 });
}, { together: 1 });
