// LM-58: temporary conversations.
import { area, assert, Event, of, refused, says, scenario, text, until } from '../../lib/scenario.js';

area('temporary conversations', () => {
  scenario('LM-58 members are fixed, and talk', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createTemporaryConversation({ members: [jerry.id] });
    assert.match(made.id, /^_tmp:/);
    assert.ok(Math.abs(made.expiredAt - Date.now() - 86_400_000) < 60_000);
    await jerry.next(Event.INVITED, of(made, { invitedBy: tom.id }));
    await made.send(text(tom, 'for a while'));
    const [, there] = await jerry.next(Event.MESSAGE, says('for a while'));
    assert.equal(there.id, made.id);
    assert.deepEqual([...there.members].sort(), [tom.id, jerry.id].sort());
    await there.send(text(jerry, 'yes'));
    await tom.next(Event.MESSAGE, says('yes'));
    assert.equal(await made.count(), 2);
    for (const call of ['add', 'remove', 'mute', 'save', 'quit', 'join']) assert.equal(typeof made[call], 'undefined');
  });

  scenario('LM-58 a life of its own, of 30 days at most', async (world) => {
    const tom = await world.open('tom');
    const hour = await tom.im.createTemporaryConversation({ members: [world.id('jerry')], ttl: 3_600 });
    assert.ok(Math.abs(hour.expiredAt - Date.now() - 3_600_000) < 60_000);
    const ages = await tom.im.createTemporaryConversation({ members: [world.id('mary')], ttl: 100 * 86_400 });
    assert.ok(Math.abs(ages.expiredAt - Date.now() - 30 * 86_400_000) < 60_000);
  });

  scenario('LM-58 the same members have the same one while it lives', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createTemporaryConversation({ members: [jerry.id] });
    const again = await jerry.im.createTemporaryConversation({ members: [tom.id] });
    assert.equal(again.id, made.id);
  });

  scenario('LM-58 an expired one is refused', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createTemporaryConversation({ members: [jerry.id], ttl: 2 });
    await made.send(text(tom, 'quick'));
    await jerry.next(Event.MESSAGE, says('quick'));
    await until('the SDK calls it expired', () => made.expired);
    await refused(4323, made.send(text(tom, 'too late')));
    made.expiredAt = Date.now() + 60_000; // a device whose clock is slow asks the server
    await until('the server calls it expired', () => made.send(text(tom, 'too late')).then(() => false, (e) => e.code === 4323));
  });

  scenario('LM-58 ten members and not one more', async (world) => {
    const tom = await world.open('tom');
    const others = (n) => Array.from({ length: n }, (_, i) => world.id(`m${i}`));
    const made = await tom.im.createTemporaryConversation({ members: others(9) });
    assert.equal(await made.count(), 10);
    await assert.rejects(tom.im.createTemporaryConversation({ members: others(10) }), (error) => typeof error.code === 'number');
  });

  scenario('LM-58 LM-83 unread, and history while it lives', async (world) => {
    const tom = await world.open('tom');
    const made = await tom.im.createTemporaryConversation({ members: [world.id('jerry')] });
    await made.send(text(tom, 'when you are back'));
    const jerry = await world.open('jerry');
    const [[there]] = await jerry.next(Event.UNREAD_MESSAGES_COUNT_UPDATE);
    assert.equal(there.id, made.id);
    assert.equal(there.unreadMessagesCount, 1);
    assert.deepEqual((await there.queryMessages()).map((m) => m.text), ['when you are back']);
  });

  scenario('LM-58 LM-67 receipts', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createTemporaryConversation({ members: [jerry.id] });
    tom.listen(made);
    await made.send(text(tom, 'got it?'), { receipt: true });
    await jerry.next(Event.MESSAGE, says('got it?'));
    await tom.next(Event.LAST_DELIVERED_AT_UPDATE);
  });
});
