
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
all(".steps").forEach(figure => {
  const turns = all(".turn", figure), jumps = all("[data-jump]", figure), goes = all("[data-go]", figure);
  const bar = figure.querySelector(".steps-bar"), at = figure.querySelector(".steps-at");
  const stages = 4, last = turns.length * stages - 1;
  let place = 0;
  const show = wanted => {
    place = Math.min(Math.max(wanted, 0), last);
    const turn = Math.floor(place / stages), stage = String(place % stages);
    turns.forEach((t, i) => {
      t.hidden = i !== turn;
      all("[data-stage]", t).forEach(part => {
        part.classList.toggle("on", part.dataset.stage === stage);
        if (part.matches(".told")) part.hidden = part.dataset.stage !== stage;
      });
    });
    press(jumps, jumps[turn]);
    goes.forEach(b => {  // not `disabled`: a button that is takes the keyboard's focus with it
      const to = place + Number(b.dataset.go);
      b.setAttribute("aria-disabled", String(to < 0 || to > last));
    });
    at.textContent = "step " + (place + 1) + " of " + (last + 1);
  };
  goes.forEach(b => b.addEventListener("click", () => show(place + Number(b.dataset.go))));
  jumps.forEach((b, i) => b.addEventListener("click", () => show(i * stages)));
  turns.forEach((t, i) => all(".chain [data-stage]", t).forEach(part =>
    part.addEventListener("click", () => show(i * stages + Number(part.dataset.stage)))));
  figure.addEventListener("keydown", event => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    show(to);
  });
  bar.hidden = false;
  figure.classList.add("live");
  show(0);
});

addEventListener("beforeprint", () => all(".deep").forEach(d => { d.open = true; }));  // samples print as they stand: open or closed
