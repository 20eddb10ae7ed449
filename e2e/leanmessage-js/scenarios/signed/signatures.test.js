// LM-100 and LM-101: actions that want a signature of the app's own server.
import { area, assert, Event, refused, says, scenario, sign, text } from '../../lib/scenario.js';

/** The factories of a client whose app's server signs what it is asked to. */
function signing(world) {
  const app = world.app.id;
  const members = (ids) => [...ids].sort().join(':');
  const conversationSigned = (id, client, targets, action) =>
    id === null || action === 'create'
      ? sign(app, client, members(targets), sign.stamp)
      : sign(app, client, id, members(targets), sign.stamp, action);
  return {
    signatureFactory: (client) => sign(app, client, '', sign.stamp),
    conversationSignatureFactory: conversationSigned,
    // Version 4 hands over the client first.
    blacklistSignatureFactory: (a, b, targets, action) => {
      const [id, client] = world.sdk.name === 'JS4' ? [b, a] : [a, b];
      return sign(app, client, id, members(targets), sign.stamp, action);
    },
  };
}

const wrong = () => ({ signature: '0'.repeat(40), timestamp: Date.now(), nonce: 'nonce' });
const old = (world) => (client) => {
  const real = Date.now;
  Date.now = () => real() - 7 * 3_600_000;
  try {
    return sign(world.app.id, client, '', sign.stamp);
  } finally {
    Date.now = real;
  }
};

area('signatures', () => {
  scenario('LM-100 a signed login', async (world) => {
    const tom = await world.open('tom', signing(world));
    assert.equal(tom.im.id, world.id('tom'));
  });

  scenario('LM-100 without a signature, with a wrong one or with one of yesterday there is none', async (world) => {
    await refused(4102, world.open('tom'));
    await refused(4102, world.open('tom', { signatureFactory: wrong }));
    await refused(4102, world.open('tom', { signatureFactory: old(world) }));
    await refused(4102, world.open('tom', { signatureFactory: () => sign(world.app.id, world.id('jerry'), '', sign.stamp) }));
  });

  scenario('LM-100 conversations: made, joined, added to, removed from, left', async (world) => {
    const open = (name) => world.open(name, signing(world));
    const [tom, jerry, mary] = [await open('tom'), await open('jerry'), await open('mary')];
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    await made.add([world.id('spike'), world.id('butch')]);
    await made.remove([world.id('spike')]);
    const there = await mary.im.getConversation(made.id);
    await there.join();
    await there.send(text(mary, 'signed in'));
    await jerry.next(Event.MESSAGE, says('signed in'));
    await there.quit();
    const room = await tom.im.createChatRoom({ name: 'signed' });
    await room.send(text(tom, 'hello'));
  });

  scenario('LM-100 conversations: a wrong signature is refused', async (world) => {
    const factories = signing(world);
    const tom = await world.open('tom', { ...factories, conversationSignatureFactory: wrong });
    await refused(4302, tom.im.createConversation({ members: [world.id('jerry')] }));
    const jerry = await world.open('jerry', factories);
    const made = await jerry.im.createConversation({ members: [world.id('spike')] });
    const there = await tom.im.getConversation(made.id);
    await refused(4302, there.join());
    const mary = await world.open('mary', { signatureFactory: factories.signatureFactory });
    await refused(4302, mary.im.createConversation({ members: [world.id('jerry')] }));
  });

  scenario('LM-100 blacklists', async (world) => {
    const tom = await world.open('tom', signing(world));
    const made = await tom.im.createConversation({ members: [world.id('jerry')], unique: false });
    await made.blockMembers([world.id('jerry')]);
    await made.unblockMembers([world.id('jerry')]);
    const jerry = await world.open('jerry', { ...signing(world), blacklistSignatureFactory: wrong });
    const own = await jerry.im.createConversation({ members: [world.id('spike')], unique: false });
    await refused(4546, own.blockMembers([world.id('spike')]));
  });

  scenario('LM-100 LM-08 a reconnect needs no new signature', async (world) => {
    const link = await world.link(0);
    let signed = 0;
    const factories = signing(world);
    const counting = (client) => {
      signed++;
      return factories.signatureFactory(client);
    };
    const tom = await world.open('tom', { ...factories, signatureFactory: counting, at: { link, node: 0 } });
    link.cut();
    await tom.next(Event.RECONNECT, undefined, 30_000);
    assert.equal(signed, 1);
    await tom.im.createConversation({ members: [world.id('jerry')] });
  });

  scenario('LM-100 LM-105 the history over REST', async (world) => {
    const tom = await world.open('tom', signing(world));
    const made = await tom.im.createConversation({ members: [world.id('jerry')], unique: false });
    await made.send(text(tom, 'signed'));
    const { signature, timestamp, nonce } = sign(world.app.id, tom.id, made.id, sign.nonceFirst);
    const query = new URLSearchParams({ client_id: tom.id, nonce, signature_ts: timestamp, signature });
    const path = `/1.2/rtm/conversations/${made.id}/messages`;
    const got = await world.rest('GET', `${path}?${query}`, undefined, { key: world.app.key });
    assert.equal(got.length, 1);
    query.set('signature', '0'.repeat(40));
    await assert.rejects(world.rest('GET', `${path}?${query}`, undefined, { key: world.app.key }), (error) => error.status >= 400);
  });
});
