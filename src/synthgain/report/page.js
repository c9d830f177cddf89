
"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const press = (buttons, chosen) => buttons.forEach(b => b.setAttribute("aria-pressed", String(b === chosen)));

all("section").forEach(section => {
  const cards = all(".sample", section), buttons = all("[data-show]", section), find = section.querySelector(".find");
  if (!cards.length) return;
  let group = "";
  const filter = () => {
    const word = find.value.toLowerCase();
    cards.forEach(card => {
      card.hidden = (group !== "" && card.dataset.group !== group) || (word !== "" && !card.textContent.toLowerCase().includes(word));
    });
  };
  buttons.forEach(button => button.addEventListener("click", () => { group = button.dataset.show; press(buttons, button); filter(); }));
  find.addEventListener("input", filter);
});

all(".toggles button").forEach(button => button.addEventListener("click", () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  button.closest("section").querySelector(".map").classList.toggle("without-" + button.dataset.toggle, !on);
}));

all(".map").forEach(map => {
  const reader = map.parentElement.querySelector(".reader");
  const read = event => {
    const title = event.target.querySelector && event.target.querySelector("title");
    if (title && event.target !== map) reader.textContent = title.textContent;
  };
  map.addEventListener("pointerover", read);
  map.addEventListener("click", read);
});

const tabs = all("[data-tab]"), panels = all("[data-panel]");
const open = name => {
  if (!panels.some(p => p.dataset.panel === name)) return;
  panels.forEach(p => { p.hidden = p.dataset.panel !== name; });
  press(tabs, tabs.find(t => t.dataset.tab === name));
};
if (tabs.length) {
  tabs.forEach(tab => tab.addEventListener("click", () => open(tab.dataset.tab)));
  open(tabs[tabs.length - 1].dataset.tab);
  const follow = () => { const m = /^#(round-\d+)/.exec(location.hash); if (m) open(m[1]); };
  addEventListener("hashchange", follow);
  follow();
}
addEventListener("beforeprint", () => all(".deep").forEach(d => { d.open = true; }));  // samples print as they stand: open or closed
