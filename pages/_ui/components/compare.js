const STEP = 0.02;     // of the width, for an arrow key
const LEAP = 0.1;      // with Shift, or Page Up and Page Down
const ZOOM = 1.25;     // for one press or turn of the wheel
const MOST_ZOOM = 16;  // over one pixel of the picture for one of the screen
const MOST_HEIGHT = 0.78;  // of the window

export default function (component) {
  const { data } = component;
  const [root, memory] = rootOf(component);
  const is_new = memory.tag !== data.tag;
  memory.data = data;
  if (!memory.box) {
    Object.assign(memory, { at: data.start, zoom: 1, x: 0, y: 0 });
    build(root, memory);
  }
  memory.watcher ??= new ResizeObserver(() => draw(memory));
  memory.watcher.observe(root);
  if (is_new) {
    memory.tag = data.tag;
    memory.images.forEach((img, i) => {
      img.src = i ? data.right : data.left;
      img.alt = data.labels[i];
    });
    memory.names.forEach((name, i) => { name.textContent = data.labels[i]; });
    memory.divider.setAttribute("aria-label", `Divider: ${data.labels[0]} on the left, ${data.labels[1]} on the right`);
  }
  memory.box.classList.toggle("pixels", data.pixels);
  draw(memory);
  return () => { memory.watcher.disconnect(); memory.watcher = null; };
}

function build(root, memory) {
  const images = [0, 1].map(() => el("img", { draggable: false, decoding: "async" }));
  const sides = images.map((img) => el("div", { class: "side" }, img));
  const names = ["first", "second"].map((place) => el("span", { class: `name ${place}` }));
  const knob = el("span", { class: "knob" }, svg("left"), svg("right"));
  const divider = el("div", {
    class: "divider", tabIndex: 0, role: "slider", "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-orientation": "horizontal", title: "Drag, or use the arrow keys",
  }, knob);
  // The right picture lies below; the left one is cut at the divider.
  const box = el("div", { class: "compare" }, sides[1], sides[0], ...names, divider);
  const press = (words, text, act) =>
    el("button", { type: "button", textContent: text, title: words, "aria-label": words, onclick: act });
  const out = press("Smaller", "−", () => zoom(memory, memory.zoom / ZOOM));
  const into = press("Larger", "+", () => zoom(memory, memory.zoom * ZOOM));
  const whole = press("Fit the whole picture", "Fit", () => zoom(memory, 1));
  const exact = press("One pixel of the picture is one of the screen", "1:1", () => zoom(memory, exactly(memory)));
  const words = el("output", { class: "mono", "aria-live": "polite" });
  const tools = el("div", { class: "compare-tools" }, out, into, whole, exact, words);
  root.replaceChildren(box, tools);
  Object.assign(memory, { root, box, tools, sides, images, names, divider, words, buttons: { out, into, whole } });
  memory.fingers = new Map();
  box.addEventListener("pointerdown", (event) => down(memory, event));
  box.addEventListener("pointermove", (event) => move(memory, event));
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (event) => up(memory, event));
  box.addEventListener("dblclick", () => zoom(memory, 1));
  box.addEventListener("wheel", (event) => {
    // A page that scrolls is not caught: the wheel enlarges with Ctrl, or once the divider is in use.
    if (!event.ctrlKey && !event.metaKey && root.getRootNode().activeElement !== divider) return;
    event.preventDefault();
    const at = placeOf(memory, event);
    zoom(memory, memory.zoom * (event.deltaY < 0 ? ZOOM : 1 / ZOOM), at);
  }, { passive: false });
  divider.addEventListener("keydown", (event) => key(memory, event));
}

// One pixel of the picture as one of the screen, whatever the screen's density.
const exactly = (memory) => memory.data.width / (memory.box.clientWidth * (window.devicePixelRatio || 1));

function placeOf(memory, event) {
  const frame = memory.box.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
}

function zoom(memory, value, at) {
  const { clientWidth: wide, clientHeight: high } = memory.box;
  const [x, y] = at ?? [wide / 2, high / 2];
  const next = Math.min(Math.max(1, value), Math.max(1, exactly(memory)) * MOST_ZOOM);
  // What lies under the place stays there.
  memory.x = x - ((x - memory.x) * next) / memory.zoom;
  memory.y = y - ((y - memory.y) * next) / memory.zoom;
  memory.zoom = next;
  draw(memory);
}

