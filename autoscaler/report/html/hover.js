for (const canvas of document.querySelectorAll(".canvas")) {
  const source = canvas.parentElement.querySelector("script[type='application/json']");
  const plot = canvas.querySelector(".plot"), cursor = canvas.querySelector(".cursor"), out = canvas.querySelector(".readout");
  let data;
  const hide = () => { cursor.style.visibility = out.style.visibility = "hidden"; };
  canvas.addEventListener("pointermove", (event) => {
    data ||= JSON.parse(source.textContent);
    const box = canvas.getBoundingClientRect(), inner = plot.getBoundingClientRect();
    const left = inner.left - box.left, width = inner.width;
    const share = (event.clientX - inner.left) / width;
    if (share < 0 || share > 1 || !data.x.length) return hide();
    let at = data.x.findIndex((x) => x > share);
    at = (at < 0 ? data.x.length : at) - 1;
    if (at < 0) return hide();
    const x = data.x[at] * width;
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x);
    out.textContent = [data.t[at], ...data.s.map((s) => `${s.n}: ${s.y[at] ?? "–"}`)].join("\n");
    out.style.left = share > 0.5 ? "auto" : `${left + x + 10}px`;
    out.style.right = share > 0.5 ? `${box.width - left - x + 10}px` : "auto";
    cursor.style.visibility = out.style.visibility = "visible";
  });
  canvas.addEventListener("pointerleave", hide);
}
