// LM-45: members who may not speak.
import { area, assert, ConversationMemberRole, Event, of, refused, says, scenario, text } from '../../lib/scenario.js';

area('mutes', () => {
  scenario('LM-45 a muted member hears and does not speak', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, , marys] } = await world.chat(['tom', 'jerry', 'mary']);
    const answer = await made.muteMembers([mary.id]);
    assert.deepEqual(answer.successfulClientIds, [mary.id]);
    await mary.next(Event.MUTED, of(made, { mutedBy: tom.id }));
    await jerry.next(Event.MEMBERS_MUTED, of(made, { mutedBy: tom.id, members: [mary.id] }));
    await refused(4563, marys.send(text(mary, 'but')));
    await made.send(text(tom, 'listen'));
    await mary.next(Event.MESSAGE, says('listen'));
    await made.unmuteMembers([mary.id]);
    await mary.next(Event.UNMUTED, of(made, { unmutedBy: tom.id }));
    await mary.next(Event.MEMBERS_UNMUTED, of(made, { members: [mary.id] }));
    await jerry.next(Event.MEMBERS_UNMUTED, of(made, { members: [mary.id] }));
    await marys.send(text(mary, 'thanks'));
    await jerry.next(Event.MESSAGE, says('thanks'));
  });

  scenario('LM-45 LM-42 the list of who is muted, page by page', async (world) => {
    const { rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    const many = Array.from({ length: 7 }, (_, i) => world.id(`m${i}`));
    await made.add(many);
    await made.muteMembers(many);
    const seen = [];
    let next;
    do {
      const page = await jerrys.queryMutedMembers({ limit: 3, next });
      assert.ok(page.results.length <= 3);
      seen.push(...page.results);
      next = page.next;
    } while (next);
    assert.deepEqual(seen.sort(), many.sort());
  });

  scenario('LM-45 only owners and managers mute, and only those below', async (world) => {
    const { devices: [tom, jerry, mary], rooms: [made, jerrys, marys] } = await world.chat(['tom', 'jerry', 'mary']);
    await refused(4320, jerrys.muteMembers([mary.id]));
    await made.updateMemberRole(jerry.id, ConversationMemberRole.MANAGER);
    await jerrys.muteMembers([mary.id]);
    await mary.next(Event.MUTED, of(made, { mutedBy: jerry.id }));
    const answer = await jerrys.muteMembers([tom.id]).catch((error) => ({ failures: [error] }));
    assert.equal(answer.failures[0].code, 4320);
    await refused(4320, marys.unmuteMembers([mary.id]));
  });

  scenario('LM-45 LM-50 in a chat room', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const made = await tom.im.createChatRoom({ name: 'tea' });
    const there = await jerry.im.getConversation(made.id);
    await there.join();
    await made.muteMembers([jerry.id]);
    await refused(4563, there.send(text(jerry, 'but')));
    await made.unmuteMembers([jerry.id]);
    await there.send(text(jerry, 'thanks'));
    await tom.next(Event.MESSAGE, says('thanks'));
  });

  scenario('LM-45 LM-105 a mute for a time, by the server', async (world) => {
    const { devices: [tom, jerry], rooms: [made, jerrys] } = await world.chat(['tom', 'jerry']);
    await world.rest('POST', `/1.2/rtm/conversations/${made.id}/temporary-silenceds`, { client_id: jerry.id, ttl: 60 });
    await refused(4315, jerrys.send(text(jerry, 'but')));
    await world.rest('DELETE', `/1.2/rtm/conversations/${made.id}/temporary-silenceds?client_id=${jerry.id}`);
    await jerrys.send(text(jerry, 'thanks'));
    await tom.next(Event.MESSAGE, says('thanks'));
  });
}, { lasting: true });
