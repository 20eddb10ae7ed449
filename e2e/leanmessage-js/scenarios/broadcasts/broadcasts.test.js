// LM-56: what is sent to all users. It has an app of its own: every user of it is told.
import { area, assert, Event, says, scenario } from '../../lib/scenario.js';

const words = (w) => JSON.stringify({ _lctype: -1, _lctext: w });

area('broadcasts', () => {
  scenario('LM-56 LM-105 who is there is told, and who comes later', async (world) => {
    const { objectId: id } = await world.rest('POST', '/1.2/rtm/service-conversations', { name: 'news' });
    const w = world.id('to everybody');
    const tom = await world.open('tom');
    await world.rest('POST', '/1.2/rtm/broadcasts', { from_client: 'editor', conv_id: id, message: words(w) });
    const [message, where] = await tom.next(Event.MESSAGE, says(w));
    assert.equal(message.from, 'editor');
    assert.equal(where.id, id);
    assert.equal(where.system, true);
    const late = await world.open('late'); // a user who has never been here
    const [list] = await late.next(Event.UNREAD_MESSAGES_COUNT_UPDATE, (l) => l.some((c) => c.id === id));
    const there = list.find((c) => c.id === id);
    assert.equal(there.lastMessage.text, w);
    assert.deepEqual((await there.queryMessages()).map((m) => m.text), [w]);
  });

  scenario('LM-56 a transient broadcast reaches who is there, and is not kept', async (world) => {
    const { objectId: id } = await world.rest('POST', '/1.2/rtm/service-conversations', { name: 'news' });
    const w = world.id('just now');
    const tom = await world.open('tom');
    await world.rest('POST', '/1.2/rtm/broadcasts', { from_client: 'editor', conv_id: id, message: words(w), transient: true });
    const [, where] = await tom.next(Event.MESSAGE, says(w));
    assert.deepEqual(await where.queryMessages(), []);
  }, { fleeting: true });
}, { together: 1 });
