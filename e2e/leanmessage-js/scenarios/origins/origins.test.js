// LM-16: an app whose pages are on one site only.
import { after, before } from 'node:test';
import { Chromium } from '../../browser/chromium.js';
import { options } from '../../browser/options.js';
import { pageOf } from '../../browser/pages.js';
import { area, assert, scenario, until } from '../../lib/scenario.js';

let chromium;

area('origins', () => {
  before(async () => {
    chromium = await new Chromium().start();
  });
  after(async () => {
    await chromium?.stop();
  });

  scenario('LM-16 a page of another site is refused, and what is no page is not', async (world) => {
    const tab = await chromium.tab(pageOf(world.nodes[0], world.sdk));
    await until('the page is ready', () => tab.run('Boolean(window.chat)'));
    const text = `new Promise((resolve) => {
      const realtime = new AV.Realtime(${JSON.stringify(options(world, 0))});
      const late = new Promise((_, reject) => setTimeout(() => reject({ code: 'late' }), 8000));
      Promise.race([realtime.createIMClient(${JSON.stringify(world.id('tom'))}), late])
        .then(() => resolve('open'), (error) => resolve(error.code || String(error)));
    })`;
    const answer = await tab.run(text);
    tab.close();
    assert.equal(answer, 4110);
    const device = await world.open('tom');
    assert.equal(device.id, world.id('tom'));
  });
}, { together: 1 });
