const SEEDS = 2 ** 32;
const PAUSE_MS = 60;      // at most this often while dragging
const PATIENCE_MS = 4000; // an answer that never comes must not silence the bank

export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  memory.sequence ??= 0;
  memory.problem = data.problem;
  if (memory.rev !== data.rev) {
    memory.rev = data.rev;
    memory.values = { ...data.values };
  }
  const layout = JSON.stringify(data.groups);
  if (memory.layout !== layout) {
    memory.layout = layout;
    memory.rows = new Map();
    const bank = el("div", { class: "bank" }, ...data.groups.map((group) => makeGroup(group, memory)));
    root.replaceChildren(bank);
  }
  for (const row of memory.rows.values()) row.show();
  if (memory.waiting && data.echo === memory.waiting) {
    clearTimeout(memory.timer);
    memory.waiting = null;
    pump(memory);
  }
}

// One message is under way at a time: the next leaves when the answer is back, with the newest values. Latest wins.
function changed(memory, final) {
  memory.dirty = true;
  memory.final = final || (memory.final ?? false);
  for (const row of memory.rows.values()) row.show();
  pump(memory);
}

function pump(memory) {
  if (!memory.dirty || memory.waiting) return;
  const early = PAUSE_MS - (performance.now() - (memory.sentAt ?? -PAUSE_MS));
  if (early > 0 && !memory.final) {
    clearTimeout(memory.timer);
    memory.timer = setTimeout(() => pump(memory), early);
    return;
  }
  clearTimeout(memory.timer);
  memory.sentAt = performance.now();
  memory.sequence += 1;
  memory.waiting = `${memory.rev}:${memory.sequence}`;
  const message = { values: { ...memory.values }, final: memory.final ?? false, echo: memory.waiting };
  memory.dirty = memory.final = false;
  memory.timer = setTimeout(() => { memory.waiting = null; pump(memory); }, PATIENCE_MS);
  memory.send("change", message);
}

function makeGroup(group, memory) {
  if (group.closed) {
    memory.opened ??= new Set();
    const controls = group.controls.map((control) => MAKERS[control.kind](control, memory));
    const used = group.controls.some((control) => control.reset !== undefined && memory.values[control.id] !== control.reset);
    const heading = el("summary", {}, el("h3", { textContent: group.title }), el("span", { class: "note", textContent: group.note }));
    const box = el("details", { class: "group", open: used || memory.opened.has(group.title) }, heading, ...controls);
    box.addEventListener("toggle", () => memory.opened[box.open ? "add" : "delete"](group.title));
    heading.addEventListener("click", () => requestAnimationFrame(() => box.open && box.scrollIntoView({ block: "nearest" })));
    return box;
  }
  return el("section", { class: "group", "aria-label": group.title || null },
    group.title ? el("header", {}, el("h3", { textContent: group.title }), el("span", { class: "note", textContent: group.note })) : null,
    ...group.controls.map((control) => MAKERS[control.kind](control, memory)));
}

function makeLabel(control, id) {
  const text = el("span", { textContent: control.label, class: control.help ? "help" : "", title: control.help });
  return el("label", { htmlFor: id }, text);
}

const inRange = (control, value) => Math.min(control.high, Math.max(control.low, value));

function makeSlider(control, memory) {
  const id = `range-${control.id}`;
  const set = (value, final) => { memory.values[control.id] = inRange(control, value); changed(memory, final); };
  const reset = () => set(control.reset, true);
  const range = el("input", {
    type: "range", id, min: control.low, max: control.high, step: control.step, "aria-label": control.label,
    oninput: (event) => set(event.target.valueAsNumber, false),
    onchange: (event) => set(event.target.valueAsNumber, true),
    ondblclick: reset,
  });
  const number = el("input", {
    type: "number", class: "number mono", min: control.low, max: control.high, step: control.step, "aria-label": `${control.label}, number`,
    onchange: (event) => { if (Number.isFinite(event.target.valueAsNumber)) set(event.target.valueAsNumber, true); },
    onblur: () => show(),
  });
  const share = (value) => (value - control.low) / (control.high - control.low);
  const place = (value) => `calc(8px + ${share(value)} * (100% - 16px))`;
  const marks = control.marks.map((value) => el("span", { class: "mark", style: { left: place(value) } }));
  const row = el("div", { class: "row" }, makeLabel(control, id), number,
    el("div", { class: "track", title: "Double-click to reset" }, ...marks, range));
  const show = () => {
    const value = memory.values[control.id];
    const idle = control.needs && (memory.values[control.needs] === null || memory.values[control.needs] === undefined);
    row.classList.toggle("off", Boolean(idle));
    range.disabled = number.disabled = Boolean(idle);
    if (range.valueAsNumber !== value) range.value = value;
    // A slider with two sides is filled from its middle.
    const start = control.reset === 0 && control.low < 0 ? 0 : control.low;
    range.style.setProperty("--from", start === control.low ? "0%" : place(Math.min(start, value)));
    range.style.setProperty("--fill", place(Math.max(start, value)));
    if (number.getRootNode().activeElement !== number) number.value = value.toFixed(control.digits);
  };
  memory.rows.set(control.id, { show });
  return row;
}

