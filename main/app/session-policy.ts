import { app, type Session } from 'electron';
import { applicationOrigin } from './application-origin.ts';

/** What a window's session allows: its own files, the clipboard for copying commands, and nothing else. */
const allowedPermissions: ReadonlySet<string> = new Set(['clipboard-sanitized-write']);

/**
 * Nothing in Netloom's window has business with a network. Requests are refused below; this takes away what is no
 * request (a name looked up ahead of one, a socket of the browser itself). Must run before the application is ready.
 */
export function shutOffNetwork(): void {
  app.commandLine.appendSwitch('host-resolver-rules', 'MAP * ~NOTFOUND');
}

export function restrictSession(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, decide, details) => {
    decide(allowedPermissions.has(permission) && isOwn(details.requestingUrl ?? contents.getURL()));
  });
  session.setPermissionCheckHandler(
    (_contents, permission, origin) => allowedPermissions.has(permission) && isOwn(origin),
  );
  session.setDevicePermissionHandler(() => false);
  // The renderer has no network of its own: whatever is not our scheme is cancelled, however it was asked for.
  session.webRequest.onBeforeRequest((details, decide) => {
    decide({ cancel: !isOwn(details.url) && !details.url.startsWith('devtools:') });
  });
  session.on('will-download', (event) => {
    event.preventDefault();
  });
}

function isOwn(url: string): boolean {
  return url === applicationOrigin || url.startsWith(`${applicationOrigin}/`);
}
