// A link to something inside a fold opens the fold.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.querySelectorAll(":scope > details.more").forEach((fold) => { fold.open = true; });
  target.scrollIntoView();
}
addEventListener("hashchange", unfold);
addEventListener("DOMContentLoaded", unfold);

// A click on a figure shows it alone, where it can be enlarged.
addEventListener("click", (event) => {
  if (event.target.matches("article img")) location.href = event.target.src;
});
