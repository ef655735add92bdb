export const chromiumPath = '/usr/bin/chromium';

/** Keeps Chromium from looking for its makers' hosts; as root it has no sandbox of its own (in tests only). */
export const chromiumFlags: readonly string[] = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];