function draw(memory) {
  const { box, data } = memory;
  // Before it is drawn for the first time the width is the root's; a tall picture is as high as the window allows.
  const wide = Math.min(memory.root.clientWidth || data.width, window.innerHeight * MOST_HEIGHT * (data.width / data.height));
  box.style.width = memory.tools.style.width = `${wide}px`;
  box.style.aspectRatio = `${data.width} / ${data.height}`;
  const { clientWidth, clientHeight } = box;
  memory.x = Math.min(0, Math.max(clientWidth * (1 - memory.zoom), memory.x));
  memory.y = Math.min(0, Math.max(clientHeight * (1 - memory.zoom), memory.y));
  for (const img of memory.images) img.style.transform = `translate(${memory.x}px, ${memory.y}px) scale(${memory.zoom})`;
  const share = `${(memory.at * 100).toFixed(2)}%`;
  memory.sides[0].style.clipPath = `inset(0 calc(100% - ${share}) 0 0)`;
  memory.divider.style.left = share;
  memory.divider.setAttribute("aria-valuenow", Math.round(memory.at * 100));
  memory.divider.setAttribute("aria-valuetext", `${Math.round(memory.at * 100)} % ${data.labels[0]}`);
  memory.names[0].style.opacity = memory.at > 0.12 ? 1 : 0;
  memory.names[1].style.opacity = memory.at < 0.88 ? 1 : 0;
  box.classList.toggle("near", memory.zoom > 1);
  memory.buttons.out.disabled = memory.buttons.whole.disabled = memory.zoom <= 1;
  const percent = clientWidth ? (100 * memory.zoom) / exactly(memory) : 100;
  memory.words.textContent = `${percent >= 10 ? Math.round(percent) : percent.toFixed(1)} %`;
}

function down(memory, event) {
  if (event.button !== 0) return;
  const [x, y] = placeOf(memory, event);
  memory.fingers.set(event.pointerId, [x, y]);
  memory.wipes = memory.divider.contains(event.target) || memory.zoom <= 1;
  if (memory.divider.contains(event.target)) event.preventDefault();
  memory.divider.focus({ preventScroll: true });
  memory.box.setPointerCapture(event.pointerId);
  if (memory.wipes && event.pointerType === "mouse") wipe(memory, x);
  memory.box.classList.toggle("moving", !memory.wipes);
}

function move(memory, event) {
  const before = memory.fingers.get(event.pointerId);
  if (!before) return;
  const now = placeOf(memory, event);
  if (memory.fingers.size === 2) {
    const other = [...memory.fingers].find(([id]) => id !== event.pointerId)[1];
    const span = (a, b) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    zoom(memory, (memory.zoom * span(now, other)) / span(before, other), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  } else if (memory.wipes) wipe(memory, now[0]);
  else {
    memory.x += now[0] - before[0];
    memory.y += now[1] - before[1];
    draw(memory);
  }
  memory.fingers.set(event.pointerId, now);
}

function up(memory, event) {
  memory.fingers.delete(event.pointerId);
  memory.box.classList.remove("moving");
}

function wipe(memory, x) {
  memory.at = Math.min(1, Math.max(0, x / Math.max(1, memory.box.clientWidth)));
  draw(memory);
}

function key(memory, event) {
  const by = event.shiftKey ? LEAP : STEP;
  const pan = (x, y) => { memory.x += x; memory.y += y; };
  const act = {
    ArrowLeft: () => { memory.at -= by; }, ArrowRight: () => { memory.at += by; },
    PageDown: () => { memory.at -= LEAP; }, PageUp: () => { memory.at += LEAP; },
    Home: () => { memory.at = 0; }, End: () => { memory.at = 1; },
    ArrowUp: () => pan(0, 40), ArrowDown: () => pan(0, -40), a: () => pan(40, 0), d: () => pan(-40, 0),
    "+": () => zoom(memory, memory.zoom * ZOOM), "=": () => zoom(memory, memory.zoom * ZOOM),
    "-": () => zoom(memory, memory.zoom / ZOOM), 0: () => zoom(memory, 1), 1: () => zoom(memory, exactly(memory)),
  }[event.key];
  if (!act || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  act();
  memory.at = Math.min(1, Math.max(0, memory.at));
  draw(memory);
}
