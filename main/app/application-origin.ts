/** The renderer is served from a scheme of our own, so that `'self'` means Netloom's files and nothing else. */
export const applicationScheme = 'app';
export const applicationHost = 'netloom';
export const applicationOrigin = `${applicationScheme}://${applicationHost}`;
export const applicationPage = `${applicationOrigin}/index.html`;
