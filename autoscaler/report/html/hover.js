const readings = new WeakMap();
let shown;
const hide = () => {
  if (shown) for (const part of shown.querySelectorAll(".cursor, .readout")) part.style.visibility = "hidden";
  shown = undefined;
};
document.addEventListener("pointermove", (event) => {
  const canvas = event.target.closest?.(".canvas");
  if (canvas !== shown) hide();
  if (!canvas) return;
  if (!readings.has(canvas)) {
    readings.set(canvas, JSON.parse(canvas.parentElement.querySelector("script[type='application/json']").textContent));
  }
  const data = readings.get(canvas);
  const plot = canvas.querySelector(".plot"), cursor = canvas.querySelector(".cursor"), out = canvas.querySelector(".readout");
  const box = canvas.getBoundingClientRect(), inner = plot.getBoundingClientRect();
  const share = (event.clientX - inner.left) / inner.width, next = data.x.findIndex((x) => x > share);
  const at = (next < 0 ? data.x.length : next) - 1;
  if (share < 0 || share > 1 || at < 0) return hide();
  const x = data.x[at] * inner.width, left = inner.left - box.left;
  cursor.setAttribute("x1", x); cursor.setAttribute("x2", x);
  out.textContent = [data.t[at], ...data.s.map((s) => `${s.n}: ${s.y[at] ?? "–"}`)].join("\n");
  out.style.left = share > 0.5 ? "auto" : `${left + x + 10}px`;
  out.style.right = share > 0.5 ? `${box.width - left - x + 10}px` : "auto";
  cursor.style.visibility = out.style.visibility = "visible";
  shown = canvas;
});
