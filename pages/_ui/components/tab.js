const REST_MS = 1000; // a window that gets the focus also becomes visible: once is enough

export default function (component) {
  const [, memory] = rootOf(component);
  memory.send = component.setTriggerValue;
  memory.look ??= () => {
    const now = performance.now();
    if (document.visibilityState !== "visible" || now - (memory.looked ?? -Infinity) < REST_MS) return;
    memory.looked = now;
    memory.send("seen", true);
  };
  addEventListener("focus", memory.look);
  document.addEventListener("visibilitychange", memory.look);
  return () => {
    removeEventListener("focus", memory.look);
    document.removeEventListener("visibilitychange", memory.look);
  };
}
