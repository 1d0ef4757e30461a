const COLOURS = ["#C8452D", "#41688F", "#5B8A57", "#B5853A", "#7A5C91", "#3E8C8C", "#A8577A", "#7D7A3C", "#8A6A55", "#5F7F9E"];
const NEAR = 14;       // pixels within which a point is meant
const REST_MS = 90;    // a pointer that rests so long asks for a picture
const MOST_KEPT = 600; // pictures that were seen

export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  memory.data = data;
  if (memory.rev !== data.rev) {
    Object.assign(memory, { rev: data.rev, at: null, pictures: new Map(), view: { zoom: 1, x: 0, y: 0 }, chosen: new Set(data.selected), outline: null });
  }
  if (data.seen) {
    memory.pictures.set(data.seen.index, data.seen.src);
    if (memory.pictures.size > MOST_KEPT) memory.pictures.delete(memory.pictures.keys().next().value);
    memory.asked = null;
  }
  if (!memory.box) build(root, memory);
  draw(memory);
  showCard(memory);
  return () => memory.watcher?.disconnect();
}

function build(root, memory) {
  const canvas = el("canvas", { tabIndex: 0, role: "application", "aria-label": "Map of pictures. Arrow keys walk to neighbours, Enter opens, space selects." });
  const lasso = el("button", { type: "button", "aria-pressed": "false", textContent: "Lasso", title: "Draw round points to select them (or hold Shift)", onclick: () => {
    memory.lasso = !memory.lasso;
    lasso.setAttribute("aria-pressed", String(memory.lasso));
  } });
  const whole = el("button", { type: "button", textContent: "Whole map", onclick: () => { memory.view = { zoom: 1, x: 0, y: 0 }; draw(memory); } });
  const card = el("div", { class: "card", hidden: true }, el("div", { class: "blank" }), el("img", { alt: "", hidden: true }), el("span", { class: "mono" }));
  const box = el("div", { class: "map" }, canvas, el("div", { class: "tools" }, lasso, whole), card);
  const words = el("div", { class: "map-words", role: "status" });
  root.replaceChildren(box, words);
  Object.assign(memory, { box, canvas, card, words, lasso: false });
  memory.watcher = new ResizeObserver(() => draw(memory));
  memory.watcher.observe(box);
  canvas.addEventListener("pointermove", (event) => hover(memory, event));
  canvas.addEventListener("pointerleave", () => { if (!memory.drag) { memory.at = null; showCard(memory); draw(memory); } });
  canvas.addEventListener("pointerdown", (event) => press(memory, event));
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoomAt(memory, event.offsetX, event.offsetY, Math.exp(-event.deltaY * 0.0015)); }, { passive: false });
  canvas.addEventListener("keydown", (event) => key(memory, event));
}

const size = (memory) => [memory.box.clientWidth, memory.box.clientHeight];

function placeOf(memory, point) {
  const [w, h] = size(memory);
  const { zoom, x, y } = memory.view;
  return [w / 2 + (point[0] * 0.46 * w + x) * zoom, h / 2 + (-point[1] * 0.46 * h + y) * zoom];
}

function zoomAt(memory, px, py, factor) {
  const [w, h] = size(memory);
  const view = memory.view;
  const zoom = Math.min(60, Math.max(0.8, view.zoom * factor));
  view.x += (px - w / 2) * (1 / zoom - 1 / view.zoom);
  view.y += (py - h / 2) * (1 / zoom - 1 / view.zoom);
  view.zoom = zoom;
  draw(memory);
  showCard(memory);
}

function draw(memory) {
  const { canvas, data } = memory;
  const [w, h] = size(memory);
  if (!w || !h) return;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    canvas.width = Math.round(w * scale);
    canvas.height = Math.round(h * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, w, h);
  const ink = getComputedStyle(memory.box).color;
  const radius = Math.min(6, 2.2 + Math.log2(Math.max(1, memory.view.zoom)));
  data.points.forEach((point, index) => {
    const [x, y] = placeOf(memory, point);
    if (x < -9 || y < -9 || x > w + 9 || y > h + 9) return;
    const chosen = memory.chosen.has(index);
    pen.globalAlpha = chosen || point[3] ? 1 : 0.72;
    pen.fillStyle = COLOURS[point[2] % COLOURS.length];
    pen.beginPath();
    pen.arc(x, y, point[3] || chosen ? radius + 2 : radius, 0, 2 * Math.PI);
    pen.fill();
    if (point[3] || chosen || index === memory.at) {
      pen.globalAlpha = 1;
      pen.lineWidth = index === memory.at ? 2.5 : 1.5;
      pen.strokeStyle = chosen ? "#C8452D" : ink;
      pen.stroke();
    }
    if (point[3]) {
      pen.fillStyle = ink;
      pen.font = "13px sans-serif";
      pen.fillText({ heart: "♥", photo: "▣", here: "◎" }[point[3]] ?? "", x + radius + 4, y + 4);
    }
  });
  pen.globalAlpha = 1;
  if (memory.outline?.length > 1) {
    pen.beginPath();
    memory.outline.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.fillStyle = "#C8452D22";
    pen.strokeStyle = "#C8452D";
    pen.lineWidth = 1.5;
    pen.fill();
    pen.stroke();
  }
  const count = memory.chosen.size;
  memory.words.textContent = count ? `${count} selected` : "Click opens · drag moves · wheel zooms · Lasso or Shift and drag selects";
}

