// Lines over time. The picture is for eyes only; a sentence and a table say the same.

import { el, table, write } from "./dom.js";

const HEIGHT = 190;
// Requests and microseconds are whole, and so are the steps of their axes.
const STEPS = Array.from({ length: 15 }, (_, zeros) => [1, 2, 5].map((digit) => digit * 10 ** zeros)).flat();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dark = matchMedia("(prefers-color-scheme: dark)");

/** A time in seconds since 1970, as fine as its neighbours are apart. */
function clock(seconds, apart) {
  const text = new Date(seconds * 1000).toISOString();
  if (apart >= 86400) return text.slice(5, 10);
  return text.slice(11, apart >= 60 ? 16 : 19);
}

/** The places of values that have no neighbours. */
const alone = (values) => values.flatMap((value, place) => (value != null && values[place - 1] == null && values[place + 1] == null ? [place] : []));

/**
 * A chart within `node`. Each line has a name, the variable of its colour, and perhaps dashes; `format` writes a value.
 * `show(times, columns, summary)` draws it anew.
 */
export function chart(node, title, lines, format) {
  const picture = el("div", { class: "picture", "aria-hidden": "true" });
  const summary = el("figcaption", { class: "hint" });
  const figures = el("table");
  const details = el("details", {}, el("summary", {}, "As a table"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}, as a table` }, figures));
  node.append(el("figure", { "aria-label": title }, picture, summary, details));
  const columns = ["UTC", ...lines.map(({ name }) => `#${name}`)];
  table(figures, title, columns, []);
  let [plot, data] = [null, null];

  const options = () => {
    const [ink, grid] = [colour("--soft"), { stroke: colour("--line"), width: 1 }];
    const font = "12px system-ui, sans-serif";
    const series = lines.map(({ name, stroke, dash, fill }) => ({
      label: name,
      stroke: colour(stroke),
      fill: fill ? `${colour(stroke)}22` : undefined,
      dash,
      width: 2,
      // A value between two that are not there has no line: it is a point.
      points: { show: false, size: 5, filter: (plot, place) => alone(plot.data[place]) },
      value: (_, value) => (value == null ? "–" : format(value)),
    }));
    return {
      width: picture.clientWidth || 300,
      height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false } },
      // A line along the bottom is seen better with some room above it.
      scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
      axes: [
        { stroke: ink, font, grid, ticks: grid, space: 72, values: (_, splits, __, ___, apart) => splits.map((at) => clock(at, apart)) },
        { stroke: ink, font, grid, ticks: grid, size: 64, incrs: STEPS, values: (_, splits) => splits.map(format) },
      ],
      series: [{ label: "UTC", value: (_, at) => (at == null ? "–" : clock(at, data[0].length > 1 ? data[0][1] - data[0][0] : 1)) }, ...series],
    };
  };
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(options(), data, picture);
  };
  const fill = () => {
    if (!details.open || !data) return;
    const [times, ...values] = data;
    const apart = times.length > 1 ? times[1] - times[0] : 1;
    const rows = times.map((at, place) => [clock(at, apart), ...values.map((column) => (column[place] == null ? "–" : format(column[place])))]);
    table(figures, title, columns, rows.reverse());
  };
  details.addEventListener("toggle", fill);
  dark.addEventListener("change", () => { if (data) draw(); });
  new ResizeObserver(() => { if (plot && picture.clientWidth) plot.setSize({ width: picture.clientWidth, height: HEIGHT }); }).observe(picture);

  return {
    show(times, columns, text) {
      data = [times, ...columns];
      if (plot) plot.setData(data);
      else draw();
      write(summary, text);
      fill();
    },
  };
}
