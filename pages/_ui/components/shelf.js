export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  const drawn = JSON.stringify(data);
  if (memory.drawn === drawn) return;
  memory.drawn = drawn;
  const cards = data.models.map((model, index) => el("button", {
    class: "model", type: "button", role: "radio", tabIndex: model.id === data.chosen ? 0 : -1, title: model.about, "aria-label": `${model.name}, ${model.facts}`,
    "aria-checked": model.id === data.chosen,
    onclick: () => { if (model.id !== data.chosen) memory.send("choose", model.id); },
    onkeydown: (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      cards[(index + by + cards.length) % cards.length].focus();
    },
  },
  el("span", { class: "face" }, model.src ? el("img", { src: model.src, alt: "" }) : String(model.monogram)),
  el("span", { class: "words" }, el("span", { class: "name", textContent: model.name }), el("span", { class: "facts mono", textContent: model.facts }))));
  const held = root.querySelector(":focus") !== null;
  const before = root.querySelector(".shelf")?.scrollLeft ?? 0;
  const shelf = el("div", { class: "shelf", role: "radiogroup", "aria-label": "Model" }, ...cards);
  root.replaceChildren(shelf);
  shelf.scrollLeft = before;
  const chosen = cards[data.models.findIndex((model) => model.id === data.chosen)];
  if (held) chosen?.focus({ preventScroll: true });
  // The chosen card is in sight, at first and whenever the row has another width; a hand that pushes the row is let be.
  let width = 0;
  memory.watch?.disconnect();
  memory.watch = new ResizeObserver(() => {
    if (!chosen || shelf.clientWidth === width) return;
    width = shelf.clientWidth;
    const [row, card] = [shelf, chosen].map((each) => each.getBoundingClientRect());
    if (card.left < row.left || card.right > row.right) shelf.scrollLeft += (card.left + card.right - row.left - row.right) / 2;
  });
  memory.watch.observe(shelf);
}
