import { protocol } from 'electron';
import { contentSecurityPolicy, securityHeaders } from '../gateway/security-headers.ts';
import { readStaticFile } from '../gateway/static-files.ts';
import { applicationHost, applicationScheme } from './application-origin.ts';

/** Must run before the application is ready. */
export function registerApplicationScheme(): void {
  protocol.registerSchemesAsPrivileged([
    {
      scheme: applicationScheme,
      privileges: {
        standard: true,
        secure: true,
        supportFetchAPI: false,
        corsEnabled: false,
        stream: false,
      },
    },
  ]);
}

/** The bridge goes over IPC: the page itself may connect to nothing. */
const connectSources = ["'none'"];

export const applicationPolicy = contentSecurityPolicy(connectSources);

/** Answers `app://netloom/…` from the built renderer, with the same policy as the gateway. */
export function serveApplication(rendererDirectory: string): void {
  protocol.handle(applicationScheme, (request) => answer(request, rendererDirectory));
}

export async function answer(
  request: Pick<Request, 'url' | 'method'>,
  rendererDirectory: string,
): Promise<Response> {
  const headers = securityHeaders(connectSources);
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.host !== applicationHost) {
    return new Response(null, { status: 405, headers });
  }
  const file = await readStaticFile(rendererDirectory, url.pathname);
  if (file === null) return new Response(null, { status: 404, headers });
  return new Response(new Uint8Array(file.body), {
    headers: { ...headers, 'Content-Type': file.type },
  });
}
