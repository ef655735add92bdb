/**
 * xterm.js and Cytoscape write rules into `<style>` elements, which a content security policy without
 * 'unsafe-inline' rightly refuses. Here the text given to such an element becomes an adopted style sheet instead:
 * the same rules, set by script through CSSOM, which the policy allows. Only `textContent` is covered; both
 * libraries use nothing else.
 */
export function adoptInlineStyles(): void {
  const sheets = new WeakMap<HTMLStyleElement, CSSStyleSheet>();
  const prototype = HTMLStyleElement.prototype;

  Object.defineProperty(prototype, 'textContent', {
    configurable: true,
    get(this: HTMLStyleElement) {
      return '';
    },
    set(this: HTMLStyleElement, text: string) {
      let sheet = sheets.get(this);
      if (sheet === undefined) {
        sheet = new CSSStyleSheet();
        sheets.set(this, sheet);
        document.adoptedStyleSheets.push(sheet);
      }
      sheet.replaceSync(text);
    },
  });
  Object.defineProperty(prototype, 'remove', {
    configurable: true,
    value(this: HTMLStyleElement) {
      const sheet = sheets.get(this);
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
      sheets.delete(this);
      Element.prototype.remove.call(this);
    },
  });
}
