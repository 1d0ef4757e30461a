const RUN_MS = 1500; // what a hand does with shorter pauses than this is one step of the browser's Back
const HANDS = ["keydown", "pointerdown", "pointerup", "input"];

// The address follows what is shown. The first address of a page takes the place of the one it was opened with; later,
// each run of the hand is a step. When the browser goes back or forward, the page is asked to show that address, and
// until it has heard of it nothing is written: what it shows is still the old picture.
export default function (component) {
  const { data } = component;
  const [root, memory] = rootOf(component);
  memory.send = component.setTriggerValue;
  memory.path ??= location.pathname;
  memory.run ??= 0;
  memory.acted ??= -Infinity;
  if (!memory.listening) {
    memory.listening = true;
    memory.act ??= () => {
      const now = performance.now();
      if (now - memory.acted > RUN_MS) memory.run += 1;
      memory.acted = now;
    };
    memory.went ??= (event) => {
      if (location.pathname !== memory.path || modelIn(location.search) !== modelIn(`?${memory.query}`)) return;
      event.stopImmediatePropagation(); // Streamlit would run the page as well, which cannot tell Back from a late report
      memory.acted = -Infinity;
      memory.awaited = `${Date.now()}-${Math.random()}`;
      memory.send("went", { query: location.search.slice(1), id: memory.awaited });
    };
    HANDS.forEach((name) => addEventListener(name, memory.act, { capture: true, passive: true }));
    addEventListener("popstate", memory.went, { capture: true });
  }
  write(memory, data);
  return () => {
    memory.listening = false;
    HANDS.forEach((name) => removeEventListener(name, memory.act, { capture: true }));
    removeEventListener("popstate", memory.went, { capture: true });
  };
}

const modelIn = (search) => new URLSearchParams(search).get("model");

function write(memory, data) {
  if (location.pathname !== memory.path) return; // on the way to another page
  const isAnswer = Boolean(memory.awaited);
  if (isAnswer && data.heard !== memory.awaited) return;
  memory.awaited = null;
  const here = location.search.slice(1);
  // An address that is not ours was put there by a link, by Back, or by the choice of a model, which is a step already.
  const isStep = !isAnswer && here === memory.query && memory.run !== memory.written;
  memory.query = data.query;
  if (here === data.query) return;
  memory.written = memory.run;
  history[isStep ? "pushState" : "replaceState"]({}, "", `${location.pathname}?${data.query}`);
}
