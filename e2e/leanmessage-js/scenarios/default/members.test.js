// Section A3, without roles, mutes and blacklists.
import { area, assert, Event, of, refused, says, scenario, text } from '../../lib/scenario.js';

area('members', () => {
  scenario('LM-40 LM-41 a new conversation: its members are invited, and joined', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
    for (const device of [tom, jerry]) {
      await device.next(Event.INVITED, of(made, { invitedBy: tom.id }));
      await device.next(Event.MEMBERS_JOINED, of(made, { invitedBy: tom.id, members: [tom.id, jerry.id] }));
    }
  });

  scenario('LM-40 LM-41 any member adds, and everybody hears', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const mary = await world.open('mary');
    const answer = await jerrys.add([mary.id]);
    assert.deepEqual(answer.successfulClientIds, [mary.id]);
    assert.deepEqual(answer.failures, []);
    await mary.next(Event.INVITED, of(made, { invitedBy: jerry.id }));
    await mary.next(Event.MEMBERS_JOINED, of(made, { invitedBy: jerry.id, members: [mary.id] }));
    await tom.next(Event.MEMBERS_JOINED, of(made, { invitedBy: jerry.id, members: [mary.id] }));
    await jerry.next(Event.MEMBERS_JOINED, of(made, { invitedBy: jerry.id, members: [mary.id] }));
    assert.ok(made.members.includes(mary.id));
  });

  scenario('LM-40 LM-41 any member removes, and everybody hears', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys, marys] } = await world.chat(['tom', 'jerry', 'mary']);
    const answer = await jerrys.remove([mary.id]);
    assert.deepEqual(answer.successfulClientIds, [mary.id]);
    await mary.next(Event.KICKED, of(made, { kickedBy: jerry.id }));
    await tom.next(Event.MEMBERS_LEFT, of(made, { kickedBy: jerry.id, members: [mary.id] }));
    await jerry.next(Event.MEMBERS_LEFT, of(made, { kickedBy: jerry.id, members: [mary.id] }));
    await refused(4401, marys.send(text(mary, 'but')));
    assert.deepEqual(mary.all(Event.MEMBERS_LEFT, of(made)), []);
  });

  scenario('LM-40 LM-41 who knows the id joins', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const william = await world.open('william');
    const seen = await william.im.getConversation(made.id);
    await seen.join();
    await william.next(Event.INVITED, of(made, { invitedBy: william.id }));
    await william.next(Event.MEMBERS_JOINED, of(made, { invitedBy: william.id, members: [william.id] }));
    await tom.next(Event.MEMBERS_JOINED, of(made, { invitedBy: william.id, members: [william.id] }));
    await seen.send(text(william, 'hello all'));
    await tom.next(Event.MESSAGE, says('hello all'));
  });

  scenario('LM-40 LM-41 anybody leaves, also who made it, and comes back', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    await made.quit();
    await tom.next(Event.KICKED, of(made, { kickedBy: tom.id }));
    await jerry.next(Event.MEMBERS_LEFT, of(made, { kickedBy: tom.id, members: [tom.id] }));
    await refused(4401, made.send(text(tom, 'from outside')));
    await jerrys.send(text(jerry, 'while away'));
    await made.join();
    await jerry.next(Event.MEMBERS_JOINED, of(made, { invitedBy: tom.id, members: [tom.id] }));
    await made.send(text(tom, 'back'));
    await jerry.next(Event.MESSAGE, says('back'));
  });

  scenario('LM-41 adding a member again tells nobody', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    await tom.next(Event.MEMBERS_JOINED, of(made));
    const mary = await world.open('mary');
    const answer = await made.add([jerry.id, mary.id]);
    assert.deepEqual([...answer.successfulClientIds].sort(), [jerry.id, mary.id].sort());
    await tom.next(Event.MEMBERS_JOINED, of(made, { members: [mary.id] }));
    await made.remove([world.id('nobody')]);
    await made.send(text(tom, 'a mark'));
    await jerry.next(Event.MESSAGE, says('a mark'));
    assert.equal(jerry.all(Event.INVITED, of(made)).length, 1);
    assert.deepEqual(jerry.all(Event.MEMBERS_LEFT), []);
  });

  scenario('LM-41 a device that was away hears of members when it is back', async (world) => {
    const { devices: [tom, jerry], rooms: [made] } = await world.chat(['tom', 'jerry']);
    jerry.realtime.pause();
    await jerry.next(Event.OFFLINE);
    const mary = world.id('mary');
    await made.add([mary]);
    await made.remove([mary]);
    jerry.realtime.resume();
    await jerry.next(Event.MEMBERS_JOINED, of(made, { invitedBy: tom.id, members: [mary] }));
    await jerry.next(Event.MEMBERS_LEFT, of(made, { kickedBy: tom.id, members: [mary] }));
  });

  scenario('LM-43 the number of members', async (world) => {
    const { rooms: [made, jerrys] } = await world.chat(['tom', 'jerry', 'mary']);
    assert.equal(await made.count(), 3);
    await made.add(world.ids('a', 'b'));
    assert.equal(await jerrys.count(), 5);
    await made.remove([world.id('a')]);
    assert.equal(await jerrys.count(), 4);
  });

  scenario('LM-47 who leaves and comes back reads everything', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    await made.send(text(tom, 'before'));
    await jerrys.quit();
    await made.send(text(tom, 'meanwhile'));
    await refused(4312, jerrys.queryMessages());
    await jerrys.join();
    const history = await jerrys.queryMessages();
    assert.deepEqual(history.map((m) => m.text), ['before', 'meanwhile']);
    const mary = await world.open('mary');
    await made.add([mary.id]);
    const marys = await mary.im.getConversation(made.id);
    assert.deepEqual((await marys.queryMessages()).map((m) => m.text), ['before', 'meanwhile']);
    assert.ok(jerry.id);
  });
}, { lasting: true });
