export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  memory.data = data;
  if (memory.rev !== data.rev) {
    memory.rev = data.rev;
    memory.stops = data.stops.map((stop) => ({ ...stop }));
    memory.cards = new Map();
  }
  for (const stop of data.stops) Object.assign(memory.stops.find((own) => own.id === stop.id) ?? {}, { src: stop.src, tag: stop.tag, note: stop.note, kind: stop.kind });
  draw(root, memory);
  const list = root.querySelector(".timeline");
  if (memory.count && memory.stops.length > memory.count) list.scrollLeft = list.scrollWidth; // what was added is seen
  memory.count = memory.stops.length;
  memory.watch ??= new ResizeObserver(() => tellMore(root));
  memory.watch.observe(list);
  tellMore(root);
  return () => memory.watch.disconnect();
}

// How many keyframes lie beyond either end of what is seen, as a button that leads there.
function tellMore(root) {
  const list = root.querySelector(".timeline");
  const cards = [...list.querySelectorAll(".card")];
  const { left, right } = list.getBoundingClientRect();
  const hidden = { before: 0, after: 0 };
  for (const card of cards) {
    const box = card.getBoundingClientRect();
    if (box.left < left - box.width / 2) hidden.before += 1;
    else if (box.right > right + box.width / 2) hidden.after += 1;
  }
  for (const [side, count] of Object.entries(hidden)) {
    let button = root.querySelector(`.more.${side}`);
    if (!button) {
      const step = () => list.scrollBy({ left: (side === "after" ? 0.8 : -0.8) * list.clientWidth, behavior: "smooth" });
      button = root.appendChild(el("button", { type: "button", class: `more ${side}`, onclick: step }));
    }
    button.hidden = count === 0;
    const number = el("span", { textContent: `${count} more` });
    button.replaceChildren(...(side === "after" ? [number, svg("right")] : [svg("left"), number]));
    button.setAttribute("aria-label", `${count} more keyframes ${side === "after" ? "after these" : "before these"}`);
  }
}

function report(root, memory, focused) {
  draw(root, memory);
  if (focused) root.querySelector(`[data-id="${CSS.escape(focused)}"] .card`)?.focus();
  memory.send("change", { rev: memory.rev, stops: memory.stops.map(({ id, seconds }) => ({ id, seconds })) });
}

function move(root, memory, from, to) {
  if (to < 0 || to >= memory.stops.length || from === to) return;
  const [stop] = memory.stops.splice(from, 1);
  memory.stops.splice(to, 0, stop);
  report(root, memory, stop.id);
}

function draw(root, memory) {
  const list = root.querySelector(".timeline") ?? root.appendChild(el("ol", { class: "timeline", "aria-label": "Keyframes", onscroll: () => tellMore(root) }));
  const drawn = JSON.stringify([memory.stops.map((stop) => [stop.id, stop.seconds, stop.tag, stop.note, stop.kind]), memory.data.loop]);
  if (memory.drawn === drawn && list.childElementCount) return;
  memory.drawn = drawn;
  list.replaceChildren(...memory.stops.map((stop, index) => makeStop(root, memory, stop, index)));
}

function makeStop(root, memory, stop, index) {
  const count = memory.stops.length;
  const remove = () => {
    memory.stops.splice(memory.stops.indexOf(stop), 1);
    report(root, memory, memory.stops[Math.min(index, memory.stops.length - 1)]?.id);
  };
  const tool = (name, title, onclick, disabled) =>
    el("button", { type: "button", title, "aria-label": `${stop.title}: ${title}`, disabled, onclick }, svg(name));
  const card = el("div", { class: "card", tabIndex: 0, role: "group", "aria-label": `${index + 1} of ${count}, ${stop.title}. Arrow keys move it, Delete removes it.` },
    el("div", { class: "thumb", title: "Drag to reorder" }, el("img", { src: stop.src, alt: stop.title, draggable: false })),
    el("div", { class: "foot" }, el("span", { class: "mono", textContent: stop.caption }),
      el("span", { class: "tools" },
        tool("left", "earlier", () => move(root, memory, index, index - 1), index === 0),
        tool("right", "later", () => move(root, memory, index, index + 1), index === count - 1),
        tool("close", "remove", remove, false))),
    memory.data.kinds.length && stop.kind !== null ? makeKinds(memory, stop) : null,
    stop.note ? el("div", { class: "note mono", textContent: stop.note }) : null);
  card.addEventListener("keydown", (event) => {
    if (event.target !== card) return;
    const action = {
      ArrowLeft: () => move(root, memory, index, index - 1), ArrowRight: () => move(root, memory, index, index + 1),
      Delete: remove, Backspace: remove,
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  const item = el("li", { class: "stop", data: { id: stop.id } }, card);
  card.querySelector(".thumb").addEventListener("pointerdown", (event) => startDrag(event, root, memory, stop, item));
  const last = index === count - 1;
  if (!last || (memory.data.loop && count > 1)) item.append(makeGap(root, memory, stop, last));
  return item;
}

function makeKinds(memory, stop) {
  const names = stop.kind < 0 ? [["-1", "no class"]] : []; // as an older link may have it
  names.push(...memory.data.kinds.map((name, number) => [String(number), name]));
  const menu = el("select", {
    class: "kinds", "aria-label": `Class of ${stop.title}`, title: "Class",
    onchange: () => memory.send("kind", { rev: memory.rev, id: stop.id, kind: Number(menu.value) }),
  }, ...names.map(([value, textContent]) => el("option", { value, textContent })));
  menu.value = String(stop.kind);
  return menu;
}

function makeGap(root, memory, stop, returns) {
  const input = el("input", {
    type: "number", class: "mono", min: 0.1, max: 60, step: 0.5, value: String(stop.seconds), "aria-label": `Seconds after ${stop.title}`,
    onchange: () => {
      const seconds = input.valueAsNumber;
      if (!Number.isFinite(seconds)) { input.value = stop.seconds; return; }
      stop.seconds = Math.min(60, Math.max(0.1, seconds));
      input.value = stop.seconds;
      memory.send("change", { rev: memory.rev, stops: memory.stops.map(({ id, seconds: value }) => ({ id, seconds: value })) });
    },
  });
  const arrow = returns ? el("span", { class: "return", title: "and back to the first" }, svg("loop")) : null;
  return el("div", { class: "gap" }, el("label", {}, input, el("span", { textContent: "s" })), arrow);
}

// A mouse or pen drags; on touch the strip scrolls and the small arrows reorder.
function startDrag(event, root, memory, stop, item) {
  if (event.pointerType === "touch" || event.button !== 0) return;
  event.preventDefault();
  const list = item.parentElement;
  const from = memory.stops.indexOf(stop);
  const place = (moved) => {
    item.classList.add("dragged");
    const others = [...list.children].filter((other) => other !== item);
    const after = others.find((other) => {
      const box = other.querySelector(".card").getBoundingClientRect();
      return moved.clientX < box.left + box.width / 2;
    });
    if (item.nextElementSibling !== (after ?? null)) list.insertBefore(item, after ?? null);
  };
  const finish = () => {
    window.removeEventListener("pointermove", place);
    window.removeEventListener("pointerup", finish);
    window.removeEventListener("pointercancel", finish);
    const to = [...list.children].indexOf(item);
    memory.drawn = null;
    if (to === from) draw(root, memory);
    else move(root, memory, from, to);
  };
  window.addEventListener("pointermove", place);
  window.addEventListener("pointerup", finish);
  window.addEventListener("pointercancel", finish);
}
