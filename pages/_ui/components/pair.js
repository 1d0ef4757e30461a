// Both pictures come as one file and are drawn from it onto two canvases at the same moment.
const MARK_MS = 900;  // how long an answer stays marked before the next pair

export default function (component) {
  const { data, setTriggerValue } = component;
  const [root, memory] = rootOf(component);
  memory.send = setTriggerValue;
  memory.data = data;
  if (!memory.box) build(root, memory);
  memory.ask.textContent = data.ask;
  memory.neither.hidden = !data.neither;
  if (memory.shown === data.tag) return;
  const next = new Image();
  memory.loading = data.tag;
  next.onload = () => { if (memory.loading === data.tag) mark(memory, data, () => show(memory, next, data)); };
  next.src = data.src;
}

function build(root, memory) {
  memory.halves = ["left", "right"].map((side) => el("button", {
    class: "pair-half", type: "button", tabIndex: -1, "aria-label": `The ${side} one`, onclick: () => choose(memory, side),
  }, el("canvas", {}), el("span", { class: "verdict", hidden: true })));
  memory.ask = el("span", { class: "ask" });
  memory.count = el("span", { class: "mono", "aria-live": "polite" });
  memory.clock = el("div", {});
  memory.bar = el("div", {});
  memory.neither = el("button", { type: "button", textContent: "No difference", onclick: () => choose(memory, "neither") });
  memory.box = el("div", { class: "pair-box", tabIndex: 0, role: "group", "aria-label": "Choose a picture with the arrow keys" },
    el("div", { class: "pair-head" }, memory.ask, memory.count),
    el("div", { class: "pair-clock" }, memory.clock),
    el("div", { class: "pair-row" }, ...memory.halves),
    el("div", { class: "pair-bar" }, memory.bar),
    el("div", { class: "pair-foot" }, el("span", { class: "keys" }, el("kbd", { textContent: "←" }), " left · right ", el("kbd", { textContent: "→" })), memory.neither));
  root.replaceChildren(memory.box);
  memory.box.addEventListener("keydown", (event) => {
    const side = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "neither" }[event.key];
    if (!side || (side === "neither" && !memory.data.neither)) return;
    event.preventDefault();
    choose(memory, side);
  });
}

function show(memory, image, data) {
  memory.shown = data.tag;
  memory.count.textContent = `${data.round + 1} of ${data.rounds}`;
  memory.bar.style.width = `${(100 * data.round) / data.rounds}%`;
  memory.box.classList.remove("waiting", "marked", "covered");
  memory.halves.forEach((half, i) => {
    half.classList.remove("chosen", "good", "bad");
    half.querySelector(".verdict").hidden = true;
    const canvas = half.querySelector("canvas");
    const side = image.height;
    canvas.width = canvas.height = side;
    canvas.getContext("2d").drawImage(image, i * side, 0, side, side, 0, 0, side, side);
  });
  memory.began = performance.now();
  memory.ready = true;
  memory.box.dataset.round = data.round;
  if (!memory.isUsed) memory.box.focus({ preventScroll: true });
  memory.isUsed = true;
  clearTimeout(memory.cover);
  memory.clock.getAnimations().forEach((running) => running.cancel());
  memory.clock.hidden = !data.seconds;
  if (!data.seconds) return;
  memory.clock.animate([{ transform: "scaleX(1)" }, { transform: "scaleX(0)" }], { duration: 1000 * data.seconds, fill: "forwards" });
  memory.cover = setTimeout(() => memory.box.classList.add("covered"), 1000 * data.seconds);
}

function choose(memory, side) {
  if (!memory.ready) return;
  memory.ready = false;
  clearTimeout(memory.cover);
  memory.answered = { round: memory.data.round, at: performance.now() };
  memory.halves.forEach((half, i) => half.classList.toggle("chosen", side === ["left", "right"][i]));
  memory.box.classList.add("waiting");
  memory.send("answer", { round: memory.data.round, side, seconds: (performance.now() - memory.began) / 1000 });
}

// What was right of the last answer is shown on its own pair before the next one takes the place.
function mark(memory, data, then) {
  const told = data.told;
  if (!told || !memory.answered || told.round !== memory.answered.round) return then();
  memory.box.classList.remove("waiting", "covered");
  memory.box.classList.add("marked");
  memory.halves.forEach((half, i) => {
    const side = ["left", "right"][i];
    half.classList.toggle("good", side === told.right);
    half.classList.toggle("bad", side !== told.right && half.classList.contains("chosen"));
    const words = half.querySelector(".verdict");
    words.textContent = side === told.right ? "real" : "generated";
    words.hidden = false;
  });
  setTimeout(then, MARK_MS);
}
