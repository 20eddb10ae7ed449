// LM-31: an app whose conversations end when nothing happens in them.
import { area, refused, scenario, text, until } from '../../lib/scenario.js';

area('idle conversations', () => {
  scenario('LM-31 a conversation in which nothing happens is ended, another one is not', async (world) => {
    const [tom, jerry] = await world.opened('tom', 'jerry');
    const make = () => tom.im.createConversation({ members: [jerry.id], unique: false });
    const quiet = await make();
    const busy = await make();
    await quiet.send(text(tom, 'the last words'));
    const talk = setInterval(() => busy.send(text(tom, 'and on and on')).catch(() => {}), 500);
    try {
      const where = encodeURIComponent(JSON.stringify({ objectId: quiet.id }));
      await until('it has ended', async () => {
        await quiet.queryMessages().catch(() => {}); // to read does not keep it
        const { results } = await world.rest('GET', `/1.2/rtm/conversations?where=${where}`);
        return results.length === 0;
      }, 60_000);
    } finally {
      clearInterval(talk);
    }
    await refused(4401, quiet.send(text(tom, 'too late')));
    await busy.send(text(tom, 'still here'));
  }, { timeout: 90_000, fleeting: true });
});
