/**
 * xterm.js and Cytoscape write rules into `<style>` elements, which a content security policy without
 * 'unsafe-inline' rightly refuses (even an empty one is reported). Here they get an inert `<template>` instead, and
 * the text that they give it becomes an adopted style sheet: the same rules, set by script through CSSOM, which the
 * policy allows. Only `textContent` and `remove` are covered; both libraries use nothing else.
 */
export function adoptInlineStyles(): void {
  const create = document.createElement.bind(document);

  const standIn = (): HTMLElement => {
    const element = create('template');
    let sheet: CSSStyleSheet | null = null;
    Object.defineProperties(element, {
      textContent: {
        get: () => '',
        set: (text: string) => {
          if (sheet === null) {
            sheet = new CSSStyleSheet();
            document.adoptedStyleSheets.push(sheet);
          }
          // In a layer, so that our own rules win as they do over a sheet at the head of the page.
          sheet.replaceSync(`@layer adopted { ${text} }`);
        },
      },
      remove: {
        value: () => {
          document.adoptedStyleSheets = document.adoptedStyleSheets.filter(
            (each) => each !== sheet,
          );
          sheet = null;
          Element.prototype.remove.call(element);
        },
      },
    });
    return element;
  };

  document.createElement = (name: string, options?: ElementCreationOptions) =>
    name === 'style' ? standIn() : create(name, options);
}
