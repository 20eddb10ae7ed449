// LM-44: roles.
import { area, assert, ConversationMemberRole, Event, of, refused, says, scenario, text } from '../../lib/scenario.js';

const { MANAGER, MEMBER, OWNER } = ConversationMemberRole;

area('roles', () => {
  scenario('LM-44 the owner makes managers, and all are told', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys, marys] } = await world.chat(['tom', 'jerry', 'mary']);
    await made.updateMemberRole(jerry.id, MANAGER);
    for (const device of [tom, jerry, mary]) {
      const [payload] = await device.next(Event.MEMBER_INFO_UPDATED, of(made, { member: jerry.id, updatedBy: tom.id }));
      assert.equal(payload.memberInfo.role, MANAGER);
    }
    const infos = await marys.getAllMemberInfo({ noCache: true });
    const roles = Object.fromEntries(infos.map((info) => [info.memberId, info.role]));
    assert.deepEqual(roles, { [tom.id]: OWNER, [jerry.id]: MANAGER, [mary.id]: MEMBER });
    assert.equal((await marys.getMemberInfo(tom.id)).isOwner, true);
    await made.updateMemberRole(jerry.id, MEMBER);
    await mary.next(Event.MEMBER_INFO_UPDATED, (p) => p.member === jerry.id && p.memberInfo.role === MEMBER);
    assert.ok(jerrys.id);
  });

  scenario('LM-44 who may add and remove', async (world) => {
    const { devices: [tom, jerry, mary, spike], rooms: [made, jerrys, marys] } = await world.chat(['tom', 'jerry', 'mary', 'spike']);
    await made.updateMemberRole(jerry.id, MANAGER);
    await refused(4320, throwing(marys.remove([spike.id])));
    await refused(4320, throwing(marys.add([world.id('butch')])));
    await refused(4324, throwing(jerrys.remove([tom.id]))); // an owner is never removed
    assert.deepEqual((await jerrys.add([world.id('butch')])).successfulClientIds, [world.id('butch')]);
    assert.deepEqual((await jerrys.remove([spike.id])).successfulClientIds, [spike.id]);
    await spike.next(Event.KICKED, of(made, { kickedBy: jerry.id }));
    assert.deepEqual((await made.remove([jerry.id])).successfulClientIds, [jerry.id]);
    assert.ok(mary.id);
  });

  scenario('LM-44 who may change roles', async (world) => {
    const { devices: [tom, jerry, mary, spike], rooms: [made, jerrys, marys] } = await world.chat(['tom', 'jerry', 'mary', 'spike']);
    await made.updateMemberRole(jerry.id, MANAGER);
    await refused(4320, marys.updateMemberRole(spike.id, MANAGER));
    await jerrys.updateMemberRole(spike.id, MANAGER);
    await refused(4320, jerrys.updateMemberRole(spike.id, MEMBER)); // an equal
    await refused(4320, jerrys.updateMemberRole(tom.id, MEMBER));
    await made.updateMemberRole(spike.id, MEMBER);
    await refused(4321, made.updateMemberRole(mary.id, 'Emperor'));
  });

  scenario('LM-44 an owner with roles given does not leave', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made] } = await world.chat(['tom', 'jerry', 'mary']);
    await made.quit(); // no role was ever given
    await made.join();
    await made.updateMemberRole(jerry.id, MANAGER); // and tom is the owner again
    await refused(4324, made.quit());
    const answer = await made.remove([tom.id, mary.id]);
    assert.deepEqual(answer.successfulClientIds, [mary.id]);
    assert.equal(answer.failures[0].code, 4324);
    assert.deepEqual(answer.failures[0].clientIds, [tom.id]);
  });

  scenario('LM-44 anybody still joins, leaves, speaks and renames', async (world) => {
    const { devices: [tom], rooms: [made] } = await world.chat(['tom', 'jerry']);
    const mary = await world.open('mary');
    const there = await mary.im.getConversation(made.id);
    await there.join();
    await there.send(text(mary, 'hello'));
    await tom.next(Event.MESSAGE, says('hello'));
    there.set('name', 'by mary');
    await there.save();
    await there.quit();
  });
}, { lasting: true });

/** A partial success that is none becomes its failure, as an app would see it. */
function throwing(promise) {
  return promise.then(({ failures, successfulClientIds }) => {
    if (failures.length && !successfulClientIds.length) throw failures[0];
  });
}
