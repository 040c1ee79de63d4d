// Draws every [data-chart]: what to draw stands there as JSON, colours come from the style sheet.
const charts = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function formatter(unit) {
  if (unit?.currency) {
    const money = new Intl.NumberFormat("en-US", { style: "currency", currency: unit.currency });
    const short = new Intl.NumberFormat("en-US", { style: "currency", currency: unit.currency, notation: "compact", maximumFractionDigits: 1, minimumFractionDigits: 0, trailingZeroDisplay: "stripIfInteger" });
    const scale = 10 ** unit.exponent;
    // $788.1 reads as a mistake: below a thousand the short form has no decimals.
    return { full: (n) => money.format(n / scale), short: (n) => short.format(Math.abs(n / scale) < 1000 && Math.abs(n / scale) >= 10 ? Math.round(n / scale) : n / scale) };
  }
  const full = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
  return { full: (n) => full.format(n), short: (n) => short.format(n) };
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const longDayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const asDate = (day) => new Date(`${day}T00:00:00Z`);

// The tooltip is built of elements: HTML with style attributes is what the Content-Security-Policy forbids.
function tip(title, rows) {
  const box = document.createElement("div");
  box.className = "tip";
  const head = box.appendChild(document.createElement("div"));
  head.className = "tip-title";
  head.textContent = title;
  for (const { key, name, value } of rows) {
    const row = box.appendChild(document.createElement("div"));
    row.className = "tip-row";
    const swatch = row.appendChild(document.createElement("span"));
    swatch.className = `swatch ${key}`;
    row.appendChild(document.createElement("span")).textContent = name;
    const number = row.appendChild(document.createElement("strong"));
    number.textContent = value;
  }
  return box;
}

function base() {
  return {
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 300,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour("--muted"), fontSize: 11 },
    aria: { enabled: true, label: { enabled: false } },
    tooltip: {
      trigger: "axis",
      confine: true,
      className: "chart-tip",
      backgroundColor: colour("--surface-raised"),
      borderColor: colour("--line"),
      borderWidth: 1,
      padding: 0,
      textStyle: { color: colour("--text"), fontSize: 12 },
      axisPointer: { type: "line", lineStyle: { color: colour("--line-strong"), type: "solid" }, shadowStyle: { color: colour("--hover") } },
    },
  };
}

function seriesOption(spec) {
  const format = formatter(spec.unit);
  const accent = colour(spec.colour);
  const option = base();
  option.grid = { left: 4, right: 12, top: 12, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "axisLabel" };
  option.xAxis = {
    type: "category",
    data: spec.days,
    boundaryGap: spec.kind === "bar",
    axisTick: { show: false },
    axisLine: { lineStyle: { color: colour("--line") } },
    axisLabel: { color: colour("--muted"), hideOverlap: true, margin: 12, formatter: (day) => `${Number(day.slice(8))} ${months[Number(day.slice(5, 7)) - 1]}`, alignMinLabel: spec.kind === "bar" ? undefined : "left", alignMaxLabel: spec.kind === "bar" ? undefined : "right" },
  };
  option.yAxis = {
    type: "value",
    minInterval: spec.unit?.currency ? undefined : 1,
    splitNumber: 3,
    axisLabel: { color: colour("--muted"), formatter: format.short },
    splitLine: { lineStyle: { color: colour("--line-soft") } },
  };
  option.tooltip.formatter = (points) =>
    tip(
      longDayFormat.format(asDate(points[0].axisValue)),
      points.map((p) => ({ key: p.seriesIndex ? "previous" : spec.colour.slice(2), name: p.seriesName, value: format.full(p.value) })),
    );
  const current = { name: spec.name, data: spec.values, color: accent, emphasis: { disabled: true } };
  if (spec.kind === "bar") {
    option.tooltip.axisPointer.type = "shadow";
    option.series = [{ ...current, type: "bar", barMaxWidth: 18, itemStyle: { borderRadius: [3, 3, 0, 0] } }];
  } else {
    option.series = [
      {
        ...current,
        type: "line",
        z: 3,
        showSymbol: spec.values.length === 1,
        symbol: "circle",
        symbolSize: 7,
        lineStyle: { width: 2, color: accent },
        areaStyle: { opacity: 1, color: { type: "linear", x: 0, y: 0, x2: 0, y2: 1, colorStops: [{ offset: 0, color: accent + "2e" }, { offset: 1, color: accent + "00" }] } },
      },
    ];
  }
  option.series.push({
    name: "Previous period",
    type: "line",
    data: spec.previous,
    showSymbol: false,
    symbol: "none",
    color: colour("--previous"),
    emphasis: { disabled: true },
    lineStyle: { width: 1.5, type: [4, 4], color: colour("--previous") },
  });
  return option;
}

