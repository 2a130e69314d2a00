// Buttons that copy a text of their page.

/** Each button that names a text by `data-copy` copies it; `say` tells a screen reader. */
export function offerCopies(place, say) {
  for (const button of place.querySelectorAll("[data-copy]")) {
    const [label, source] = [button.firstChild, document.getElementById(button.dataset.copy)];
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
        label.data = "Copied";
        say("Copied");
      } catch {
        // Plain HTTP has no clipboard; a selection is the next best thing.
        getSelection().selectAllChildren(source);
        label.data = "Selected";
        say("Selected. Copy it with your keyboard.");
      }
      setTimeout(() => { label.data = "Copy"; }, 2000);
    });
  }
}
