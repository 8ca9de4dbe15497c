// Moves the divider, changes the size, and draws the plots of the page.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const viewer = document.getElementById("viewer");
  const split = document.getElementById("split");
  const stacks = Array.from(viewer.querySelectorAll(".stack"));

  // Of a picture that is larger than its frame, the divider lies in what is seen of it.
  function seen(stack) {
    const frame = stack.parentElement;
    return { left: frame.scrollLeft, width: Math.min(frame.clientWidth, stack.offsetWidth) };
  }

  function moveDivider() {
    for (const stack of stacks) {
      const { left, width } = seen(stack);
      stack.style.setProperty("--split", `${left + (width * split.value) / 100}px`);
    }
    split.setAttribute("aria-valuetext", `${split.value} % of the width is the original`);
  }

  function setZoom() {
    const zoom = viewer.querySelector("input[name=zoom]:checked").value;
    viewer.classList.toggle("at-fit", zoom === "fit");
    viewer.classList.toggle("at-3", zoom === "3");
    for (const stack of stacks) {
      const { width, height } = stack.dataset;
      // At 100 %, a pixel of the picture is one of the screen.
      stack.style.width = zoom === "fit"
        ? `min(${width}px, ${(80 * width) / height}vh)`
        : `${(width * zoom) / window.devicePixelRatio}px`;
    }
    moveDivider();
  }

  function setShown() {
    const shown = viewer.querySelector("input[name=shown]:checked").value;
    viewer.classList.toggle("differs", shown === "difference");
  }

  function follow(stack, event) {
    const box = stack.getBoundingClientRect();
    const { left, width } = seen(stack);
    split.value = (100 * (event.clientX - box.left - left)) / width;
    moveDivider();
  }

  for (const stack of stacks) {
    stack.parentElement.addEventListener("scroll", moveDivider);
    stack.addEventListener("pointerdown", (event) => follow(stack, event));
    stack.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) {
        follow(stack, event);
      }
    });
  }
  split.addEventListener("input", moveDivider);
  document.getElementById("zoom").addEventListener("change", setZoom);
  document.getElementById("shown").addEventListener("change", setShown);
  window.addEventListener("resize", moveDivider);
  setZoom();
  setShown();

  // The plots, in the colors of the page.

  const config = { displayModeBar: false, responsive: true };

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function axis(title, more) {
    return Object.assign(
      {
        title: { text: title }, gridcolor: color("line"), linecolor: color("quiet"),
        zerolinecolor: color("line"), automargin: true,
      },
      more,
    );
  }

  function layout(more) {
    return Object.assign(
      {
        paper_bgcolor: color("paper"), plot_bgcolor: color("paper"),
        font: { color: color("ink"), family: "system-ui, sans-serif", size: 13 },
        margin: { l: 60, r: 20, t: 20, b: 50 }, showlegend: false, hovermode: "closest",
      },
      more,
    );
  }

  function line(x, y, name, hue, text) {
    return {
      x, y, name, text, mode: "lines+markers", hovertemplate: "%{text}<extra></extra>",
      line: { color: hue }, marker: { color: hue, size: 8 },
    };
  }

  function ring(x, y) {
    return {
      x, y, name: "this file", mode: "markers", hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 18, color: color("ink"), line: { width: 2 } },
    };
  }

  function tell(trial) {
    return `${trial.n_colors} colors, lossy ${trial.lossy}<br>` +
      `${trial.n_bytes.toLocaleString("en")} bytes, score ${trial.score.toFixed(2)}`;
  }

  const bytes = { rangemode: "tozero", tickformat: "~s", ticksuffix: "B" };

  // Below 0, scores say no more than that a picture is bad, and would flatten the rest.
  function scores(trials) {
    const found = trials.map((trial) => trial.score);
    const [least, most] = [Math.max(0, Math.min(...found)), Math.max(1, ...found)];
    const margin = Math.max(2, 0.15 * (most - least));
    return [least - margin, most + margin];
  }

  function drawTrace() {
    const percent = data.trace.inertia.map((inertia) => 100 * inertia);
    const text = percent.map((p, i) => `iteration ${data.trace.iterations[i]}: ${p.toFixed(3)} %`);
    Plotly.react(
      "trace",
      [line(data.trace.iterations, percent, "inertia", color("one"), text)],
      layout({ xaxis: axis("iteration"), yaxis: axis("inertia", { ticksuffix: " %" }) }),
      config,
    );
  }

  function drawRate() {
    const curves = [
      ["by colors", data.byColors, color("one")],
      ["by lossy", data.byLossy, color("two")],
    ].filter(([, trials]) => trials.length > 1);
    const lines = curves.map(([name, trials, hue]) =>
      line(trials.map((t) => t.n_bytes), trials.map((t) => t.score), name, hue, trials.map(tell)));
    const legend = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" };
    Plotly.react(
      "rate",
      [...lines, ring([data.chosen.n_bytes], [data.chosen.score])],
      layout({
        xaxis: axis("bytes", bytes), yaxis: axis("SSIMULACRA 2", { range: scores(curves.flatMap((curve) => curve[1])) }),
        showlegend: true, legend, margin: { l: 60, r: 20, t: 40, b: 50 },
      }),
      config,
    );
  }

  function drawPair(place, trials, key, title, more) {
    const x = trials.map((trial) => trial[key]);
    const text = trials.map(tell);
    const chosen = [data.chosen[key]];
    const below = { xaxis: "x", yaxis: "y2" };
    Plotly.react(
      place,
      [
        line(x, trials.map((t) => t.score), "SSIMULACRA 2", color("one"), text),
        ring(chosen, [data.chosen.score]),
        Object.assign(line(x, trials.map((t) => t.n_bytes), "bytes", color("two"), text), below),
        Object.assign(ring(chosen, [data.chosen.n_bytes]), below),
      ],
      layout({
        xaxis: axis(title, Object.assign({ anchor: "y2" }, more)),
        yaxis: axis("SSIMULACRA 2", { domain: [0.54, 1], range: scores(trials) }),
        yaxis2: axis("bytes", { domain: [0, 0.46], ...bytes }),
      }),
      config,
    );
  }

  function css(levels) {
    return `rgb(${levels.join(",")})`;
  }

  function points(colors, marker, text) {
    const [x, y, z] = [0, 1, 2].map((channel) => colors.map((levels) => levels[channel]));
    return {
      type: "scatter3d", mode: "markers", x, y, z, text, hovertemplate: "%{text}<extra></extra>",
      marker: Object.assign({ color: colors.map(css), opacity: 1 }, marker),
    };
  }

  function drawCube() {
    const place = document.getElementById("cube");
    if (!document.createElement("canvas").getContext("webgl")) {
      place.textContent = "This browser draws nothing in three dimensions (WebGL is off).";
      document.getElementById("turns").hidden = true;
      return;
    }
    const { colors, pixels } = data.cubes;
    const total = pixels.reduce((sum, count) => sum + count, 0);
    const sizes = pixels.map((count) => 3 + 25 * Math.cbrt(count / total));
    const shares = data.centers.shares.map((share) => `${(100 * share).toFixed(2)} %`);
    const of = (name, more) => axis(name, Object.assign({ range: [0, 255], backgroundcolor: color("paper") }, more));
    Plotly.react(
      place,
      [
        points(
          colors, { size: sizes, sizemode: "diameter", opacity: 0.55, line: { width: 0 } },
          colors.map((levels, i) => `${css(levels)}<br>${pixels[i].toLocaleString("en")} pixels`),
        ),
        points(
          data.centers.colors,
          { size: 5, symbol: "square", line: { width: 1, color: color("ink") } },
          data.centers.colors.map((levels, i) => `center ${css(levels)}<br>${shares[i]}`),
        ),
      ],
      layout({
        margin: { l: 0, r: 0, t: 0, b: 0 }, uirevision: "kept",
        scene: {
          xaxis: of("red"), yaxis: of("green"), zaxis: of("blue"), aspectmode: "cube",
          camera: { eye: eye(), center: { x: 0, y: 0, z: -0.15 } },
        },
      }),
      config,
    );
  }

  // The camera, for those who have no mouse.
  const camera = { turn: 45, tilt: 25, distance: window.innerWidth < 500 ? 2.8 : 2.3 };

  function eye() {
    const [turn, tilt] = [camera.turn, camera.tilt].map((degrees) => (degrees * Math.PI) / 180);
    const flat = camera.distance * Math.cos(tilt);
    return {
      x: flat * Math.cos(turn), y: flat * Math.sin(turn), z: camera.distance * Math.sin(tilt),
    };
  }

  document.getElementById("turns").addEventListener("click", (event) => {
    const { turn, tilt } = event.target.dataset;
    camera.turn += 15 * Number(turn || 0);
    camera.tilt = Math.max(-85, Math.min(85, camera.tilt + 15 * Number(tilt || 0)));
    Plotly.relayout("cube", { "scene.camera.eye": eye() });
  });

  // A plot is drawn when it is near what is seen, so that a page opens at once.
  const plots = {
    cube: drawCube,
    trace: drawTrace,
    rate: drawRate,
    "by-colors": () => drawPair("by-colors", data.byColors, "n_colors", "colors", {
      type: "log", tickvals: data.byColors.map((trial) => trial.n_colors),
    }),
    "by-lossy": () => drawPair("by-lossy", data.byLossy, "lossy", "lossy", {}),
  };
  const drawn = new Set();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
        observer.unobserve(target);
        drawn.add(target.id);
        plots[target.id]();
      }
    },
    { rootMargin: "200px" },
  );
  for (const place of document.querySelectorAll(".plot")) {
    observer.observe(place);
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    drawn.forEach((name) => plots[name]());
  });
})();