function nearest(memory, px, py) {
  let best = null, least = NEAR ** 2;
  memory.data.points.forEach((point, index) => {
    const [x, y] = placeOf(memory, point);
    const gap = (x - px) ** 2 + (y - py) ** 2;
    if (gap < least) { least = gap; best = index; }
  });
  return best;
}

function look(memory, index) {
  if (memory.at === index) return;
  memory.at = index;
  clearTimeout(memory.timer);
  if (index !== null && !memory.pictures.has(index)) {
    memory.timer = setTimeout(() => { if (memory.at === index) memory.send("hover", { index, rev: memory.rev }); }, REST_MS);
  }
  draw(memory);
  showCard(memory);
}

function hover(memory, event) {
  if (memory.drag) return;
  look(memory, nearest(memory, event.offsetX, event.offsetY));
}

function showCard(memory) {
  const { card, at, data } = memory;
  card.hidden = at === null || !data.points[at];
  if (card.hidden) return;
  const [w, h] = size(memory);
  const [x, y] = placeOf(memory, data.points[at]);
  card.style.left = `${x + 146 > w ? x - 146 : x + 12}px`;
  card.style.top = `${Math.min(Math.max(4, y - 70), Math.max(4, h - 164))}px`;
  const picture = memory.pictures.get(at);
  const [blank, img, words] = card.children;
  blank.hidden = Boolean(picture);
  img.hidden = !picture;
  if (picture && img.src !== picture) img.src = picture;
  words.textContent = data.points[at][4];
}

function press(memory, event) {
  if (event.button !== 0) return;
  event.preventDefault();
  const { canvas } = memory;
  canvas.focus({ preventScroll: true });
  const start = [event.offsetX, event.offsetY];
  const draws = memory.lasso || event.shiftKey;
  const view = { ...memory.view };
  let moved = false;
  memory.drag = true;
  canvas.setPointerCapture(event.pointerId);
  const move = (next) => {
    const [dx, dy] = [next.offsetX - start[0], next.offsetY - start[1]];
    moved ||= Math.hypot(dx, dy) > 4;
    if (!moved) return;
    if (draws) (memory.outline ??= [start]).push([next.offsetX, next.offsetY]);
    else {
      memory.box.classList.add("moving");
      memory.view = { zoom: view.zoom, x: view.x + dx / view.zoom, y: view.y + dy / view.zoom };
    }
    draw(memory);
    showCard(memory);
  };
  const end = (last) => {
    canvas.removeEventListener("pointermove", move);
    canvas.removeEventListener("pointerup", end);
    canvas.removeEventListener("pointercancel", end);
    memory.drag = false;
    memory.box.classList.remove("moving");
    const index = nearest(memory, last.offsetX, last.offsetY);
    if (draws && moved) enclose(memory);
    else if (!moved && last.type === "pointerup" && index !== null) {
      if (draws) toggle(memory, index);
      else memory.send("open", { index, rev: memory.rev });
    }
    memory.outline = null;
    draw(memory);
  };
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}

function tell(memory) {
  memory.send("select", { indices: [...memory.chosen], rev: memory.rev });
  draw(memory);
}

function toggle(memory, index) {
  if (!memory.chosen.delete(index)) memory.chosen.add(index);
  tell(memory);
}

// The even-odd rule: a point is inside where a ray from it crosses the outline an odd number of times.
function enclose(memory) {
  const line = memory.outline ?? [];
  memory.chosen = new Set();
  memory.data.points.forEach((point, index) => {
    const [x, y] = placeOf(memory, point);
    let inside = false;
    for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
      const [xi, yi] = line[i], [xj, yj] = line[j];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
    }
    if (inside) memory.chosen.add(index);
  });
  tell(memory);
}

function key(memory, event) {
  const points = memory.data.points;
  if (!points.length) return;
  const side = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const here = memory.at ?? 0;
  if (event.key === "Enter") memory.send("open", { index: here, rev: memory.rev });
  else if (event.key === " ") toggle(memory, here);
  else if (event.key === "+" || event.key === "-") {
    const [x, y] = placeOf(memory, points[here]);
    zoomAt(memory, x, y, event.key === "+" ? 1.4 : 1 / 1.4);
  } else if (side) {
    const [x, y] = placeOf(memory, points[here]);
    let best = here, least = Infinity;
    points.forEach((point, index) => {
      const [px, py] = placeOf(memory, point);
      const along = (px - x) * side[0] + (py - y) * side[1];
      const across = Math.abs((px - x) * side[1]) + Math.abs((py - y) * side[0]);
      if (index !== here && along > 0 && along + 2 * across < least) { least = along + 2 * across; best = index; }
    });
    look(memory, best);
  } else return;
  event.preventDefault();
}
