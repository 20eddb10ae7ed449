// LM-50 to LM-54: chat rooms.
import { area, assert, Event, MessagePriority, patience, refused, says, scenario, text, until } from '../../lib/scenario.js';

/** A chat room, and devices that are in it; the first made it. */
async function room(world, ...names) {
  const devices = await world.opened(...names);
  const made = await devices[0].im.createChatRoom({ name: 'tea' });
  const rooms = [made];
  for (const device of devices.slice(1)) {
    const there = await device.im.getConversation(made.id);
    await there.join();
    rooms.push(there);
  }
  return { devices, rooms };
}

area('chat rooms', () => {
  scenario('LM-50 anybody joins and hears, and nobody is told who', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys] } = await room(world, 'tom', 'jerry', 'mary');
    await jerrys.send(text(jerry, 'hello room'));
    await tom.next(Event.MESSAGE, says('hello room'));
    await mary.next(Event.MESSAGE, says('hello room'));
    await made.send(text(tom, 'hello jerry'));
    await jerry.next(Event.MESSAGE, says('hello jerry'));
    for (const device of [tom, jerry, mary]) {
      for (const event of [Event.INVITED, Event.MEMBERS_JOINED, Event.KICKED, Event.MEMBERS_LEFT]) {
        assert.deepEqual(device.all(event), [], event);
      }
    }
    assert.deepEqual(jerry.all(Event.MESSAGE, says('hello room')), []); // no echo
    const seen = await mary.im.getConversation(made.id, true);
    assert.deepEqual(seen.members.filter((m) => m !== mary.id), []); // no list of members
    assert.equal(seen.transient, true);
  }, { fleeting: true });

  scenario('LM-50 nobody adds or removes others', async (world) => {
    const { devices: [, jerry], rooms: [made] } = await room(world, 'tom', 'jerry');
    const added = made.add([world.id('spike')]).then(({ failures }) => failures.length && Promise.reject(failures[0]));
    await assert.rejects(added, (error) => typeof error.code === 'number');
    const removed = made.remove([jerry.id]).then(({ failures }) => failures.length && Promise.reject(failures[0]));
    await assert.rejects(removed, (error) => typeof error.code === 'number');
  });

  scenario('LM-50 who is not there is told nothing later, and the history is kept', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await room(world, 'tom', 'jerry');
    await jerrys.quit();
    await made.send(text(tom, 'without jerry'), { receipt: true });
    const basic = await tom.im.createConversation({ members: [jerry.id], unique: false });
    await basic.send(text(tom, 'a mark'));
    const again = await world.open('jerry');
    const [list] = await again.next(Event.UNREAD_MESSAGES_COUNT_UPDATE);
    assert.deepEqual(list.map((c) => c.id), [basic.id]);
    assert.deepEqual(jerry.all(Event.MESSAGE, says('without jerry')), []);
    const there = await again.im.getConversation(made.id);
    assert.deepEqual((await there.queryMessages()).map((m) => m.text), ['without jerry']);
  });

  scenario('LM-51 joining a second room leaves the first', async (world) => {
    const { devices: [tom, jerry], rooms: [first] } = await room(world, 'tom', 'jerry');
    const spike = await world.open('spike');
    const second = await spike.im.createChatRoom({ name: 'second' });
    const there = await jerry.im.getConversation(second.id);
    await there.join();
    await first.send(text(tom, 'in the first'));
    await second.send(text(spike, 'in the second'));
    await jerry.next(Event.MESSAGE, says('in the second'));
    await until('the first has one', async () => (await first.count()) === 1);
    assert.deepEqual(jerry.all(Event.MESSAGE, says('in the first')), []);
  }, { fleeting: true });

  scenario('LM-52 who loses the connection is in the room again when back', async (world) => {
    const link = await world.link(1);
    const tom = await world.open('tom', { at: { node: 0 } });
    const made = await tom.im.createChatRoom({ name: 'tea' });
    const jerry = await world.open('jerry', { at: { node: 1, link } });
    await (await jerry.im.getConversation(made.id)).join();
    link.cut();
    await jerry.next(Event.RECONNECT, undefined, Math.max(patience, 30_000));
    let welcomes = 0;
    await until('jerry is in the room', async () => {
      await made.send(text(tom, `welcome back ${welcomes++}`));
      return jerry.all(Event.MESSAGE).length > 0;
    });
  }, { fleeting: true });

  scenario('LM-52 offline is out of the room', async (world) => {
    const { devices: [, jerry], rooms: [made] } = await room(world, 'tom', 'jerry');
    await until('two are there', async () => (await made.count()) === 2);
    jerry.realtime.pause();
    await until('one is there', async () => (await made.count()) === 1);
    jerry.realtime.resume();
    await until('two are there again', async () => (await made.count()) === 2);
  });

  scenario('LM-52 who left by a call is not put back', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await room(world, 'tom', 'jerry');
    await jerrys.quit();
    jerry.realtime.pause();
    await jerry.next(Event.OFFLINE);
    jerry.realtime.resume();
    await jerry.next(Event.RECONNECT);
    await made.send(text(tom, 'not for jerry'));
    const basic = await tom.im.createConversation({ members: [jerry.id], unique: false });
    await basic.send(text(tom, 'a mark'));
    await jerry.next(Event.MESSAGE, says('a mark'));
    assert.deepEqual(jerry.all(Event.MESSAGE, says('not for jerry')), []);
    assert.equal(await made.count(), 1);
  });

  scenario('LM-53 LM-43 the number of who is there', async (world) => {
    const { devices: [, jerry, mary], rooms: [made] } = await room(world, 'tom', 'jerry', 'mary');
    await until('three are there', async () => (await made.count()) === 3);
    const rest = await world.rest('GET', `/1.2/rtm/chatrooms/${made.id}/members/online-count`);
    assert.equal(rest.result, 3);
    const sample = await world.rest('GET', `/1.2/rtm/chatrooms/${made.id}/members`);
    assert.ok(sample.result.includes(jerry.id));
    await mary.im.close();
    await until('two are there', async () => (await made.count()) === 2);
  });

  scenario('LM-54 priorities are taken', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await room(world, 'tom', 'jerry');
    for (const priority of [MessagePriority.HIGH, MessagePriority.NORMAL, MessagePriority.LOW]) {
      await made.send(text(tom, `priority ${priority}`), { priority });
      await jerry.next(Event.MESSAGE, says(`priority ${priority}`));
    }
  }, { fleeting: true });

  scenario('LM-50 LM-71 mentions in a room', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await room(world, 'tom', 'jerry');
    await made.send(text(tom, 'hey').setMentionList([jerry.id]));
    const [message] = await jerry.next(Event.MESSAGE, says('hey'));
    assert.equal(message.mentioned, true);
  }, { fleeting: true });

  scenario('LM-50 LM-105 the REST API makes a room and speaks in it', async (world) => {
    const made = await world.rest('POST', '/1.2/rtm/chatrooms', { name: 'by rest' });
    const jerry = await world.open('jerry');
    const there = await jerry.im.getConversation(made.objectId);
    assert.equal(there.name, 'by rest');
    await there.join();
    const sent = await world.rest('POST', `/1.2/rtm/chatrooms/${made.objectId}/messages`, {
      from_client: 'host', message: JSON.stringify({ _lctype: -1, _lctext: 'welcome' }), priority: 'high',
    });
    const [message] = await jerry.next(Event.MESSAGE, says('welcome'));
    assert.equal(message.id, sent['msg-id']);
    assert.equal(message.from, 'host');
  }, { fleeting: true });

  scenario('LM-50 a room message is updated and queried like any other: LM-28', async (world) => {
    const { devices: [tom], rooms: [made] } = await room(world, 'tom', 'jerry');
    made.set('topic', 'cheese');
    await made.save();
    const [found] = await tom.im.getChatRoomQuery().equalTo('topic', 'cheese').equalTo('objectId', made.id).find();
    assert.equal(found.id, made.id);
    await refused(4401, Object.assign(found, { id: '5a0000000000000000000001' }).send(text(tom, 'nowhere')));
  });
});
