// A film strip in one picture, `columns` frames to a row, played on a canvas; the playhead can be dragged.
export default function (component) {
  const { data } = component;
  const [root, memory] = rootOf(component);
  if (!memory.screen) build(root, memory);
  memory.screen.setAttribute("aria-label", data.title);
  if (memory.tag === data.tag) return;
  memory.tag = data.tag;
  const sheet = new Image();
  sheet.src = data.src;
  sheet.decode().then(() => {
    if (memory.tag !== data.tag) return;
    memory.sheet = sheet;
    memory.data = data;
    memory.screen.width = data.width;
    memory.screen.height = data.height;
    memory.screen.parentElement.style.setProperty("--aspect", data.width / data.height);
    memory.keys.replaceChildren(...data.keys.map((share) => el("span", { class: "key", style: { left: `${share * 100}%` } })));
    memory.at = Math.min(memory.at ?? 0, data.seconds);
    paintFilm(memory);
    play(root, memory, memory.playing ?? !matchMedia("(prefers-reduced-motion: reduce)").matches);
  }, () => undefined);
}

function build(root, memory) {
  const toggle = () => play(root, memory, !memory.playing);
  memory.screen = el("canvas", { width: 8, height: 8, role: "img", onclick: toggle });
  memory.button = el("button", { type: "button", onclick: toggle });
  memory.film = el("canvas", { height: 88 });
  memory.keys = el("div", {});
  memory.head = el("div", { class: "head" });
  memory.time = el("span", {});
  memory.total = el("span", { class: "total" });
  const film = el("div", { class: "film", tabIndex: 0, role: "slider", "aria-label": "Playhead", "aria-valuemin": 0 }, memory.film, memory.keys, memory.head);
  memory.slider = film;
  const seek = (event) => {
    if (!memory.data) return;
    play(root, memory, false);
    const box = film.getBoundingClientRect();
    show(memory, Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * memory.data.seconds);
  };
  film.addEventListener("pointerdown", (event) => { film.setPointerCapture(event.pointerId); seek(event); });
  film.addEventListener("pointermove", (event) => { if (film.hasPointerCapture(event.pointerId)) seek(event); });
  film.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === " ") toggle();
    else if (by && memory.data) { play(root, memory, false); show(memory, memory.at + (by * memory.data.seconds) / memory.data.count); }
    else return;
    event.preventDefault();
  });
  root.append(el("div", { class: "player" }, el("div", { class: "screen" }, memory.screen),
    el("div", { class: "controls" }, memory.button, film, el("span", { class: "time mono" }, memory.time, memory.total))));
  new ResizeObserver(() => paintFilm(memory)).observe(film);
}

function play(root, memory, playing) {
  memory.playing = playing;
  memory.button.replaceChildren(svg(playing ? "pause" : "play"));
  memory.button.title = playing ? "Pause" : "Play";
  memory.button.setAttribute("aria-label", memory.button.title);
  cancelAnimationFrame(memory.request);
  let before = null;
  const step = (now) => {
    if (!root.isConnected || !memory.playing) return;
    show(memory, memory.at + (before === null ? 0 : (now - before) / 1000));
    before = now;
    memory.request = requestAnimationFrame(step);
  };
  if (playing) memory.request = requestAnimationFrame(step);
  else show(memory, memory.at);
}

function show(memory, seconds) {
  const { data } = memory;
  if (!data) return;
  memory.at = ((seconds % data.seconds) + data.seconds) % data.seconds;
  const index = Math.min(data.count - 1, Math.floor((memory.at / data.seconds) * data.count));
  drawFrame(memory, memory.screen.getContext("2d"), index, 0, 0, data.width, data.height);
  memory.head.style.left = `${(memory.at / data.seconds) * 100}%`;
  memory.time.textContent = `${memory.at.toFixed(1)} s`;
  memory.total.textContent = ` of ${data.seconds.toFixed(1)} s`;
  memory.slider.setAttribute("aria-valuemax", data.seconds.toFixed(1));
  memory.slider.setAttribute("aria-valuenow", memory.at.toFixed(1));
}

function drawFrame(memory, context, index, left, top, width, height) {
  const { data, sheet } = memory;
  const x = (index % data.columns) * data.width;
  const y = Math.floor(index / data.columns) * data.height;
  context.drawImage(sheet, x, y, data.width, data.height, left, top, width, height);
}

function paintFilm(memory) {
  if (!memory.data || !memory.film.clientWidth) return;
  const { data, film } = memory;
  film.width = film.clientWidth * 2;
  const context = film.getContext("2d");
  context.imageSmoothingQuality = "high";
  const width = (film.height * data.width) / data.height;
  const room = Math.ceil(film.width / width);
  for (let place = 0; place < room; place += 1) {
    const index = Math.min(data.count - 1, Math.floor((((place + 0.5) * width) / film.width) * data.count));
    drawFrame(memory, context, index, place * width, 0, width, film.height);
  }
}
