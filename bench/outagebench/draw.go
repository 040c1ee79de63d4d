package outagebench

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
)

// The picture's measures, in pixels.
const (
	width, left, right = 900.0, 70.0, 15.0
	panel, gap, top    = 120.0, 42.0, 46.0
	band               = 26.0 // of the circuit
)

var circuitColours = map[string]string{"closed": "#2f9e6b", "half_open": "#e0a21b", "open": "#c9403a"}

// Draw makes an SVG picture of points: requests to Core a second, the circuit,
// and the backlog, over time, with the phases as shades.
func Draw(points []Point) []byte {
	var svg bytes.Buffer
	end := 1.0
	if len(points) > 0 {
		end = max(end, points[len(points)-1].At)
	}
	x := func(at float64) float64 { return left + at/end*(width-left-right) }
	height := top + 2*panel + band + 3*gap
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="system-ui, sans-serif" font-size="12" fill="#333">
<title>An outage of Core as Madan Sara's metrics saw it</title>
<rect width="%.0f" height="%.0f" fill="#fff"/>
`, width, height, width, height)
	phases(&svg, points, x, height)
	curve(&svg, "conversions recorded (grey) and requests to Core (blue), a second", top, x,
		series{"#9aa3ad", rates(points, func(p Point) int { return p.Recorded })},
		series{"#1f5fbf", rates(points, func(p Point) int { return p.Attempts })})
	y := top + panel + gap
	heading(&svg, "circuit of Core: green closed, amber half-open, red open", y)
	for i, p := range points {
		until := end
		if i+1 < len(points) {
			until = points[i+1].At
		}
		if colour, known := circuitColours[p.Circuit]; known {
			fmt.Fprintf(&svg, `<rect x="%.1f" y="%.1f" width="%.2f" height="%.1f" fill="%s"/>`+"\n", x(p.At), y, x(until)-x(p.At)+.3, band, colour)
		}
	}
	backlog := make([]sample, len(points))
	for i, p := range points {
		backlog[i] = sample{p.At, float64(p.Pending)}
	}
	curve(&svg, "facts in the outbox", y+band+gap, x, series{"#7a3fb0", backlog})
	axis(&svg, end, x, y+band+gap+panel)
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

type sample struct{ at, value float64 }

type series struct {
	colour  string
	samples []sample
}

// rates are differences a second, over four samples to be readable.
func rates(points []Point, count func(Point) int) []sample {
	const over = 4
	var out []sample
	for i := over; i < len(points); i++ {
		from, to := points[i-over], points[i]
		if to.At > from.At {
			out = append(out, sample{to.At, float64(count(to)-count(from)) / (to.At - from.At)})
		}
	}
	return out
}

func phases(svg *bytes.Buffer, points []Point, x func(float64) float64, height float64) {
	for i := 0; i < len(points); {
		j := i
		for j < len(points) && points[j].Phase == points[i].Phase {
			j++
		}
		begin, until := points[i].At, points[min(j, len(points)-1)].At
		name := points[i].Phase
		if strings.HasPrefix(name, "dead") || strings.HasPrefix(name, "slow") || strings.HasPrefix(name, "cut") {
			fmt.Fprintf(svg, `<rect x="%.1f" y="24" width="%.1f" height="%.1f" fill="#f6ece9"/>`+"\n", x(begin), x(until)-x(begin), height-54)
		}
		fmt.Fprintf(svg, `<text x="%.1f" y="18">%s</text>`+"\n", x(begin)+2, html.EscapeString(name))
		i = j
	}
}

func heading(svg *bytes.Buffer, text string, y float64) {
	fmt.Fprintf(svg, `<text x="%.0f" y="%.1f" font-weight="600">%s</text>`+"\n", left, y-8, html.EscapeString(text))
}

func curve(svg *bytes.Buffer, title string, y float64, x func(float64) float64, all ...series) {
	heading(svg, title, y)
	most := 1.0
	for _, s := range all {
		for _, v := range s.samples {
			most = max(most, v.value)
		}
	}
	most = round(most)
	for _, share := range []float64{0, .5, 1} {
		at := y + panel*(1-share)
		fmt.Fprintf(svg, `<path d="M%.0f %.1fH%.0f" stroke="#ddd" fill="none"/><text x="%.0f" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
			left, at, width-right, left-6, at+4, most*share)
	}
	for _, s := range all {
		var path strings.Builder
		for i, v := range s.samples {
			command := "L"
			if i == 0 {
				command = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", command, x(v.at), y+panel*(1-v.value/most))
		}
		fmt.Fprintf(svg, `<path d="%s" stroke="%s" stroke-width="1.6" fill="none"/>`+"\n", path.String(), s.colour)
	}
}

// round is the next of 1, 2, 5, 10, 20, ... that is no less than v.
func round(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

func axis(svg *bytes.Buffer, end float64, x func(float64) float64, y float64) {
	step := max(1, round(end/10))
	for at := 0.0; at <= end; at += step {
		fmt.Fprintf(svg, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f s</text>`+"\n", x(at), y+18, at)
	}
}
