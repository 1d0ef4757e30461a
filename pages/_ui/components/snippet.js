// The text, and a button that copies it. Without a secure address there is no clipboard: the text is then selected.
export default function (component) {
  const { data } = component;
  const [root, memory] = rootOf(component);
  if (memory.text === data.text && memory.wraps === data.wraps) return;
  Object.assign(memory, { text: data.text, wraps: data.wraps });
  const words = el("pre", { class: data.wraps ? "snippet wraps" : "snippet", tabIndex: 0 }, data.text);
  const select = () => {
    const range = document.createRange();
    range.selectNodeContents(words);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  const copy = el("button", { type: "button", title: "Copy", "aria-label": "Copy" }, svg("copy"));
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(data.text);
      copy.replaceChildren(svg("check"));
      setTimeout(() => copy.replaceChildren(svg("copy")), 1500);
    } catch {
      select();
    }
  });
  root.replaceChildren(el("div", { class: "frame" }, words, copy));
}
