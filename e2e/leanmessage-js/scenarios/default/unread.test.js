// LM-83 to LM-89: what a client is told when it signs in, and unread counts.
import { area, assert, Event, says, scenario, text, until } from '../../lib/scenario.js';

/** The unread count that a device is told of for a conversation. */
async function told(device, conversation, count) {
  const [list] = await device.next(Event.UNREAD_MESSAGES_COUNT_UPDATE, (conversations) =>
    conversations.some((c) => c.id === conversation.id && c.unreadMessagesCount === count),
  );
  return list.find((c) => c.id === conversation.id);
}

/**
 * Waits until it is written down with a user what is unread. What somebody is in is
 * told to the user a moment after a creation is answered: who signs in between is
 * told of it then, like who was there.
 */
function settled(world, user, count) {
  return until(`${count} are unread`, async () => {
    const answer = await world.rest('GET', `/1.2/rtm/clients/${user}/unread-count`);
    return answer.count >= count;
  });
}

area('unread', () => {
  scenario('LM-83 LM-88 at login: count and last message of each conversation', async (world) => {
    const tom = await world.open('tom');
    const jerry = world.id('jerry');
    const one = await tom.im.createConversation({ members: [jerry], unique: false });
    const two = await tom.im.createConversation({ members: [jerry, world.id('mary')], unique: false });
    for (const words of ['a', 'b', 'c']) await one.send(text(tom, words));
    const last = await two.send(text(tom, 'only one'));
    await settled(world, jerry, 4);
    const device = await world.open('jerry');
    assert.equal((await told(device, one, 3)).lastMessage.text, 'c');
    const seen = await until('the second is known', async () => {
      const c = await device.im.getConversation(two.id);
      return c.unreadMessagesCount === 1 && c;
    });
    assert.equal(seen.lastMessage.id, last.id);
    assert.equal(seen.lastMessage.from, tom.id);
    assert.equal(Number(seen.lastMessageAt), Number(last.timestamp));
    assert.deepEqual(device.all(Event.MESSAGE), []); // messages are fetched
    const history = await (await device.im.getConversation(one.id)).queryMessages();
    assert.deepEqual(history.map((m) => m.text), ['a', 'b', 'c']);
  });

  scenario('LM-83 what was read before is not told', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const other = await tom.im.createConversation({ members: [jerry.id], unique: false });
    const sent = await made.send(text(tom, 'one'));
    await jerry.next(Event.MESSAGE, says('one'));
    await jerrys.read();
    await until('it is read', async () => {
      await made.fetchReceiptTimestamps();
      return made.lastReadAt >= sent.timestamp;
    });
    await other.send(text(tom, 'two'));
    const tablet = await world.open('jerry');
    const [list] = await tablet.next(Event.UNREAD_MESSAGES_COUNT_UPDATE);
    assert.deepEqual(list.map((c) => c.id), [other.id]);
  });

  scenario('LM-84 in the mode of old: the messages themselves, at most 20, in their order', async (world) => {
    const tom = await world.open('tom');
    const made = await tom.im.createConversation({ members: [world.id('jerry')], unique: false });
    for (let i = 1; i <= 23; i++) await made.send(text(tom, `number ${i}`));
    await settled(world, world.id('jerry'), 23);
    const jerry = await world.open('jerry', { at: { pushOfflineMessages: true } });
    // It parses messages side by side, so a burst is not reported in the order in which it came.
    await until('all have come', () => jerry.all(Event.MESSAGE).length >= 20);
    const got = jerry.all(Event.MESSAGE).map(([m]) => m).sort((a, b) => a.timestamp - b.timestamp);
    assert.deepEqual(got.map((m) => m.text), Array.from({ length: 20 }, (_, i) => `number ${i + 4}`));
    assert.equal(new Set(jerry.all(Event.UNREAD_MESSAGES_COUNT_UPDATE).flat(2).map((c) => c.id)).size <= 1, true);
  }, { sdks: ['JS4'] });

  scenario('LM-84 in the mode of old: what was acknowledged is not sent again', async (world) => {
    const tom = await world.open('tom');
    const made = await tom.im.createConversation({ members: [world.id('jerry')], unique: false });
    await made.send(text(tom, 'first'));
    const jerry = await world.open('jerry', { at: { pushOfflineMessages: true } });
    await jerry.next(Event.MESSAGE, says('first'));
    await until('it is acknowledged', async () => (await made.queryMessages())[0].deliveredAt);
    await jerry.im.close();
    await made.send(text(tom, 'second'));
    const again = await world.open('jerry', { at: { pushOfflineMessages: true } });
    await again.next(Event.MESSAGE, says('second'));
    await made.send(text(tom, 'third'));
    await again.next(Event.MESSAGE, says('third'));
    assert.ok(again.all(Event.MESSAGE, says('second')).length === 1);
  }, { sdks: ['JS4'] });

  scenario('LM-85 devices of both modes live side by side', async (world) => {
    const tom = await world.open('tom');
    const old = await world.open('jerry', { at: { pushOfflineMessages: true } });
    const fresh = await world.open('jerry');
    const made = await tom.im.createConversation({ members: [old.id], unique: false });
    await made.send(text(tom, 'to both'));
    await old.next(Event.MESSAGE, says('to both'));
    await fresh.next(Event.MESSAGE, says('to both'));
    await old.im.close();
    const late = await world.open('jerry');
    await told(late, made, 1);
  }, { sdks: ['JS4'] });

  scenario('LM-86 the count grows while online, and only read clears it', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    for (const words of ['a', 'b']) {
      await made.send(text(tom, words));
      await jerry.next(Event.MESSAGE, says(words));
    }
    assert.equal(jerrys.unreadMessagesCount, 2);
    await until('it is delivered', async () => (await made.queryMessages()).at(-1).deliveredAt);
    const tablet = await world.open('jerry');
    await told(tablet, made, 2); // delivered and acknowledged, and still unread
    await jerrys.read();
    await told(tablet, made, 0);
    await made.send(text(tom, 'c'));
    await told(tablet, made, 1);
    const third = await world.open('jerry');
    await told(third, made, 1);
  });

  scenario('LM-86 own and transient messages do not count', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const mary = world.id('mary');
    await made.add([mary]);
    await made.send(text(tom, 'counts'));
    await made.send(text(tom, 'does not'), { transient: true });
    const device = await world.open('mary');
    await told(device, made, 1);
    const tablet = await world.open('tom');
    const marys = await device.im.getConversation(made.id);
    await marys.send(text(device, 'for tom'));
    await told(tablet, made, 1);
  });

  scenario('LM-87 reading on one device clears the others', async (world) => {
    const { devices: [tom, phone], rooms: [made, phones] } = await world.chat(['tom', 'jerry']);
    const tablet = await world.open('jerry');
    await made.send(text(tom, 'see?'));
    await phone.next(Event.MESSAGE, says('see?'));
    await tablet.next(Event.MESSAGE, says('see?'));
    await told(tablet, made, 1);
    await phones.read();
    const seen = await told(tablet, made, 0);
    assert.equal(seen.unreadMessagesMentioned, false);
  });

  scenario('LM-87 a device that was away learns that another has read', async (world) => {
    const { devices: [tom, phone], rooms: [made, phones] } = await world.chat(['tom', 'jerry']);
    const tablet = await world.open('jerry');
    await made.send(text(tom, 'see?'));
    await told(tablet, made, 1);
    tablet.realtime.pause();
    await tablet.next(Event.OFFLINE);
    await phone.next(Event.MESSAGE, says('see?'));
    await phones.read();
    await until('it is read', async () => {
      await made.fetchReceiptTimestamps();
      return made.lastReadAt >= made.lastMessage.timestamp;
    });
    tablet.realtime.resume();
    await told(tablet, made, 0);
  });

  scenario('LM-83 LM-88 the count stops at 100, and all are there to be read', async (world) => {
    const tom = await world.open('tom');
    const made = await tom.im.createConversation({ members: [world.id('jerry')], unique: false });
    for (let i = 0; i < 105; i += 15) {
      await Promise.all(Array.from({ length: 15 }, (_, k) => made.send(text(tom, `number ${i + k}`))));
    }
    await settled(world, world.id('jerry'), 100);
    const jerry = await world.open('jerry');
    const seen = await told(jerry, made, 100);
    const pages = [];
    const pager = seen.createMessagesIterator({ limit: 40 });
    for (;;) {
      const { value, done } = await pager.next();
      pages.unshift(...value);
      if (done) break;
    }
    assert.equal(pages.length, 105);
    assert.equal(new Set(pages.map((m) => m.id)).size, 105);
  });

  scenario('LM-83 LM-88 at most 50 conversations are told; the others are found', async (world) => {
    const tom = await world.open('tom');
    const jerry = world.id('jerry');
    const made = await Promise.all(
      Array.from({ length: 53 }, (_, i) => tom.im.createConversation({ members: [jerry], unique: false, name: `c${i}` })),
    );
    await Promise.all(made.map((c) => c.send(text(tom, 'hello'))));
    await settled(world, jerry, 53);
    const device = await world.open('jerry');
    const [list] = await device.next(Event.UNREAD_MESSAGES_COUNT_UPDATE);
    assert.equal(list.length, 50);
    const found = await device.im.getQuery().limit(100).find();
    assert.equal(found.length, 53);
  });

  scenario('LM-89 unread says whether one was mentioned', async (world) => {
    const tom = await world.open('tom');
    const ids = world.ids('jerry', 'mary');
    const made = await tom.im.createConversation({ members: ids, unique: false });
    await made.send(text(tom, 'jerry!').setMentionList([ids[0]]));
    await made.send(text(tom, 'by the way'));
    const [jerry, mary] = await world.opened('jerry', 'mary');
    assert.equal((await told(jerry, made, 2)).unreadMessagesMentioned, true);
    assert.equal((await told(mary, made, 2)).unreadMessagesMentioned, false);
    const [, hers] = [null, await mary.im.getConversation(made.id)];
    await hers.send(text(mary, 'all').mentionAll());
    await jerry.next(Event.MESSAGE, says('all'));
    const jerrys = await jerry.im.getConversation(made.id);
    await jerrys.read();
    assert.equal(jerrys.unreadMessagesMentioned, false);
  });

  scenario('LM-83 LM-105 the REST API knows the counts', async (world) => {
    const tom = await world.open('tom');
    const jerry = world.id('jerry');
    const one = await tom.im.createConversation({ members: [jerry], unique: false });
    const two = await tom.im.createConversation({ members: [jerry], unique: false });
    for (const room of [one, one, two]) await room.send(text(tom, 'x'));
    await settled(world, jerry, 3);
    const total = await world.rest('GET', `/1.2/rtm/clients/${jerry}/unread-count`);
    assert.equal(total.count, 3);
    const single = await world.rest('GET', `/1.2/rtm/clients/${jerry}/unread-count?conv_id=${one.id}`);
    assert.equal(single.count, 2);
  });
});
