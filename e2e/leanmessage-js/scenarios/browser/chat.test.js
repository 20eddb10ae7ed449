// The SDK in a browser: two tabs of Chromium and a Node client.
import { after, before } from 'node:test';
import { Chat } from '../../browser/chat.js';
import { Chromium } from '../../browser/chromium.js';
import { options } from '../../browser/options.js';
import { pageOf } from '../../browser/pages.js';
import { area, assert, scenario, tell, until } from '../../lib/scenario.js';

let chromium;

async function tab(world, user, node, how) {
  const opened = await chromium.tab(pageOf(world.nodes[node], world.sdk));
  await until('the page is ready', () => opened.run('Boolean(window.chat)'));
  await opened.call('chat.open.bind(chat)', options(world, node, how), world.id(user));
  return opened;
}

const lines = (opened) => opened.run('chat.lines');

area('a browser', () => {
  before(async () => {
    chromium = await new Chromium().start();
  });
  after(async () => {
    await chromium?.stop();
  });

  scenario('LM-02 LM-63 a tab and a Node client talk', async (world) => {
    const tom = await tab(world, 'tom', 0);
    const jerry = await world.open('jerry');
    const id = await tom.call('chat.start.bind(chat)', [jerry.id]);
    await tom.call('chat.say.bind(chat)', 'from a browser');
    const [message] = await jerry.next('message', (m) => m.text === 'from a browser');
    assert.equal(message.from, world.id('tom'));
    const there = await jerry.im.getConversation(id);
    await there.send(new jerry.IM.TextMessage('from Node'));
    await until('the tab shows it', async () => (await lines(tom)).some((l) => l.words === 'from Node'));
    await tom.run('chat.client.close()');
    tom.close();
  });

  scenario('LM-08 LM-63 LM-66 LM-77 two tabs and a Node client go on when a node dies', async (world) => {
    const tom = await tab(world, 'tom', 1, { steady: true });
    const jerry = await tab(world, 'jerry', 0, { steady: true });
    const IM = world.sdk.load();
    const spike = new Chat(IM);
    await spike.open(options(world, 2, { steady: true }), world.id('spike'));
    const id = await tom.call('chat.start.bind(chat)', world.ids('jerry', 'spike'));
    await jerry.call('chat.enter.bind(chat)', id);
    await spike.enter(id);

    const many = 40;
    const talk = async (say, who) => {
      for (let i = 0; i < many; i++) {
        await say(`${who} ${i}`);
        await new Promise((resolve) => setTimeout(resolve, 100)); // a chat, not a flood
      }
    };
    const talking = Promise.all([
      talk((w) => tom.call('chat.say.bind(chat)', w), 'tom'),
      talk((w) => jerry.call('chat.say.bind(chat)', w), 'jerry'),
      talk((w) => spike.say(w), 'spike'),
    ]);
    await until('the talk has begun', () => spike.lines.length > 10);
    await tell('kill', world.nodes[1]); // tom's
    await talking;
    await tell('restart', world.nodes[1]);

    const want = 3 * many;
    const complete = async (get, catchUp) => {
      await until('all is there', async () => {
        await catchUp();
        return (await get()).length >= want;
      }, 60_000);
      return get();
    };
    const views = [
      await complete(() => lines(tom), () => tom.run('chat.catchUp()')),
      await complete(() => lines(jerry), () => jerry.run('chat.catchUp()')),
      await complete(() => spike.lines, () => spike.catchUp()),
    ];
    const said = ['tom', 'jerry', 'spike'].flatMap((who) => Array.from({ length: many }, (_, i) => `${who} ${i}`)).sort();
    for (const view of views) assert.deepEqual(view.map((l) => l.words).sort(), said); // nothing lost, nothing doubled
    assert.deepEqual(await tom.run('chat.doubled'), []);
    assert.deepEqual(await jerry.run('chat.doubled'), []);
    assert.deepEqual(spike.doubled, []);
    const ids = (view) => view.map((l) => l.id).sort();
    assert.deepEqual(ids(views[0]), ids(views[1]));
    assert.deepEqual(ids(views[0]), ids(views[2]));
    await spike.client.close();
    for (const opened of [tom, jerry]) {
      await opened.run('chat.client.close()');
      opened.close();
    }
  }, { timeout: 150_000 });
}, { together: 1 });
