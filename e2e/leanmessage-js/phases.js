// The directories of scenarios in their order, and the settings of the app that
// each has.

const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';

// Scenarios wait by asking again, which is more than a user of an app does.
const unhurried = { 'rate.send': 0, 'rate.history': 0, 'rate.other': 0 };
const features = { roles: 'on', blacklist: 'on', edit: 'on', recall: 'on' };
const signed = { 'sign.login': 'on', 'sign.conversation': 'on', 'sign.history': 'on', 'sign.blacklist': 'on' };

export const phases = [
  { directory: 'limits', settings: {} },
  { directory: 'default', settings: unhurried },
  { directory: 'broadcasts', settings: unhurried },
  { directory: 'switched', settings: { ...unhurried, ...features } },
  { directory: 'signed', settings: { ...unhurried, blacklist: 'on', ...signed } },
  { directory: 'idle', settings: { ...unhurried, idle: '3s' } },
  { directory: 'browser', settings: unhurried, together: 1, kill: false, wants: chromium },
  { directory: 'origins', settings: { ...unhurried, origins: 'https://chat.example.org' }, together: 1, kill: false, wants: chromium },
  { directory: 'outages', settings: unhurried, together: 1, kill: false },
];
