// LM-28 and LM-29: queries of conversations.
import { area, assert, Event, scenario, text, until } from '../../lib/scenario.js';

/** Some conversations of Tom's, told apart by a column that is nobody else's. */
async function shelf(world) {
  const [tom, jerry] = await world.opened('tom', 'jerry');
  const mark = world.id('mark');
  const make = (name, more, members = [jerry.id]) =>
    tom.im.createConversation({ members, unique: false, name, mark, ...more });
  const made = [];
  for (const [i, name] of ['alpha', 'beta', 'gamma', 'delta'].entries()) {
    made.push(await make(name, { attr: { size: i, odd: i % 2 === 1, tags: i > 1 ? ['late', name] : ['early'] } }));
  }
  made.push(await make('crowd', { attr: { size: 10 } }, [jerry.id, world.id('mary'), world.id('spike')]));
  // What somebody is in is written down with that user, a moment after the creation.
  await until('all is found', async () => {
    const jerrys = await jerry.im.getQuery().limit(10).find();
    const marys = await tom.im.getQuery().containsMembers([world.id('mary')]).find();
    return jerrys.length === made.length && marys.length === 1;
  });
  const all = () => tom.im.getQuery().equalTo('mark', mark).limit(100);
  const names = async (query) => (await query.find()).map((c) => c.name).sort();
  return { tom, jerry, mark, made, all, names };
}

