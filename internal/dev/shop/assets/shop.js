// What the shop tells the tracker. The calls wait in the list until the tracker
// has loaded; where it never does, nobody notices.
"use strict";
window.madansara = window.madansara || [];
document.addEventListener("DOMContentLoaded", () => {
  const calls = document.body.dataset.calls;
  if (calls) window.madansara.push(...JSON.parse(calls));
  for (const form of document.querySelectorAll("form[data-adds]")) {
    form.addEventListener("submit", () => {
      const { adds, name, price, currency } = form.dataset;
      const quantity = Number(form.elements.quantity.value);
      window.madansara.push(["track", "Product Added", { product_id: adds, name, price: Number(price), currency, quantity }]);
    });
  }
  for (const button of document.querySelectorAll("button[data-consents]")) {
    button.addEventListener("click", () => {
      const yes = button.dataset.consents === "yes";
      window.madansara.push(["consent", yes]);
      document.getElementById("answer").textContent = yes ? "Thank you. Your visits help us choose." : "Done. Nothing is recorded from here on.";
    });
  }
});
