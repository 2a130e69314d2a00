// What every page owes to whoever looks at it, or listens to it. Each of these answers with a list of faults.

/** Nothing is wider than the window, and every cell of a table is in it or in a region that scrolls and has a name. */
export const cutOff = (page) => page.evaluate(() => {
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const cell of document.querySelectorAll("td, th, dd, button, a, input, select")) {
    if (!cell.checkVisibility() || cell.closest(".unseen, .skip, thead")) continue;
    const box = cell.getBoundingClientRect();
    const region = cell.closest('[role="region"][tabindex="0"]');
    const isNamed = region && (region.hasAttribute("aria-label") || region.hasAttribute("aria-labelledby"));
    if (!isNamed && (box.right > innerWidth + 1 || box.left < -1)) faults.push(cell.outerHTML.slice(0, 120));
  }
  return faults;
});

/** Cells that one would have to scroll sideways for, other than in the tables behind charts. */
export const foldedAway = (page) => page.evaluate(() => [...document.querySelectorAll("td")]
  .filter((cell) => cell.checkVisibility() && !cell.closest("figure") && cell.getBoundingClientRect().right > innerWidth)
  .map((cell) => cell.outerHTML.slice(0, 120)));

/** Controls without a name. */
export const nameless = (page) => page.evaluate(() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
  .filter((control) => control.checkVisibility() && !control.textContent.trim() && !control.labels?.length && !control.getAttribute("aria-label"))
  .map((control) => control.outerHTML));

/** Buttons, fields and links of lists and menus that are lower than a finger; links within sentences may be. */
export const tooSmall = (page) => page.evaluate(() => [...document.querySelectorAll("button, input:not([type=hidden]), select, summary, nav a, .button, .brand")]
  .filter((control) => control.checkVisibility() && control.getBoundingClientRect().height < 40)
  .map((control) => `${Math.round(control.getBoundingClientRect().height)} high: ${control.outerHTML.slice(0, 120)}`));

/** Texts whose colour is less than 4.5 to 1 against what is behind it; 3 to 1 where it is large. */
export const faint = (page) => page.evaluate(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((byte) => byte / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const grounds = [];
    for (let at = node; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    return [getComputedStyle(document.documentElement).backgroundColor, ...grounds];
  };
  const faults = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest(".unseen, .skip, noscript, script, [aria-disabled], :disabled")) continue;
    const style = getComputedStyle(node);
    const grounds = behind(node);
    const [light, dark] = [luminance(over(...grounds, style.color)), luminance(over(...grounds))].sort((one, other) => other - one);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < (isLarge ? 3 : 4.5)) faults.add(`${contrast.toFixed(2)}: ${node.outerHTML.slice(0, 120)}`);
  }
  return [...faults];
});