function channelsOption(spec, narrow) {
  const format = formatter(spec.unit);
  const option = base();
  const several = spec.models.length > 1;
  option.grid = { left: 4, right: several ? 16 : narrow ? 48 : 80, top: several ? (narrow ? 64 : 40) : 4, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" };
  option.xAxis = {
    type: "value",
    splitNumber: narrow ? 2 : 4,
    axisLabel: { color: colour("--muted"), formatter: format.short, hideOverlap: true },
    splitLine: { lineStyle: { color: colour("--line-soft") } },
  };
  option.yAxis = {
    type: "category",
    inverse: true,
    data: spec.channels,
    axisTick: { show: false },
    axisLine: { show: false },
    axisLabel: { color: colour("--text"), fontSize: 12, width: narrow ? 84 : 140, overflow: "truncate" },
  };
  option.tooltip.axisPointer = { type: "shadow", shadowStyle: { color: colour("--hover") } };
  option.tooltip.formatter = (points) =>
    tip(
      points[0].axisValue,
      points.map((p) => ({ key: spec.models[p.seriesIndex].colour.slice(2), name: p.seriesName, value: format.full(p.value) })),
    );
  if (several) {
    option.legend = { top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, itemGap: 16, textStyle: { color: colour("--text"), fontSize: 12 } };
  }
  option.series = spec.models.map((model) => ({
    name: model.name,
    type: "bar",
    data: model.values,
    color: colour(model.colour),
    barMaxWidth: several ? 7 : 22,
    barGap: "40%",
    barCategoryGap: several ? "32%" : "38%",
    itemStyle: { borderRadius: [0, 3, 3, 0] },
    emphasis: { disabled: true },
    label: { show: !several, position: "right", color: colour("--text"), fontSize: 12, formatter: (p) => (narrow ? format.short : format.full)(p.value) },
  }));
  return option;
}

function paint(element, chart) {
  const spec = JSON.parse(element.dataset.chart);
  const option = spec.models ? channelsOption(spec, element.clientWidth < 520) : seriesOption(spec);
  chart.setOption(option, true);
  element.dataset.drawn = element.dataset.chart.length;
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) charts.get(target)?.chart.resize();
});

// drawCharts draws what is new or has changed, and forgets charts that left the page.
export function drawCharts() {
  if (!window.echarts) return;
  for (const [element, { chart }] of charts) {
    if (element.isConnected) continue;
    resized.unobserve(element);
    chart.dispose();
    charts.delete(element);
  }
  for (const element of document.querySelectorAll("[data-chart]")) {
    let entry = charts.get(element);
    if (entry && entry.text === element.dataset.chart) continue;
    if (!entry) {
      entry = { chart: window.echarts.init(element, null, { renderer: "svg" }) };
      charts.set(element, entry);
      resized.observe(element);
    }
    entry.text = element.dataset.chart;
    paint(element, entry.chart);
  }
}

export function redrawCharts() {
  for (const [element, { chart }] of charts) paint(element, chart);
}
