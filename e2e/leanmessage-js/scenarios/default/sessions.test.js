// Section A1: identity, connections, sessions.
import { area, assert, Event, of, patience, refused, says, scenario, text, until } from '../../lib/scenario.js';

area('sessions', () => {
  scenario('LM-01 any string is a client, up to 64 characters', async (world) => {
    const long = world.id('x').padEnd(64, 'y');
    const one = await world.open('digit first', { as: world.id('9lives') });
    const two = await world.open('long', { as: long });
    assert.equal(two.im.id, long);
    const made = await one.im.createConversation({ members: [long] });
    await made.send(text(one, 'hello'));
    await two.next(Event.MESSAGE, says('hello'));
  });

  scenario('LM-01 a client id of 65 characters is refused', async (world) => {
    await refused(4103, world.open('too long', { as: world.id('x').padEnd(65, 'y') }));
  });

  scenario('LM-02 frames are binary, or base64 text', async (world) => {
    const tom = await world.open('tom', { at: { noBinary: true } });
    const jerry = await world.open('jerry');
    const made = await tom.im.createConversation({ members: [jerry.id] });
    await made.send(text(tom, 'from text'));
    const [, conversation] = await jerry.next(Event.MESSAGE, says('from text'));
    await conversation.send(text(jerry, 'from binary'));
    await tom.next(Event.MESSAGE, says('from binary'));
  });

  scenario('LM-02 the socket is found through the router', async (world) => {
    const tom = await world.open('tom', { at: { throughRouter: true } });
    const made = await tom.im.createConversation({ members: [world.id('jerry')] });
    assert.match(made.id, /^[0-9a-f]{24}$/);
  });

  scenario('LM-03 a client without an id is given one', async (world) => {
    const device = world.realtime('nobody');
    device.im = await device.realtime.createIMClient();
    assert.ok(device.im.id.length > 0 && device.im.id.length <= 64);
    const made = await device.im.createConversation({ members: [world.id('jerry')] });
    assert.ok(made.members.includes(device.im.id));
  });

  scenario('LM-04 several devices of a client, and several clients of a device', async (world) => {
    const phone = await world.open('tom', { at: { node: 0 } });
    const tablet = await world.open('tom', { at: { node: 1 } });
    const spike = await phone.realtime.createIMClient(world.id('spike')); // on the phone's connection
    phone.listen(spike);
    const jerry = await world.open('jerry', { at: { node: 2 } });
    const made = await jerry.im.createConversation({ members: [phone.id, spike.id] });
    await made.send(text(jerry, 'to all'));
    await tablet.next(Event.MESSAGE, says('to all'));
    await phone.next(Event.MESSAGE, says('to all'));
    await phone.next(Event.MESSAGE, says('to all')); // and spike
    const spikes = await spike.getConversation(made.id);
    await spikes.send(text(phone, 'spike speaks'));
    const [message] = await jerry.next(Event.MESSAGE, says('spike speaks'));
    assert.equal(message.from, spike.id);
    await spike.close();
    await (await phone.im.getConversation(made.id)).send(text(phone, 'tom still speaks'));
    await jerry.next(Event.MESSAGE, says('tom still speaks'));
  });

  scenario('LM-05 a second login with a tag ends the first', async (world) => {
    const old = await world.open('tom', { tag: 'phone', at: { node: 0 } });
    const tablet = await world.open('tom', { tag: 'tablet', at: { node: 1 } });
    const untagged = await world.open('tom', { at: { node: 2 } });
    const phone = await world.open('tom', { tag: 'phone', at: { node: 2 } });
    const [conflict] = await old.next(Event.CONFLICT);
    assert.equal(typeof conflict.reason, 'string');
    const jerry = await world.open('jerry');
    const made = await jerry.im.createConversation({ members: [phone.id] });
    await made.send(text(jerry, 'who is there?'));
    for (const device of [tablet, untagged, phone]) await device.next(Event.MESSAGE, says('who is there?'));
    assert.deepEqual(tablet.all(Event.CONFLICT), []);
    assert.deepEqual(untagged.all(Event.CONFLICT), []);
    assert.deepEqual(old.all(Event.MESSAGE), []);
  });

  scenario('LM-05 the tag default restricts nothing', async (world) => {
    const one = await world.open('tom', { tag: 'default' });
    const two = await world.open('tom', { tag: 'default' });
    const jerry = await world.open('jerry');
    const made = await jerry.im.createConversation({ members: [one.id] });
    await made.send(text(jerry, 'both'));
    await one.next(Event.MESSAGE, says('both'));
    await two.next(Event.MESSAGE, says('both'));
    assert.deepEqual(one.all(Event.CONFLICT), []);
  });

  scenario('LM-06 a reconnect with a tag that another device took is refused', async (world) => {
    const link = await world.link(0);
    const old = await world.open('tom', { tag: 'phone', at: { link, node: 0 } });
    link.down();
    await old.next(Event.DISCONNECT);
    const phone = await world.open('tom', { tag: 'phone', at: { node: 1 } });
    link.up();
    const [error] = await old.next(Event.RECONNECT_ERROR, undefined, 30_000);
    assert.equal(error.code, 4111);
    const jerry = await world.open('jerry');
    const made = await jerry.im.createConversation({ members: [phone.id] });
    await made.send(text(jerry, 'still there?'));
    await phone.next(Event.MESSAGE, says('still there?'));
    assert.deepEqual(phone.all(Event.CONFLICT), []);
  });

  scenario('LM-07 a device that comes back is no conflict with itself', async (world) => {
    const link = await world.link(0);
    const phone = await world.open('tom', { tag: 'phone', at: { link, node: 0 } });
    link.cut();
    await phone.next(Event.DISCONNECT);
    await phone.next(Event.RECONNECT, undefined, 30_000);
    assert.deepEqual(phone.all(Event.CONFLICT), []);
    assert.deepEqual(phone.all(Event.RECONNECT_ERROR), []);
    const rival = await world.open('tom', { tag: 'phone', at: { node: 2 } }); // the tag is held as before
    await phone.next(Event.CONFLICT);
    await rival.im.ping([rival.id]);
  });

  scenario('LM-08 LM-11 a lost connection comes back by itself, and says so', async (world) => {
    const link = await world.link(1);
    const tom = await world.open('tom', { at: { link, node: 1 } });
    const jerry = await world.open('jerry');
    const made = await jerry.im.createConversation({ members: [tom.id] });
    await tom.next(Event.INVITED, of(made));
    link.down();
    await tom.next(Event.DISCONNECT);
    const [attempt, delay] = await tom.next(Event.SCHEDULE);
    assert.deepEqual([attempt, delay], [0, 1000]);
    const group = await jerry.im.createConversation({ members: [tom.id], unique: false, name: 'while away' });
    await made.send(text(jerry, 'while away'));
    link.up();
    await tom.next(Event.RETRY);
    await tom.next(Event.RECONNECT, undefined, 30_000);
    await tom.next(Event.INVITED, of(group)); // fetched by the SDK
    await made.send(text(jerry, 'back again'));
    const [, conversation] = await tom.next(Event.MESSAGE, says('back again'));
    const history = await conversation.queryMessages();
    assert.deepEqual(history.map((m) => m.text), ['while away', 'back again']);
  });

  scenario('LM-10 who logs out is offline, and hears nothing more', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await tom.im.ping([jerry.id]).then((online) => assert.deepEqual(online, [jerry.id]));
    await jerry.im.close();
    const [closed] = await jerry.next(Event.CLOSE);
    assert.equal(closed.code, 0);
    await until('jerry is offline', async () => (await tom.im.ping([jerry.id])).length === 0);
    await made.send(text(tom, 'anyone?'));
    const again = await world.open('jerry');
    await made.send(text(tom, 'again'));
    await again.next(Event.MESSAGE, says('again'));
    assert.deepEqual(jerry.all(Event.MESSAGE), []);
  });

  scenario('LM-11 LM-12 an app in the background gives its connection up', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    jerry.listen(jerry.realtime);
    jerry.realtime.pause();
    await jerry.next(Event.OFFLINE);
    await until('jerry is offline', async () => (await tom.im.ping([jerry.id])).length === 0);
    await made.send(text(tom, 'in the background'));
    jerry.realtime.resume();
    await jerry.next(Event.ONLINE);
    await jerry.next(Event.RECONNECT);
    const [[conversation]] = await jerry.next(Event.UNREAD_MESSAGES_COUNT_UPDATE, ([c]) => c.id === made.id);
    assert.equal(conversation.unreadMessagesCount, 1);
    assert.equal(conversation.lastMessage.text, 'in the background');
    assert.deepEqual(await tom.im.ping([jerry.id]), [jerry.id]);
  });

  scenario('LM-13 who is online, on any node', async (world) => {
    const [tom, jerry, mary] = await world.opened('tom', 'jerry', 'mary');
    const asked = [jerry.id, world.id('nobody'), mary.id];
    const online = await until('both are seen', async () => {
      const answer = await tom.im.ping(asked);
      return answer.length === 2 && answer;
    });
    assert.deepEqual([...online].sort(), [jerry.id, mary.id].sort());
    await mary.im.close();
    await until('mary is gone', async () => (await tom.im.ping(asked)).length === 1);
  });

  scenario('LM-14 LM-105 the REST API ends all sessions of a client', async (world) => {
    const phone = await world.open('tom', { at: { node: 0 } });
    const tablet = await world.open('tom', { at: { node: 1 }, tag: 'tablet' });
    await world.rest('POST', `/1.2/rtm/clients/${phone.id}/kick`, { reason: 'that is enough' }, { node: 2 });
    for (const device of [phone, tablet]) {
      const [closed] = await device.next(Event.CLOSE);
      assert.deepEqual(closed, { code: 4115, reason: 'that is enough' });
    }
  });

  scenario('LM-15 a banned client is sent away and refused, until it is let in again', async (world) => {
    const tom = await world.open('tom', { at: { node: 0 } });
    await world.manage('PUT', `/v1/users/${tom.id}/ban`);
    const [closed] = await tom.next(Event.CLOSE);
    assert.equal(closed.code, 4115);
    for (const node of [1, 2]) {
      await refused(4106, world.realtime('tom again', { node }).realtime.createIMClient(tom.id));
    }
    await world.manage('DELETE', `/v1/users/${tom.id}/ban`);
    await world.open('tom', { at: { node: 1 } });
  }, { fleeting: true });

  scenario('LM-17 an unknown app is refused', async (world) => {
    const device = world.realtime('stranger', { appId: `unknown-${world.id('app')}` });
    await refused(4100, device.realtime.createIMClient(world.id('tom')));
  });

  scenario('LM-08 a session token outlives its node: any node takes it', async (world) => {
    const link = await world.link(0);
    const tom = await world.open('tom', { at: { link, node: 0 }, tag: 'phone' });
    link.targets = [{ host: '127.0.0.1', port: Number(new URL(world.nodes[2].http).port) }];
    link.cut();
    await tom.next(Event.RECONNECT, undefined, Math.max(patience, 30_000));
    const jerry = await world.open('jerry', { at: { node: 1 } });
    const made = await jerry.im.createConversation({ members: [tom.id] });
    await made.send(text(jerry, 'found you'));
    await tom.next(Event.MESSAGE, says('found you'));
  });
});