area('queries', () => {
  scenario('LM-28 without a condition: the conversations that have me', async (world) => {
    const { jerry, made } = await shelf(world);
    const found = await jerry.im.getQuery().find();
    assert.deepEqual(found.map((c) => c.id).sort(), made.map((c) => c.id).sort());
    const mary = await world.open('newcomer');
    assert.deepEqual(await mary.im.getQuery().find(), []);
  }, { fleeting: true });

  scenario('LM-28 LM-25 comparisons, also of attributes', async (world) => {
    const { all, names } = await shelf(world);
    assert.deepEqual(await names(all().equalTo('name', 'beta')), ['beta']);
    assert.deepEqual(await names(all().equalTo('attr.size', 2)), ['gamma']);
    assert.deepEqual(await names(all().equalTo('attr.odd', true)), ['beta', 'delta']);
    assert.deepEqual(await names(all().notEqualTo('name', 'beta')), ['alpha', 'crowd', 'delta', 'gamma']);
    assert.deepEqual(await names(all().greaterThan('attr.size', 2)), ['crowd', 'delta']);
    assert.deepEqual(await names(all().greaterThanOrEqualTo('attr.size', 2).lessThan('attr.size', 10)), ['delta', 'gamma']);
    assert.deepEqual(await names(all().lessThanOrEqualTo('attr.size', 0)), ['alpha']);
    assert.deepEqual(await names(all().containedIn('name', ['alpha', 'crowd', 'nothing'])), ['alpha', 'crowd']);
    assert.deepEqual(await names(all().notContainsIn('name', ['alpha', 'crowd'])), ['beta', 'delta', 'gamma']);
    assert.deepEqual(await names(all().exists('attr.odd')), ['alpha', 'beta', 'delta', 'gamma']);
    assert.deepEqual(await names(all().doesNotExist('attr.odd')), ['crowd']);
    assert.deepEqual(await names(all().equalTo('attr.tags', 'late')), ['delta', 'gamma']);
    assert.deepEqual(await names(all().containsAll('attr.tags', ['late', 'gamma'])), ['gamma']);
    assert.deepEqual(await names(all().greaterThan('createdAt', new Date(Date.now() + 3_600_000))), []);
  }, { fleeting: true });

  scenario('LM-28 patterns', async (world) => {
    const { all, names } = await shelf(world);
    assert.deepEqual(await names(all().startsWith('name', 'al')), ['alpha']);
    assert.deepEqual(await names(all().endsWith('name', 'ta')), ['beta', 'delta']);
    assert.deepEqual(await names(all().contains('name', 'am')), ['gamma']);
    assert.deepEqual(await names(all().matches('name', /^D.*A$/i)), ['delta']);
  }, { fleeting: true });

  scenario('LM-28 by members', async (world) => {
    const { tom, jerry, all, names } = await shelf(world);
    assert.deepEqual(await names(all().containsMembers([world.id('mary')])), ['crowd']);
    assert.deepEqual(await names(all().withMembers([jerry.id], true)), ['alpha', 'beta', 'delta', 'gamma']);
    assert.deepEqual(await names(all().sizeEqualTo('m', 4)), ['crowd']);
    assert.deepEqual(await names(all().equalTo('m', tom.id)), ['alpha', 'beta', 'crowd', 'delta', 'gamma']);
  }, { fleeting: true });

  scenario('LM-28 either of two queries', async (world) => {
    const { tom, mark, names } = await shelf(world);
    const { ConversationQuery } = tom.IM;
    if (!ConversationQuery?.or) return; // version 4 has no such call
    const by = (name) => tom.im.getQuery().equalTo('mark', mark).equalTo('name', name);
    assert.deepEqual(await names(ConversationQuery.or(by('alpha'), by('gamma'))), ['alpha', 'gamma']);
  }, { fleeting: true });

  scenario('LM-28 order, limit and skip', async (world) => {
    const { tom, all, made } = await shelf(world);
    const ordered = async (query) => (await query.find()).map((c) => c.name);
    assert.deepEqual(await ordered(all().ascending('name')), ['alpha', 'beta', 'crowd', 'delta', 'gamma']);
    assert.deepEqual(await ordered(all().descending('attr.size')), ['crowd', 'delta', 'gamma', 'beta', 'alpha']);
    assert.deepEqual(await ordered(all().ascending('attr.odd').addDescending('attr.size').limit(3).skip(1)).then((n) => n.length), 3);
    assert.deepEqual(await ordered(all().ascending('name').skip(1).limit(2)), ['beta', 'crowd']);
    for (const i of [2, 0]) await made[i].send(text(tom, 'newest'));
    await until('the newest is first', async () => (await ordered(all().descending('lm')))[0] === 'alpha');
    assert.deepEqual((await ordered(all().descending('lm'))).slice(0, 2), ['alpha', 'gamma']);
  }, { fleeting: true });

  scenario('LM-28 a query has ten answers unless it wants more', async (world) => {
    const tom = await world.open('tom');
    const mark = world.id('mark');
    for (let i = 0; i < 12; i++) await tom.im.createConversation({ members: [world.id(`m${i}`)], unique: false, mark });
    const query = () => tom.im.getQuery().equalTo('mark', mark);
    assert.equal((await query().find()).length, 10);
    assert.equal((await query().limit(11).find()).length, 11);
    assert.equal((await query().limit(100).find()).length, 12);
  }, { fleeting: true });

  scenario('LM-29 compact, and with the last message', async (world) => {
    const { tom, jerry, made, mark } = await shelf(world);
    await made[0].send(text(tom, 'the last words').setMentionList([jerry.id]));
    const fresh = await world.open('tom');
    const query = () => fresh.im.getQuery().equalTo('mark', mark).equalTo('name', 'alpha');
    const [compact] = await query().compact(true).find();
    assert.deepEqual(compact.members, []);
    assert.equal(compact.lastMessage, undefined);
    const [full] = await query().withLastMessagesRefreshed(true).find();
    assert.deepEqual([...full.members].sort(), [tom.id, jerry.id].sort());
    assert.equal(full.lastMessage.text, 'the last words');
    assert.equal(full.lastMessage.from, tom.id);
    assert.equal(full.lastMessage.id, made[0].lastMessage.id);
    assert.equal(Number(full.lastMessage.timestamp), Number(made[0].lastMessage.timestamp));
    assert.ok(full.lastMessageAt instanceof Date);
  }, { fleeting: true });

  scenario('LM-28 an event of an unknown conversation finds it', async (world) => {
    const { tom, jerry, made } = await shelf(world);
    await Promise.all(made.slice(0, 4).map((c) => c.send(text(tom, `to ${c.name}`))));
    for (const c of made.slice(0, 4)) {
      const [, where] = await jerry.next(Event.MESSAGE, (m) => m.text === `to ${c.name}`);
      assert.equal(where.name, c.name);
    }
  }, { fleeting: true });
});
