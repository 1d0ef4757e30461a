// Builders shared by every component. Data enters the page through text nodes and properties only, never as HTML.
const ICONS = {
  heart: "M12 20.5 4.6 13a4.9 4.9 0 0 1 0-6.9 4.7 4.7 0 0 1 6.7 0l.7.7.7-.7a4.7 4.7 0 0 1 6.7 0 4.9 4.9 0 0 1 0 6.9Z",
  copy: "M9 9h10v11H9ZM15 9V4H5v11h4",
  check: "m5 12.5 4.6 4.6L19 7.6",
  close: "M6.5 6.5l11 11m0-11-11 11",
  left: "M14.5 5.5 8 12l6.5 6.5",
  right: "M9.5 5.5 16 12l-6.5 6.5",
  play: "M8 5.5v13l10-6.5Z",
  pause: "M8.5 6v12m7-12v12",
  dice: "M5 5h14v14H5ZM8.8 8.3a.7.7 0 1 0 .01 0M15.2 8.3a.7.7 0 1 0 .01 0M12 11.5a.7.7 0 1 0 .01 0M8.8 14.7a.7.7 0 1 0 .01 0M15.2 14.7a.7.7 0 1 0 .01 0",
  loop: "M5 12a7 7 0 0 1 12-4.9L19 9m0-4v4h-4m4 3a7 7 0 0 1-12 4.9L5 15m0 4v-4h4",
};

// A shown address has an invisible joiner in it, so that it is no link (`plain` in frame.py); what is copied has none.
const JOINED = /(https?(?=\u2060:)|www(?=\u2060\.)|@|:(?=\u2060[a-z_])|[<>~-](?=\u2060[-=>]))\u2060/gi;
if (!document.isCopiedPlain) {
  document.isCopiedPlain = true;
  document.addEventListener("copy", (event) => {
    const shown = String(getSelection());
    const text = shown.replace(JOINED, "$1");
    if (text === shown) return;
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  });
}

function svg(name) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  picture.append(path);
  return picture;
}

function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") node.className = value;
    else if (name === "style") Object.assign(node.style, value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// The state of one mounted component lives on its root element, so a rerun of the page finds it again.
function rootOf(component) {
  const root = component.parentElement.querySelector(".atelier");
  root.memory ??= {};
  return [root, root.memory];
}
