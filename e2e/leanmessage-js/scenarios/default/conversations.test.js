// Section A2: conversations.
import { createHash } from 'node:crypto';
import { area, assert, Event, of, refused, says, scenario, text, until } from '../../lib/scenario.js';

area('conversations', () => {
  scenario('LM-20 only members read and send', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const mary = await world.open('mary');
    const seen = await mary.im.getConversation(made.id); // who knows its id may look at it
    assert.equal(seen.id, made.id);
    await refused(4401, seen.send(text(mary, 'let me in')));
    await made.send(text(tom, 'private'));
    await refused(4312, seen.queryMessages());
  });

  scenario('LM-20 a message to no conversation is refused', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    made.id = '5a0000000000000000000000';
    await refused(4401, made.send(text(tom, 'nobody')));
  });

  scenario('LM-21 a conversation has members, a name and attributes', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createConversation({
      members: [jerry.id, jerry.id], name: 'Tom & Jerry', attr: { colour: 'grey', size: 2 }, pinned: true,
    });
    assert.match(made.id, /^[0-9a-f]{24}$/);
    const [, seen] = await jerry.next(Event.INVITED, of(made, { invitedBy: tom.id }));
    await seen.fetch();
    assert.deepEqual([...seen.members].sort(), [tom.id, jerry.id].sort());
    assert.equal(seen.name, 'Tom & Jerry');
    assert.equal(seen.creator, tom.id);
    assert.deepEqual(seen.get('attr'), { colour: 'grey', size: 2 });
    assert.equal(seen.get('pinned'), true);
    assert.ok(seen.createdAt instanceof Date && Math.abs(Date.now() - seen.createdAt) < 60_000);
    assert.equal(seen.transient, false);
    assert.equal(seen.system, false);
  });

  scenario('LM-22 unique reuse', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const mary = world.id('mary');
    const first = await tom.im.createConversation({ members: [jerry.id, mary], unique: true, name: 'first' });
    const again = await jerry.im.createConversation({ members: [mary, tom.id, mary], unique: true, name: 'second' });
    assert.equal(again.id, first.id);
    const plain = await tom.im.createConversation({ members: [jerry.id, mary], unique: false });
    assert.notEqual(plain.id, first.id);
    const still = await jerry.im.createConversation({ members: [tom.id, mary], unique: true });
    assert.equal(still.id, first.id);
    const stored = await tom.im.getConversation(first.id, true);
    assert.equal(stored.name, 'first');
    const set = [tom.id, jerry.id, mary].sort().join('');
    assert.equal(stored.get('uniqueId'), createHash('md5').update(set).digest('hex'));
    assert.equal(stored.get('unique'), true);
    assert.equal(jerry.all(Event.INVITED, of(first)).length, 1);
  });

  scenario('LM-22 unique creates at the same time, on all nodes, make one', async (world) => {
    const people = await world.opened('tom', 'jerry', 'mary');
    const ids = people.map((p) => p.id);
    const made = await Promise.all(
      [...people, ...people].map((p) => p.im.createConversation({ members: ids, unique: true })),
    );
    assert.equal(new Set(made.map((c) => c.id)).size, 1);
  });

  scenario('LM-22 when members change, the set does', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const pair = await tom.im.createConversation({ members: [jerry.id], unique: true });
    await pair.add([world.id('mary')]);
    const fresh = await tom.im.createConversation({ members: [jerry.id], unique: true });
    assert.notEqual(fresh.id, pair.id);
  });

  scenario('LM-23 LM-24 the types of conversations, through one API', async (world) => {
    const tom = await world.open('tom');
    const basic = await tom.im.createConversation({ members: [world.id('jerry')] });
    const room = await tom.im.createChatRoom({ name: 'room' });
    const passing = await tom.im.createTemporaryConversation({ members: [world.id('jerry')] });
    assert.ok(basic instanceof tom.IM.Conversation);
    assert.ok(room instanceof tom.IM.ChatRoom);
    assert.ok(passing instanceof tom.IM.TemporaryConversation);
    assert.match(passing.id, /^_tmp:/);
    const found = await tom.im.getQuery().containedIn('objectId', [basic.id, room.id, passing.id]).find();
    assert.deepEqual(found.map((c) => c.id).sort(), [basic.id, room.id].sort()); // no record of temporary ones
    const byId = await tom.im.getConversation(passing.id, true);
    assert.equal(byId.id, passing.id);
    const rooms = await tom.im.getChatRoomQuery().equalTo('objectId', room.id).find();
    assert.equal(rooms.length, 1);
    assert.equal(rooms[0].transient, true);
  });

  scenario('LM-25 LM-26 LM-27 any member changes name and attributes, and all members learn of it', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry', 'mary'], { attr: { a: 1, b: { c: 2 } } });
    jerrys.set('attr.b.c', 3);
    jerrys.set('name', 'by jerry');
    jerrys.set('topic', ['top', 'level']);
    await jerrys.save();
    for (const device of [tom, mary]) {
      const [payload] = await device.next(Event.CONVERSATION_INFO_UPDATED, of(made, { updatedBy: jerry.id }));
      assert.equal(payload.attributes.name, 'by jerry');
    }
    assert.equal(made.get('attr').b.c, 3);
    assert.equal(made.get('attr').a, 1);
    assert.equal(made.name, 'by jerry');
    const fresh = await mary.im.getConversation(made.id, true);
    assert.deepEqual(fresh.get('attr'), { a: 1, b: { c: 3 } });
    assert.deepEqual(fresh.get('topic'), ['top', 'level']);
    assert.ok(fresh.updatedAt >= fresh.createdAt);
    assert.deepEqual(jerry.all(Event.CONVERSATION_INFO_UPDATED), []); // the updating device has its answer
  });

  scenario('LM-26 who is no member changes nothing', async (world) => {
    const { rooms: [made] } = await world.chat(['tom', 'jerry'], { name: 'ours' });
    const mary = await world.open('mary');
    const seen = await mary.im.getConversation(made.id);
    seen.set('name', 'mine');
    await refused(4309, seen.save());
    const fresh = await mary.im.getConversation(made.id, true);
    assert.equal(fresh.name, 'ours');
  });

  scenario('LM-27 a device that was away gets the change when it is back', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    jerry.realtime.pause();
    await jerry.next(Event.OFFLINE);
    made.set('name', 'renamed');
    await made.save();
    jerry.realtime.resume();
    const [payload] = await jerry.next(Event.CONVERSATION_INFO_UPDATED, of(made, { updatedBy: tom.id }));
    assert.equal(payload.attributes.name, 'renamed');
  });

  scenario('LM-30 a pair becomes a group when a third is added', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const mary = await world.open('mary');
    await made.add([mary.id]);
    await mary.next(Event.INVITED, of(made));
    await made.send(text(tom, 'three of us'));
    await jerry.next(Event.MESSAGE, says('three of us'));
    await mary.next(Event.MESSAGE, says('three of us'));
    const alone = await tom.im.createConversation({ members: [], unique: false });
    assert.deepEqual(alone.members, [tom.id]);
    await alone.send(text(tom, 'a note'));
    assert.equal((await alone.queryMessages()).length, 1);
  });

  scenario('LM-32 muting a conversation for oneself keeps messages coming', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    await jerrys.mute();
    const fresh = await tom.im.getConversation(made.id, true);
    assert.deepEqual(fresh.mutedMembers, [jerry.id]);
    await made.send(text(tom, 'quietly'));
    await jerry.next(Event.MESSAGE, says('quietly'));
    await jerrys.unmute();
    await until('it is not muted', async () => (await tom.im.getConversation(made.id, true)).mutedMembers.length === 0);
    assert.deepEqual(tom.all(Event.CONVERSATION_INFO_UPDATED), []);
  });

  scenario('LM-34 LM-105 only the REST API deletes a conversation', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await made.send(text(tom, 'soon gone'));
    await world.rest('DELETE', `/1.2/rtm/conversations/${made.id}`);
    await refused(4401, made.send(text(tom, 'too late')));
    assert.equal(await tom.im.getConversation(made.id, true), null);
  });
}, { lasting: true });
