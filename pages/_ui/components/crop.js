const LEAST = 8;      // pixels of the photograph
const STEP = 0.01;    // of the longer side, for an arrow key
const REST_MS = 250;  // the answer is sent when nothing has moved for so long

export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  memory.data = data;
  if (memory.rev !== data.rev) {
    memory.rev = data.rev;
    memory.square = { ...data.square };
  }
  if (!memory.box) build(root, memory);
  if (memory.tag !== data.tag) {
    memory.tag = data.tag;
    memory.img.src = data.src;
  }
  draw(memory);
  return () => memory.watcher?.disconnect();
}

function build(root, memory) {
  const img = el("img", { alt: "The photograph", draggable: false, onload: () => draw(memory) });
  const grip = el("span", { class: "grip", title: "Drag to size" });
  const square = el("div", { class: "square", tabIndex: 0, role: "group", "aria-label": "The part that is kept. Arrow keys move it, plus and minus size it, brackets turn it." }, grip);
  const turn = el("input", { type: "range", min: -45, max: 45, step: 0.5, "aria-label": "Turn, degrees", oninput: () => {
    memory.square.angle = turn.valueAsNumber;
    changed(memory);
  } });
  const words = el("output", { class: "mono" });
  const box = el("div", { class: "crop" }, img, square);
  root.replaceChildren(box, el("label", { class: "crop-tools" }, el("span", { textContent: "Turn" }), turn, words));
  Object.assign(memory, { box, img, frame: square, turn, words });
  memory.watcher = new ResizeObserver(() => draw(memory));
  memory.watcher.observe(box);
  square.addEventListener("pointerdown", (event) => drag(memory, event, event.target === grip));
  square.addEventListener("keydown", (event) => key(memory, event));
}

const scaleOf = (memory) => memory.box.clientWidth / memory.data.width;

function draw(memory) {
  const scale = scaleOf(memory);
  const { x, y, side, angle } = memory.square;
  Object.assign(memory.frame.style, {
    left: `${x * scale}px`, top: `${y * scale}px`, width: `${side * scale}px`, height: `${side * scale}px`,
    transform: `rotate(${angle}deg)`,
  });
  memory.turn.value = angle;
  memory.words.textContent = `${angle.toFixed(1)}° · ${Math.round(side)} px`;
}

function kept(memory) {
  const { width, height } = memory.data;
  const square = memory.square;
  const most = Math.max(width, height) * 1.5;
  square.side = Math.min(most, Math.max(LEAST, square.side));
  // Part of the square may lie outside, but not so much that its corner is out of reach.
  const over = square.side / 5;
  const within = (at, room) => Math.min(Math.max(0, room - square.side) + over, Math.max(Math.min(0, room - square.side) - over, at));
  square.x = within(square.x, width);
  square.y = within(square.y, height);
}

function changed(memory) {
  kept(memory);
  draw(memory);
  clearTimeout(memory.timer);
  memory.timer = setTimeout(() => memory.send("change", { ...memory.square, rev: memory.rev }), REST_MS);
}

function drag(memory, event, sizes) {
  if (event.button !== 0) return;
  event.preventDefault();
  event.stopPropagation();
  memory.frame.focus({ preventScroll: true });
  const start = { ...memory.square };
  const scale = scaleOf(memory);
  const from = [event.clientX, event.clientY];
  const move = (next) => {
    const dx = (next.clientX - from[0]) / scale, dy = (next.clientY - from[1]) / scale;
    if (sizes) {
      const side = Math.max(LEAST, start.side + Math.max(dx, dy));
      memory.square = { ...start, side };
    } else memory.square = { ...start, x: start.x + dx, y: start.y + dy };
    changed(memory);
  };
  const end = () => {
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", end);
    window.removeEventListener("pointercancel", end);
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", end);
  window.addEventListener("pointercancel", end);
}

function key(memory, event) {
  const by = STEP * Math.max(memory.data.width, memory.data.height);
  const square = memory.square;
  const act = {
    ArrowLeft: () => { square.x -= by; }, ArrowRight: () => { square.x += by; },
    ArrowUp: () => { square.y -= by; }, ArrowDown: () => { square.y += by; },
    "+": () => { square.x -= by / 2; square.y -= by / 2; square.side += by; },
    "-": () => { square.x += by / 2; square.y += by / 2; square.side -= by; },
    "[": () => { square.angle = Math.max(-45, square.angle - 1); },
    "]": () => { square.angle = Math.min(45, square.angle + 1); },
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
  changed(memory);
}
