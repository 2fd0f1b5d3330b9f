// Making and changing elements, without HTML from strings: nothing that a
// product is called can become markup.

/** element("p", {class: "word", role: "status"}, "text", child, ...) */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null) {
      made.setAttribute(key, value);
    }
  }
  made.append(...children);
  return made;
}

/** Only what is new is written, or screen readers would repeat it. */
export function write(target, text) {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

export function mark(target, attribute, value) {
  if (value === null) {
    target.removeAttribute(attribute);
  } else if (target.getAttribute(attribute) !== value) {
    target.setAttribute(attribute, value);
  }
}
