// LM-46: blacklists.
import { area, assert, Event, of, refused, scenario, text } from '../../lib/scenario.js';

area('blacklists', () => {
  scenario('LM-46 LM-42 a blocked member is removed and stays out, and others are added without', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, , marys] } = await world.chat(['tom', 'jerry', 'mary']);
    const answer = await made.blockMembers([mary.id]);
    assert.deepEqual(answer.successfulClientIds, [mary.id]);
    await mary.next(Event.BLOCKED, of(made, { blockedBy: tom.id }));
    await mary.next(Event.KICKED, of(made, { kickedBy: tom.id }));
    await jerry.next(Event.MEMBERS_BLOCKED, of(made, { blockedBy: tom.id, members: [mary.id] }));
    await jerry.next(Event.MEMBERS_LEFT, of(made, { members: [mary.id] }));
    await refused(4548, marys.join());
    await refused(4315, marys.send(text(mary, 'but')));
    const added = await made.add([mary.id, world.id('spike')]);
    assert.deepEqual(added.successfulClientIds, [world.id('spike')]);
    assert.equal(added.failures[0].code, 4548);
    assert.deepEqual(added.failures[0].clientIds, [mary.id]);
    await made.unblockMembers([mary.id]);
    await mary.next(Event.UNBLOCKED, of(made, { unblockedBy: tom.id }));
    await jerry.next(Event.MEMBERS_UNBLOCKED, of(made, { members: [mary.id] }));
    await marys.join();
    await jerry.next(Event.MEMBERS_JOINED, of(made, { members: [mary.id] }));
  });

  scenario('LM-46 LM-42 the list of who is blocked, page by page', async (world) => {
    const { rooms: [made] } = await world.chat(['tom', 'jerry']);
    const many = Array.from({ length: 5 }, (_, i) => world.id(`m${i}`));
    await made.blockMembers(many);
    const seen = [];
    let next;
    do {
      const page = await made.queryBlockedMembers({ limit: 2, next });
      assert.ok(page.results.length <= 2);
      seen.push(...page.results);
      next = page.next;
    } while (next);
    assert.deepEqual(seen.sort(), many.sort());
  });

  scenario('LM-46 a member without a role blocks nobody', async (world) => {
    const { devices: [, , mary], rooms: [, jerrys] } = await world.chat(['tom', 'jerry', 'mary']);
    await refused(4320, jerrys.blockMembers([mary.id]));
  });
}, { lasting: true });
