// For libraries that write styles into the page (xterm.js): the portal's pages allow no inline styles, but style sheets
// that are constructed, and styles set through the object model.

const makeElement = Document.prototype.createElement;

/** What is made in place of a <style> element: whatever text it is given becomes a style sheet of the page. */
function styleElement() {
  const sheet = new CSSStyleSheet();
  const stand = makeElement.call(document, "template");
  Object.defineProperty(stand, "textContent", { set: (css) => sheet.replaceSync(css) });
  stand.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(stand);
  };
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return stand;
}

function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

/** From now on, elements that this page's scripts make take styles in a way that its policy allows. */
export function adoptStyles() {
  document.createElement = (name, ...options) => {
    if (name === "style") return styleElement();
    const element = makeElement.call(document, name, ...options);
    element.setAttribute = setAttribute;
    return element;
  };
}
