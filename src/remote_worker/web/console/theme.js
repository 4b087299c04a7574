// Runs before the page is drawn, so that a chosen scheme never flashes.
"use strict";
document.documentElement.classList.add("script");
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's scheme is it.
}
