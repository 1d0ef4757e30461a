export default function (component) {
  const { data } = component;
  const [root, memory] = rootOf(component);
  if (!memory.image) {
    memory.image = el("img", { alt: "", decoding: "async" });
    memory.caption = el("span", { class: "mono" });
    memory.note = el("span", {});
    memory.easel = el("div", { class: "easel" }, memory.image);
    root.append(el("figure", { class: "stage" }, memory.easel, el("figcaption", {}, memory.caption, memory.note)));
    memory.observer = new ResizeObserver(() => fit(memory));
    memory.observer.observe(memory.easel);
  }
  memory.data = data;
  root.firstElementChild.classList.toggle("pixels", data.pixels);
  memory.caption.textContent = data.caption;
  memory.note.textContent = data.note;
  memory.image.alt = data.title;
  fit(memory);
  // The new picture replaces the old one when it is decoded, so nothing flickers, and an older one never wins.
  if (memory.tag === data.tag) return;
  memory.tag = data.tag;
  const next = new Image();
  next.src = data.src;
  next.decode().then(() => {
    if (memory.tag !== data.tag) return;
    memory.image.src = data.src;
    memory.image.dataset.tag = data.tag;
  }, () => undefined);
}

// Shown at a whole multiple of its own size where there is room, so that a pixel stays a pixel.
function fit(memory) {
  const { width, height, side } = memory.data;
  const room = memory.easel.clientWidth - 24;
  if (room <= 0) return;
  const tallest = matchMedia("(max-width: 640px)").matches ? window.innerHeight * 0.42 : side;
  const times = Math.min(room / width, side / width, side / height, tallest / height);
  const scale = times >= 1 ? Math.floor(times) : times;
  const shownWidth = Math.round(width * scale);
  const shownHeight = Math.round(height * scale);
  memory.image.style.width = `${shownWidth}px`;
  memory.image.style.height = `${shownHeight}px`;
  memory.easel.style.setProperty("--tall", `${shownHeight + 26}px`);
}
