// The picture of a crowd: one dot for each buyer, in the order of arrival.

const CELL = 24; // px, at most
const TALL = 300; // px, at most
const SIZES = { waiting: 0.16, refused: 0.24, failed: 0.36, accepted: 0.42 };

export class Crowd {
  constructor(canvas, size) {
    this.canvas = canvas;
    const width = canvas.clientWidth;
    // The largest cell with which all fit.
    let cell = CELL;
    while (cell > 2 && Math.ceil(size / Math.floor(width / cell)) * cell
        > TALL) {
      cell -= 1;
    }
    this.cell = cell;
    this.columns = Math.floor(width / cell);
    const scale = globalThis.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = Math.ceil(size / this.columns) * cell * scale;
    canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
    this.paint = canvas.getContext("2d");
    this.paint.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    this.colours = {
      waiting: style.getPropertyValue("--line"),
      accepted: style.getPropertyValue("--series-accepted"),
      refused: style.getPropertyValue("--dot"),
      failed: style.getPropertyValue("--series-failed"),
    };
    for (let i = 0; i < size; i += 1) {
      this.dot(i, "waiting"); // smaller, and nearly the ground's colour
    }
  }

  dot(number, kind) {
    const { cell, paint } = this;
    const x = (number % this.columns) * cell + cell / 2;
    const y = Math.floor(number / this.columns) * cell + cell / 2;
    paint.fillStyle = this.colours[kind];
    paint.beginPath();
    paint.arc(x, y, cell * SIZES[kind], 0, 2 * Math.PI);
    paint.fill();
  }
}
