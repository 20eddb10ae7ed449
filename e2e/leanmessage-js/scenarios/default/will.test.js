// LM-70: wills.
import { area, assert, Event, patience, says, scenario, text } from '../../lib/scenario.js';

/** Tom, behind a link that can be cut, and Jerry, who would hear of it. */
async function pair(world) {
  const link = await world.link(0);
  const tom = await world.open('tom', { at: { link, node: 0 } });
  const jerry = await world.open('jerry', { at: { node: 1 } });
  const made = await tom.im.createConversation({ members: [jerry.id], unique: false });
  const jerrys = await jerry.im.getConversation(made.id);
  return { link, tom, jerry, made, jerrys };
}

area('wills', () => {
  scenario('LM-70 a lost connection sends the will', async (world) => {
    const { link, tom, jerry, made, jerrys } = await pair(world);
    const will = await made.send(text(tom, 'I am gone'), { will: true });
    await made.send(text(tom, 'still here'));
    await jerry.next(Event.MESSAGE, says('still here'));
    assert.deepEqual(jerry.all(Event.MESSAGE, says('I am gone')), []);
    link.down();
    const [message] = await jerry.next(Event.MESSAGE, says('I am gone'), Math.max(patience, 30_000));
    assert.equal(message.id, will.id);
    assert.equal(message.from, tom.id);
    assert.deepEqual((await jerrys.queryMessages()).map((m) => m.text), ['still here']);
  }, { fleeting: true });

  scenario('LM-70 LM-10 a logout does not', async (world) => {
    const { tom, jerry, made, jerrys } = await pair(world);
    await made.send(text(tom, 'I am gone'), { will: true });
    await tom.im.close();
    const spike = await world.open('spike');
    await jerrys.add([spike.id]);
    const there = await spike.im.getConversation(made.id);
    await there.send(text(spike, 'a mark'));
    await jerry.next(Event.MESSAGE, says('a mark'));
    assert.deepEqual(jerry.all(Event.MESSAGE, says('I am gone')), []);
    assert.deepEqual((await jerrys.queryMessages()).map((m) => m.text), ['a mark']);
  });

  scenario('LM-70 the last will counts, also for another conversation', async (world) => {
    const { link, tom, jerry, made } = await pair(world);
    const other = await tom.im.createConversation({ members: [jerry.id], unique: false });
    await made.send(text(tom, 'first will'), { will: true });
    await other.send(text(tom, 'last will'), { will: true });
    link.down();
    const [, where] = await jerry.next(Event.MESSAGE, says('last will'), Math.max(patience, 30_000));
    assert.equal(where.id, other.id);
    assert.deepEqual(jerry.all(Event.MESSAGE, says('first will')), []);
  }, { fleeting: true });
});
