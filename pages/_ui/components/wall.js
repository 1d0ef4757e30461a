export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  memory.selected ??= new Set();
  memory.pendingHearts ??= new Map();
  if (memory.rev !== data.rev) {
    memory.rev = data.rev;
    memory.selected = new Set(data.selected);
  }
  const wall = root.querySelector(".wall") ?? root.appendChild(el("div", { class: "wall", role: "listbox", "aria-multiselectable": "true" }));
  wall.setAttribute("aria-label", data.label);
  wall.classList.toggle("pixels", data.pixels);
  wall.classList.toggle("only", data.mode === "only");
  wall.classList.toggle("leaving", data.mode === "leave");
  memory.mode = data.mode;
  wall.style.setProperty("--columns", data.columns);
  wall.classList.toggle("table", Boolean(data.table));
  wall.style.setProperty("--aspect", data.aspect);

  // A place keeps its element: when seeds or sliders change, pictures change in place and nothing flickers.
  const cells = data.pictures.map((picture, place) => {
    const cell = wall.children[place] ?? wall.appendChild(makeCell(wall, memory));
    fillCell(cell, picture, memory);
    return cell;
  });
  while (wall.children.length > cells.length) wall.lastElementChild.remove();
  if (!cells.some((cell) => cell.tabIndex === 0) && cells.length) cells[0].tabIndex = 0;
  showSelection(wall, memory);

  // Pictures that are not there yet are asked for when their place comes into view.
  memory.watcher?.disconnect();
  const missing = cells.filter((cell) => cell.querySelector(".empty"));
  if (missing.length) {
    memory.watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      memory.watcher.disconnect();
      memory.send("more", { have: cells.length - missing.length });
    }, { rootMargin: "200px" });
    missing.forEach((cell) => memory.watcher.observe(cell));
  }
}

function makeCell(wall, memory) {
  const open = () => (memory.mode === "leave" ? select() : memory.send("open", cell.dataset.id));
  const select = () => {
    if (memory.mode === "only") return;
    const { id } = cell.dataset;
    if (!memory.selected.delete(id)) memory.selected.add(id);
    showSelection(wall, memory);
    memory.send("select", [...memory.selected]);
  };
  const keep = () => {
    if (memory.mode) return;
    const { id } = cell.dataset;
    const wanted = !cell.classList.contains("kept");
    memory.pendingHearts.set(id, wanted);
    cell.classList.toggle("kept", wanted);
    memory.send("keep", { id, kept: wanted });
  };
  const act = (action) => (event) => { event.stopPropagation(); action(); };
  const cell = el("figure", { class: "cell", role: "option", tabIndex: -1 },
    el("div", { class: "frame", onclick: (event) => ((event.shiftKey || event.metaKey || event.ctrlKey) && memory.mode !== "only" ? select() : open()) },
      el("img", { alt: "", decoding: "async", draggable: false, onload: (event) => event.target.classList.add("shown") })),
    el("button", { class: "tick", type: "button", tabIndex: -1, onclick: act(select) }, svg("check"), svg("close")),
    el("figcaption", {}, el("span", { class: "mono" }),
      el("button", { class: "heart", type: "button", tabIndex: -1, onclick: act(keep) }, svg("heart"))));
  cell.addEventListener("keydown", (event) => {
    const action = { Enter: open, " ": select, h: keep, H: keep }[event.key];
    if (action) action();
    else if (!moveFocus(wall, cell, event.key)) return;
    event.preventDefault();
  });
  cell.addEventListener("focus", () => {
    wall.querySelectorAll('.cell[tabindex="0"]').forEach((other) => { other.tabIndex = -1; });
    cell.tabIndex = 0;
  });
  return cell;
}

function fillCell(cell, picture, memory) {
  cell.dataset.id = picture.id;
  const image = cell.querySelector("img");
  const frame = cell.querySelector(".frame");
  frame.classList.toggle("empty", !picture.src);
  image.hidden = !picture.src;
  if (picture.src && image.dataset.tag !== picture.tag) {
    image.dataset.tag = picture.tag;
    image.src = picture.src;
  }
  image.alt = picture.title;
  cell.setAttribute("aria-label", picture.title);
  cell.querySelector("figcaption span").textContent = picture.caption;
  if (memory.pendingHearts.get(picture.id) === picture.kept) memory.pendingHearts.delete(picture.id);
  const kept = memory.pendingHearts.get(picture.id) ?? picture.kept;
  cell.classList.toggle("kept", kept);
  const heart = cell.querySelector(".heart");
  heart.title = "Keep (H)";
  heart.setAttribute("aria-label", `Keep ${picture.title}`);
  heart.setAttribute("aria-pressed", kept);
  const tick = cell.querySelector(".tick");
  const verb = memory.mode === "leave" ? "Leave out" : "Select";
  tick.title = memory.mode === "leave" ? "Leave out or keep (Space)" : "Select (Space, or shift-click)";
  tick.setAttribute("aria-label", `${verb} ${picture.title}`);
}

function showSelection(wall, memory) {
  wall.classList.toggle("choosing", memory.selected.size > 0);
  for (const cell of wall.children) {
    const selected = memory.selected.has(cell.dataset.id);
    cell.classList.toggle("selected", selected);
    cell.setAttribute("aria-selected", selected);
  }
}

function moveFocus(wall, cell, key) {
  const cells = [...wall.children];
  const columns = getComputedStyle(wall).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  const ends = { Home: 0, End: cells.length - 1 }[key];
  if (step === undefined && ends === undefined) return false;
  const next = cells[ends ?? cells.indexOf(cell) + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return true;
}
