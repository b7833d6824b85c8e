"use strict";
(() => {
  const data = JSON.parse(document.getElementById("columns").textContent);
  const slider = document.getElementById("moment"), out = document.getElementById("reading");
  const svg = document.querySelector("figure svg"), cursor = document.getElementById("cursor");
  document.documentElement.classList.add("scripted");
  const x = (n) => data.left + (n + 0.5) * data.step;
  const show = (n) => {
    const text = data.columns[n];
    slider.value = n;
    slider.setAttribute("aria-valuetext", text);
    out.textContent = text;
    cursor.setAttribute("x1", x(n));
    cursor.setAttribute("x2", x(n));
    cursor.setAttribute("visibility", "visible");
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  slider.addEventListener("focus", () => show(Number(slider.value)));
  svg.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const n = Math.floor((at - data.left) / data.step);
    if (n >= 0 && n < data.columns.length) show(n);
  });
})();
