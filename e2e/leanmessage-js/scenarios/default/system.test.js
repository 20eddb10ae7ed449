// LM-55 to LM-57: system conversations, and what the server sends.
import { area, assert, Event, says, scenario, text, until } from '../../lib/scenario.js';

const words = (w) => JSON.stringify({ _lctype: -1, _lctext: w });

async function service(world, name = 'news') {
  const made = await world.rest('POST', '/1.2/rtm/service-conversations', { name });
  return made.objectId;
}

area('system conversations', () => {
  scenario('LM-55 LM-105 made by the server, found and subscribed to by users', async (world) => {
    const id = await service(world);
    const tom = await world.open('tom');
    const [found] = await tom.im.getServiceConversationQuery().equalTo('objectId', id).find();
    assert.equal(found.id, id);
    assert.equal(found.system, true);
    assert.ok(found instanceof tom.IM.ServiceConversation);
    await found.subscribe();
    const count = await world.rest('GET', `/1.2/rtm/service-conversations/${id}/subscribers/count`);
    assert.equal(count.count, 1);
    await found.unsubscribe();
    const none = await world.rest('GET', `/1.2/rtm/service-conversations/${id}/subscribers/count`);
    assert.equal(none.count, 0);
    assert.deepEqual(tom.all(Event.INVITED), []);
    assert.deepEqual(tom.all(Event.MEMBERS_JOINED), []);
  });

  scenario('LM-56 a message to all subscribers', async (world) => {
    const id = await service(world);
    const [tom, jerry] = await world.opened('tom', 'jerry');
    for (const device of [tom, jerry]) await (await device.im.getConversation(id)).subscribe();
    await jerry.im.close();
    const spike = await world.open('spike'); // who has not subscribed
    const sent = await world.rest('POST', `/1.2/rtm/service-conversations/${id}/broadcasts`, {
      from_client: 'editor', message: words('extra!'),
    });
    const [message, where] = await tom.next(Event.MESSAGE, says('extra!'));
    assert.equal(message.id, sent['msg-id']);
    assert.equal(message.from, 'editor');
    assert.equal(where.id, id);
    const again = await world.open('jerry');
    const [[there]] = await again.next(Event.UNREAD_MESSAGES_COUNT_UPDATE);
    assert.equal(there.id, id);
    assert.deepEqual((await there.queryMessages()).map((m) => m.text), ['extra!']);
    assert.deepEqual(spike.all(Event.MESSAGE), []);
  });

  scenario('LM-56 a message to named users', async (world) => {
    const id = await service(world);
    const [tom, jerry] = await world.opened('tom', 'jerry');
    for (const device of [tom, jerry]) await (await device.im.getConversation(id)).subscribe();
    await world.rest('POST', `/1.2/rtm/service-conversations/${id}/messages`, {
      from_client: 'editor', to_clients: [tom.id], message: words('only tom'),
    });
    await tom.next(Event.MESSAGE, says('only tom'));
    await world.rest('POST', `/1.2/rtm/service-conversations/${id}/broadcasts`, { from_client: 'editor', message: words('all') });
    await jerry.next(Event.MESSAGE, says('all'));
    assert.deepEqual(jerry.all(Event.MESSAGE, says('only tom')), []);
    const toms = await (await tom.im.getConversation(id)).queryMessages();
    assert.deepEqual(toms.map((m) => m.text), ['only tom', 'all']);
    const jerrys = await (await jerry.im.getConversation(id)).queryMessages();
    assert.deepEqual(jerrys.map((m) => m.text), ['all']);
  });

  scenario('LM-57 what a user writes to a service, no other user sees', async (world) => {
    const id = await service(world);
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const rooms = [];
    for (const device of [tom, jerry]) {
      const there = await device.im.getConversation(id);
      await there.subscribe();
      rooms.push(there);
    }
    const sent = await rooms[0].send(text(tom, 'dear editor'));
    assert.ok(sent.id);
    await world.rest('POST', `/1.2/rtm/service-conversations/${id}/broadcasts`, { from_client: 'editor', message: words('a mark') });
    await jerry.next(Event.MESSAGE, says('a mark'));
    assert.deepEqual(jerry.all(Event.MESSAGE, says('dear editor')), []);
    assert.ok(!(await rooms[1].queryMessages()).some((m) => m.text === 'dear editor'));
  });

  scenario('LM-55 LM-32 muting a service for oneself', async (world) => {
    const id = await service(world);
    const tom = await world.open('tom');
    const there = await tom.im.getConversation(id);
    await there.subscribe();
    await there.mute();
    const fresh = await tom.im.getConversation(id, true);
    assert.equal(fresh.muted, true);
    await world.rest('POST', `/1.2/rtm/service-conversations/${id}/broadcasts`, { from_client: 'editor', message: words('quiet') });
    await tom.next(Event.MESSAGE, says('quiet'));
  });
});

area('the REST API', () => {
  scenario('LM-105 LM-79 a message sent for a user reaches members and the user\'s devices', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const path = `/1.2/rtm/conversations/${made.id}/messages`;
    const sent = await world.rest('POST', path, { from_client: tom.id, message: words('by rest') });
    const [message] = await jerry.next(Event.MESSAGE, says('by rest'));
    assert.equal(message.id, sent['msg-id']);
    assert.equal(Number(message.timestamp), sent.timestamp);
    await tom.next(Event.MESSAGE, says('by rest'));
    await world.rest('POST', path, { from_client: tom.id, message: words('not to me'), no_sync: true });
    await jerry.next(Event.MESSAGE, says('not to me'));
    await world.rest('POST', path, { from_client: jerry.id, message: words('a mark') });
    await tom.next(Event.MESSAGE, says('a mark'));
    assert.deepEqual(tom.all(Event.MESSAGE, says('not to me')), []);
  });

  scenario('LM-105 members added and removed by the server', async (world) => {
    const { devices: [, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const mary = await world.open('mary');
    await world.rest('POST', `/1.2/rtm/conversations/${made.id}/members`, { client_ids: [mary.id] });
    await mary.next(Event.INVITED, (_, where) => where.id === made.id);
    await jerry.next(Event.MEMBERS_JOINED, ({ members }) => members.includes(mary.id));
    await world.rest('DELETE', `/1.2/rtm/conversations/${made.id}/members`, { client_ids: [mary.id] });
    await mary.next(Event.KICKED, (_, where) => where.id === made.id);
    const { result } = await world.rest('GET', `/1.2/rtm/conversations/${made.id}/members`);
    assert.equal(result.length, 2);
  });

  scenario('LM-105 a conversation made by the server is a user\'s', async (world) => {
    const tom = await world.open('tom');
    const made = await world.rest('POST', '/1.2/rtm/conversations', { name: 'by rest', m: [tom.id, world.id('jerry')], unique: true, colour: 'red' });
    await tom.next(Event.INVITED, (_, where) => where.id === made.objectId);
    const there = await tom.im.getConversation(made.objectId);
    assert.equal(there.name, 'by rest');
    assert.equal(there.get('colour'), 'red');
    const same = await tom.im.createConversation({ members: [world.id('jerry')], unique: true });
    assert.equal(same.id, made.objectId);
  });

  scenario('LM-105 LM-13 the server asks who is online', async (world) => {
    const tom = await world.open('tom');
    const answer = await world.rest('POST', '/1.2/rtm/clients/check-online', { client_ids: [tom.id, world.id('nobody')] });
    assert.deepEqual(answer.results, [tom.id]);
  });
});
