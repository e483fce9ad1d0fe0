let since = Date.now();
setInterval(async () => {
  const notice = document.getElementById("refresh");
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(`the daemon answered ${answer.status}`);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = new Set([...document.querySelectorAll("details[open]")].map((found) => found.id));
    for (const found of next.querySelectorAll("details")) found.open = open.has(found.id);
    const kept = document.activeElement?.id;
    for (const part of ["header", "main"]) document.querySelector(part).replaceWith(next.querySelector(part));
    if (kept) document.getElementById(kept)?.focus({ preventScroll: true });
    since = Date.now();
  } catch (error) {
    notice.textContent = `This page is ${Math.round((Date.now() - since) / 1000)} s old: ${error.message}.`;
    notice.hidden = false;
  }
}, 5000);
