// LM-70: wills.
import { area, assert, Event, patience, says, scenario, text, until } from '../../lib/scenario.js';

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
  }, { fleeting: true });

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

  scenario('LM-70 LM-14 LM-05 neither a forced logout nor a conflict does', async (world) => {
    const jerry = await world.open('jerry');
    for (const [name, end] of [
      ['kicked', (tom) => world.rest('POST', `/1.2/rtm/clients/${tom.id}/kick`, { reason: 'enough' })],
      ['replaced', () => world.open('replaced', { tag: 'phone' }).then((rival) => rival.im.close())],
    ]) {
      const tom = await world.open(name, { tag: 'phone' });
      const made = await tom.im.createConversation({ members: [jerry.id, world.id('spike')], unique: false });
      await made.send(text(tom, `the will of ${name}`), { will: true });
      await end(tom);
      await Promise.race([tom.next(Event.CLOSE), tom.next(Event.CONFLICT)]);
      const spike = await world.open('spike');
      await (await spike.im.getConversation(made.id)).send(text(spike, `a mark of ${name}`));
      await jerry.next(Event.MESSAGE, says(`a mark of ${name}`));
    }
    assert.deepEqual(jerry.all(Event.MESSAGE, (m) => m.text.startsWith('the will')), []);
  }, { fleeting: true }); // a node that dies in between sends it, and rightly

  scenario('LM-70 LM-04 none is sent while another device of the user is there', async (world) => {
    const { link, tom, jerry, made } = await pair(world);
    const tablet = await world.open('tom', { at: { node: 2 } });
    await made.send(text(tom, 'I am gone'), { will: true });
    link.down();
    await tom.next(Event.DISCONNECT);
    await until('the phone is gone', async () => {
      const there = await tablet.im.getConversation(made.id);
      await there.send(text(tablet, 'a mark'));
      return jerry.all(Event.MESSAGE, says('a mark')).length > 3;
    });
    assert.deepEqual(jerry.all(Event.MESSAGE, says('I am gone')), []);
  }, { fleeting: true });
});
