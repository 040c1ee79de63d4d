// The dashboard's behaviour beyond links and forms: charts, theme, copy buttons, live previews, form rows.
// Everything here improves a page that works without it.
import { drawCharts, redrawCharts } from "./draw.js";

const root = document.documentElement;

function isDark() {
  if (root.dataset.theme) return root.dataset.theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function toggleTheme() {
  root.dataset.theme = isDark() ? "light" : "dark";
  document.cookie = `madansara_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  redrawCharts();
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source); // no clipboard without a secure origin: the text is selected instead
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = label), 2000);
}

const pending = new WeakMap();

// A form with data-live-preview posts itself through the named button (into a frame) shortly after a change.
function previewSoon(form) {
  clearTimeout(pending.get(form));
  pending.set(form, setTimeout(() => form.requestSubmit(document.getElementById(form.dataset.livePreview)), 400));
}

// What a condition's row asks for depends on its kind.
function fitRow(select) {
  const row = select.closest("[data-row]");
  for (const field of row.querySelectorAll("[data-for]")) {
    // Hidden fields are still sent, so that the n-th of each name belongs to the n-th row.
    field.hidden = !field.dataset.for.split(" ").includes(select.value);
  }
}

function fitRows(within = document) {
  for (const select of within.querySelectorAll("[data-row] [data-kind]")) fitRow(select);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-theme-toggle], [data-copy], [data-add-row], [data-remove-row]");
  if (!target) return;
  if (target.matches("[data-theme-toggle]")) toggleTheme();
  else if (target.matches("[data-copy]")) copy(target);
  else if (target.matches("[data-add-row]")) {
    const rows = document.getElementById(target.dataset.addRow);
    const row = document.getElementById(target.dataset.template).content.cloneNode(true);
    rows.append(row);
    fitRows(rows);
    rows.lastElementChild.querySelector("select, input").focus();
  } else {
    const form = target.closest("form");
    target.closest("[data-row]").remove();
    form.dispatchEvent(new Event("change", { bubbles: true }));
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-kind]")) fitRow(event.target);
  if (event.target.matches("[data-go]")) event.target.form.requestSubmit();
});

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-live-preview]");
  if (form) previewSoon(form);
});

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.target || event.submitter?.formTarget) return;
  if (form.dataset.sent) event.preventDefault();
  else form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

document.addEventListener("htmx:config:request", (event) => {
  // A page nobody looks at does not ask the server.
  if (document.hidden && event.target.matches("[data-poll]")) event.preventDefault();
});
document.addEventListener("htmx:after:swap", () => {
  drawCharts();
  fitRows();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);

drawCharts();
fitRows();
for (const form of document.querySelectorAll("form[data-live-preview]")) previewSoon(form);
