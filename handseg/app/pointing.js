// A photo to point at: clicks, boxes, strokes, and points that are dragged or removed. Places are
// sent as shares of the picture's sides, so it does not matter how large it is on the screen.
const STILL = 6; // CSS px that a finger may slip while it clicks.
const STEP = 2; // CSS px between two places of a stroke, at least.
const PATIENCE = 10_000; // ms until strokes that have not arrived are sent again.

export default function ({ parentElement, data, setTriggerValue }) {
  const view = parentElement.querySelector(".view");
  const sheet = view.querySelector(".sheet");
  const drawn = view.querySelector(".drawn");
  const [left, top, width, height] = data.frame;

  view.dataset.tool = data.tool;
  view.dataset.frame = data.frame.join(" ");
  view.style.aspectRatio = `${width} / ${height}`;
  sheet.style.transform = "";
  drawn.hidden = true;
  const picture = view.querySelector("img");
  if (picture.src !== data.picture) picture.src = data.picture;
  drawLines(view.querySelector(".lines"), data);
  const brush = ["add", "erase"].includes(data.tool);
  // Strokes that are being drawn, or on their way; they stay over the picture until they are in it.
  view.strokes = (view.strokes ?? []).filter((stroke) => stroke.id > data.painted);
  const paint = view.querySelector(".paint");
  const ring = paint.querySelector(".ring");
  ring.setAttribute("r", data.radius);
  paint.setAttribute("viewBox", data.frame.join(" "));
  paint.replaceChildren(...view.strokes.map((stroke) => stroke.line), ring);
  showRing();
  report();
  view.querySelector(".marks").replaceChildren(...data.names.map(asName), ...data.points.map(asPoint));

  function percent(x, y) {
    return { left: `${((x + 0.5 - left) / width) * 100}%`, top: `${((y + 0.5 - top) / height) * 100}%` };
  }

  function asName({ text, x, y }) {
    const name = document.createElement("span");
    name.textContent = text;
    Object.assign(name.style, percent(x, y));
    return name;
  }

  function asPoint({ hand, number, x, y, label }) {
    const point = document.createElement("button");
    const where = label ? "on" : "off";
    point.className = `point ${where}`;
    point.title = "Drag to move it, click to remove it";
    point.ariaLabel = `Point ${where} hand ${hand + 1}. Press Enter to remove it.`;
    point.place = { hand, number, at: [x, y] };
    Object.assign(point.dataset, { x, y });
    Object.assign(point.style, percent(x, y));
    point.onclick = (event) => {
      if (event.detail === 0) send({ do: "remove", ...point.place }); // by the keyboard
    };
    return point;
  }

  function send(action) {
    setTriggerValue("action", { ...action, frame: data.frame });
  }

  // Strokes that are drawn meanwhile wait for the next one: a report stops the script that runs.
  function report() {
    const strokes = view.strokes.filter(({ done }) => done);
    view.reported = strokes.length ? Date.now() : 0;
    if (strokes.length)
      send({
        do: "paint",
        strokes: strokes.map(({ id, erase, radius, points }) => ({ id, erase, radius, points })),
      });
  }

  function shares(event) {
    const box = view.getBoundingClientRect();
    const middle = 0.5 / window.devicePixelRatio; // of the pixel of the screen
    return [
      (event.clientX + middle - box.left) / box.width,
      (event.clientY + middle - box.top) / box.height,
    ];
  }

  function inPhoto(event) {
    const [across, down] = shares(event);
    const [left, top, width, height] = view.dataset.frame.split(" ").map(Number); // as it is now
    return [left + across * width - 0.5, top + down * height - 0.5];
  }

  function hover(event) {
    view.hover = event;
    showRing();
  }

  function showRing() {
    const middle = [left + (width - 1) / 2, top + (height - 1) / 2]; // how large the brush is
    const [x, y] = view.hover ? inPhoto(view.hover) : middle;
    ring.setAttribute("cx", x + 0.5);
    ring.setAttribute("cy", y + 0.5);
  }

  function slipped(event, start) {
    return Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > STILL;
  }

  const gestures = {
    point: (start) => {
      const point = start.target;
      let dragged = false;
      return {
        move: (event) => {
          dragged ||= slipped(event, start);
          if (!dragged) return;
          const [x, y] = shares(event);
          Object.assign(point.style, { left: `${x * 100}%`, top: `${y * 100}%` });
        },
        end: (event) => {
          const [x, y] = shares(event);
          send(dragged ? { do: "move", ...point.place, x, y } : { do: "remove", ...point.place });
        },
        stop: () => Object.assign(point.style, percent(+point.dataset.x, +point.dataset.y)),
      };
    },
    box: (start) => {
      const [x1, y1] = shares(start);
      return {
        move: (event) => {
          const [x2, y2] = shares(event).map((share) => Math.min(Math.max(share, 0), 1));
          drawn.hidden = false;
          Object.assign(drawn.style, {
            left: `${Math.min(x1, x2) * 100}%`,
            top: `${Math.min(y1, y2) * 100}%`,
            width: `${Math.abs(x2 - x1) * 100}%`,
            height: `${Math.abs(y2 - y1) * 100}%`,
          });
        },
        end: (event) => {
          const [x2, y2] = shares(event);
          if (slipped(event, start)) send({ do: "box", x1, y1, x2, y2 });
          else drawn.hidden = true;
        },
        stop: () => (drawn.hidden = true),
      };
    },
    brush: (start) => {
      const stroke = {
        id: performance.timeOrigin + start.timeStamp,
        erase: data.tool === "erase",
        radius: data.radius,
        points: [],
        line: draw("path", { class: `stroke ${data.tool}`, "stroke-width": 2 * data.radius }),
      };
      let last = null;
      const add = (event) => {
        stroke.points.push(inPhoto(event).map((value) => Math.round(value * 100) / 100));
        last = event;
      };
      const show = () => {
        const places = stroke.points.map(([x, y]) => `${x + 0.5} ${y + 0.5}`);
        stroke.line.setAttribute("d", `M${places[0]}L${places.join("L")}`);
      };
      add(start);
      show();
      hover(start);
      view.strokes.push(stroke);
      paint.prepend(stroke.line);
      return {
        move: (event) => {
          const all = event.getCoalescedEvents?.() ?? []; // not on plain http
          for (const one of all.length ? all : [event])
            if (Math.hypot(one.clientX - last.clientX, one.clientY - last.clientY) >= STEP) add(one);
          show();
          hover(event);
        },
        end: (event) => {
          add(event);
          show();
          stroke.done = true;
          if (Date.now() - view.reported > PATIENCE) report();
        },
        stop: () => {
          view.strokes = view.strokes.filter((other) => other !== stroke);
          stroke.line.remove();
        },
      };
    },
    picture: (start) => {
      let dragged = false;
      let [across, down] = [0, 0];
      return {
        move: (event) => {
          dragged ||= slipped(event, start);
          if (!dragged) return;
          const box = view.getBoundingClientRect();
          const move = (by, side, first, share, room) =>
            Math.min(Math.max((-by / side) * share, -first), room - first - share) / share;
          across = move(event.clientX - start.clientX, box.width, left, width, data.photo[0]);
          down = move(event.clientY - start.clientY, box.height, top, height, data.photo[1]);
          sheet.style.transform = `translate(${-across * 100}%, ${-down * 100}%)`;
        },
        end: (event) => {
          const [x, y] = shares(event);
          if (Math.abs(across * width) >= 1 || Math.abs(down * height) >= 1)
            send({ do: "pan", across, down });
          else sheet.style.transform = "";
          if (!dragged && data.tool === "point") send({ do: "click", x, y });
        },
        stop: () => (sheet.style.transform = ""),
      };
    },
  };

  view.onpointerdown = (start) => {
    if (!start.isPrimary || start.button) return;
    const onPoint = start.target.classList.contains("point");
    const kind = brush ? "brush" : onPoint ? "point" : data.tool === "box" ? "box" : "picture";
    const gesture = gestures[kind](start);
    const finish = (what) => (event) => {
      if (event.pointerId !== start.pointerId) return;
      view.onpointermove = view.onpointerup = view.onpointercancel = null;
      gesture[what](event);
    };
    view.setPointerCapture(start.pointerId);
    view.onpointermove = (event) => event.pointerId === start.pointerId && gesture.move(event);
    view.onpointerup = finish("end");
    view.onpointercancel = finish("stop");
  };
  view.onmousemove = hover;
  view.onmouseleave = () => hover(null);
}

function draw(name, attributes) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
  return shape;
}

function drawLines(svg, { frame, hands, boxes }) {
  svg.setAttribute("viewBox", frame.join(" "));
  svg.replaceChildren(
    ...hands.map(({ path, color }) =>
      draw("path", { d: path, fill: color, stroke: color, class: "hand" })),
    ...boxes.map(({ box: [x1, y1, x2, y2], color }) =>
      draw("rect", { x: x1 + 0.5, y: y1 + 0.5, width: x2 - x1, height: y2 - y1, stroke: color })),
  );
}
