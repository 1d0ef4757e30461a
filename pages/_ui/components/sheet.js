// The report may run nothing and reach nothing: an empty sandbox, beside the rules in the report itself.
export default function (component) {
  const { data } = component;
  const [root, memory] = rootOf(component);
  if (memory.tag === data.tag) return;
  memory.tag = data.tag;
  const frame = el("iframe", { class: "sheet", title: data.title, style: { height: `${data.height}px` } });
  frame.setAttribute("sandbox", "");
  frame.srcdoc = data.html;
  root.replaceChildren(frame);
}