function makeSeed(control, memory) {
  const id = `seed-${control.id}`;
  let wrong = null; // text that is no seed: it stays until it is mended
  const set = (value) => { wrong = null; memory.values[control.id] = value; changed(memory, true); };
  const step = (by) => set(((memory.values[control.id] ?? (by > 0 ? -1 : 1)) + by + SEEDS) % SEEDS);
  const take = (text) => {
    if (text === "" && control.optional) set(null);
    else if (/^[0-9]{1,10}$/.test(text) && Number(text) < SEEDS) set(Number(text));
    else { wrong = text; show(); memory.send("check", { id: control.id, text }); }
  };
  const input = el("input", {
    type: "text", inputMode: "numeric", autocomplete: "off", spellcheck: false, id, class: "number seed mono", placeholder: control.empty,
    onchange: () => take(input.value.trim()),
    onkeydown: (event) => {
      const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (by) { event.preventDefault(); step(by); }
    },
  });
  const button = (name, title, onclick) => el("button", { type: "button", title: `${control.label}: ${title}`, "aria-label": `${control.label}: ${title}`, onclick }, svg(name));
  const clear = control.optional ? button("close", "none", () => set(null)) : null;
  const problem = el("p", { class: "problem", id: `${id}-problem`, role: "alert", hidden: true });
  const row = el("div", { class: "row" }, makeLabel(control, id), el("div", { class: "seedbox" }, clear,
    button("left", "previous seed", () => step(-1)), input, button("right", "next seed", () => step(1)),
    button("dice", "any seed", () => set(Math.floor(Math.random() * 100000)))), problem);
  let shown = null;
  const show = () => {
    const value = memory.values[control.id];
    const text = value === null || value === undefined ? "" : String(value);
    if (text !== shown) wrong = null;
    const typing = input.getRootNode().activeElement === input;
    if (text !== shown || (!typing && wrong === null)) input.value = text; // what is being typed stays
    shown = text;
    const told = memory.problem;
    problem.textContent = wrong !== null && told?.id === control.id && told.text === wrong ? told.words : "";
    problem.hidden = wrong === null;
    input.setAttribute("aria-invalid", wrong !== null);
    if (wrong === null) input.removeAttribute("aria-describedby");
    else input.setAttribute("aria-describedby", problem.id);
    const idle = Boolean(control.needs) && memory.values[control.needs] !== control.needs_value;
    row.classList.toggle("off", idle);
    row.querySelectorAll("input, button").forEach((part) => { part.disabled = idle; });
    if (clear) clear.style.visibility = text === "" && wrong === null ? "hidden" : "visible";
  };
  memory.rows.set(control.id, { show });
  return row;
}

function makeChoice(control, memory) {
  const set = (value) => { memory.values[control.id] = value; changed(memory, true); };
  if (control.options.length > 4) return makeSelect(control, memory, set);
  const buttons = control.options.map(([value, text], index) => el("button", {
    type: "button", role: "radio", textContent: text, onclick: () => set(value),
    onkeydown: (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const next = (index + by + buttons.length) % buttons.length;
      buttons[next].focus();
      set(control.options[next][0]);
    },
  }));
  const show = () => buttons.forEach((button, index) => {
    const chosen = memory.values[control.id] === control.options[index][0];
    button.setAttribute("aria-checked", chosen);
    button.tabIndex = chosen ? 0 : -1;
  });
  memory.rows.set(control.id, { show });
  return el("div", { class: "row" }, makeLabel(control), el("div", { class: "options", role: "radiogroup", "aria-label": control.label }, ...buttons));
}

function makeSelect(control, memory, set) {
  const id = `choice-${control.id}`;
  const select = el("select", { id, onchange: () => set(control.options[select.selectedIndex][0]) },
    ...control.options.map(([, text]) => el("option", { textContent: text })));
  const show = () => { select.selectedIndex = control.options.findIndex(([value]) => value === memory.values[control.id]); };
  memory.rows.set(control.id, { show });
  return el("div", { class: "row" }, makeLabel(control, id), select);
}

const MAKERS = { slider: makeSlider, seed: makeSeed, choice: makeChoice };
