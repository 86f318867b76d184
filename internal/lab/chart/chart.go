// Package chart draws a figure as SVG: series of points, with or without a line and a range, over axes that are
// linear or logarithmic.
//
// It knows how a figure of a paper looks and nothing of what it shows. Published series are drawn hollow, so that a
// reader tells at a glance what was measured from what was printed elsewhere. The output is a function of the Figure:
// equal figures give equal bytes. Text is escaped. The package is pure and holds no state.
package chart

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Figure is what is to be drawn.
type Figure struct {
	Title  string
	Note   string // a line below the title: how it was counted
	X, Y   Axis
	Series []Series // one without points is left out

	band float64 // what is kept free above the points, for the legend
}

// Axis is one of the two.
type Axis struct {
	Label string
	Log   int  // base of a logarithmic axis: 2 or 10; 0: linear
	Zero  bool // a linear axis that must begin at 0
}

// Series is a set of points that belong together.
type Series struct {
	Name      string
	Published bool // drawn hollow
	Line      bool // the points are joined
	Points    []Point
}

// Point is one measurement. With High above Low a bar shows the range.
type Point struct {
	X, Y      float64
	Low, High float64
}

const (
	width, height            = 760, 500
	left, right, top, bottom = 76, 24, 62, 62
)

var colors = []string{"#1f5fa8", "#c2571a", "#2d7d46", "#7a4fa3", "#8a6d1d", "#a8324a"}

// SVG draws the figure.
func (f Figure) SVG() string {
	f.Series = slices.DeleteFunc(slices.Clone(f.Series), func(s Series) bool { return len(s.Points) == 0 })
	wide, high := f.legendSize()
	corner, covered := f.legendCorner(wide, high)
	if covered > 0 { // no corner is free
		f.band = high
		corner, _ = f.legendCorner(wide, high) // the band above all points is free
	}
	x, y := f.scales()
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">`, width, height, width, height)
	put(`<rect width="%d" height="%d" fill="#ffffff"/>`, width, height)
	put(`<text x="%d" y="24" font-size="15" font-weight="bold">%s</text>`, left, html.EscapeString(f.Title))
	put(`<text x="%d" y="43" fill="#555555">%s</text>`, left, html.EscapeString(f.Note))
	for _, t := range x.ticks {
		put(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e4e4e4"/>`, x.at(t), top, x.at(t), height-bottom)
		put(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x.at(t), height-bottom+18, number(t))
	}
	for _, t := range y.ticks {
		put(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e4e4e4"/>`, left, y.at(t), width-right, y.at(t))
		put(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, left-8, y.at(t)+4, number(t))
	}
	put(`<path d="M%d %dV%dH%d" fill="none" stroke="#333333"/>`, left, top, height-bottom, width-right)
	put(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (left+width-right)/2, height-18, html.EscapeString(f.X.Label))
	put(`<text transform="translate(20 %d) rotate(-90)" text-anchor="middle">%s</text>`, (top+height-bottom)/2, html.EscapeString(f.Y.Label))
	for i, s := range f.Series {
		color := colors[i%len(colors)]
		// Ranges of different series stand beside each other.
		shift := 5 * (float64(i) - float64(len(f.Series)-1)/2)
		draw(put, s, color, shift, x, y)
	}
	f.legend(put, corner, wide, high)
	put(`</svg>`)
	return b.String()
}

func draw(put func(string, ...any), s Series, color string, shift float64, x, y scale) {
	if s.Line {
		dash := ""
		if s.Published {
			dash = ` stroke-dasharray="5 4"`
		}
		var path []string
		for _, p := range s.Points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
		}
		put(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>`, strings.Join(path, " "), color, dash)
	}
	for _, p := range s.Points {
		px := x.at(p.X)
		if p.High > p.Low {
			bx := px + shift
			put(`<path d="M%.1f %.1fV%.1fM%.1f %.1fh6M%.1f %.1fh6" stroke="%s" stroke-opacity="0.7" fill="none"/>`,
				bx, y.at(p.Low), y.at(p.High), bx-3, y.at(p.Low), bx-3, y.at(p.High), color)
			px = bx
		}
		fill := color
		if s.Published {
			fill = "#ffffff"
		}
		put(`<circle cx="%.1f" cy="%.1f" r="3.6" fill="%s" stroke="%s" stroke-width="1.6"/>`, px, y.at(p.Y), fill, color)
	}
}

// legendSize returns how wide and high the legend is.
func (f Figure) legendSize() (float64, float64) {
	wide := 0
	for _, s := range f.Series {
		wide = max(wide, len([]rune(s.Name)))
	}
	return float64(wide)*6.9 + 30, float64(18*len(f.Series) + 8)
}

func (f Figure) legend(put func(string, ...any), corner [2]float64, wide, high float64) {
	x, y := corner[0], corner[1]
	put(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" fill="#ffffff" fill-opacity="0.85"/>`, x, y, wide, high)
	for i, s := range f.Series {
		color := colors[i%len(colors)]
		fill := color
		if s.Published {
			fill = "#ffffff"
		}
		ly := y + float64(18*i) + 16
		put(`<circle cx="%.1f" cy="%.1f" r="3.6" fill="%s" stroke="%s" stroke-width="1.6"/>`, x+12, ly-4, fill, color)
		put(`<text x="%.1f" y="%.1f">%s</text>`, x+24, ly, html.EscapeString(s.Name))
	}
}

// legendCorner returns the corner of the plot where a box of that size covers the fewest points, and how many.
func (f Figure) legendCorner(w, h float64) (best [2]float64, least int) {
	x, y := f.scales()
	least = math.MaxInt
	for _, corner := range [][2]float64{
		{left + 12, top + 6},
		{width - right - w - 6, top + 6},
		{width - right - w - 6, height - bottom - h - 8},
		{left + 12, height - bottom - h - 8},
	} {
		covered := 0
		for _, s := range f.Series {
			for _, p := range s.Points {
				lo, hi := p.Y, p.Y
				if p.High > p.Low {
					lo, hi = p.Low, p.High
				}
				px := x.at(p.X)
				if px > corner[0]-12 && px < corner[0]+w+12 && y.at(lo) > corner[1]-8 && y.at(hi) < corner[1]+h+8 {
					covered++
				}
			}
		}
		if covered < least {
			best, least = corner, covered
		}
	}
	return best, least
}

// scale maps values to a coordinate.
type scale struct {
	log      bool
	low, hi  float64
	from, to float64
	ticks    []float64
}

func (s scale) at(v float64) float64 {
	low, hi := s.low, s.hi
	if s.log {
		low, hi, v = math.Log(low), math.Log(hi), math.Log(max(v, s.low))
	}
	return s.from + (v-low)/(hi-low)*(s.to-s.from)
}

func (f Figure) scales() (x, y scale) {
	xs, ys := []float64{}, []float64{}
	for _, s := range f.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
			if p.High > p.Low {
				ys = append(ys, p.Low, p.High)
			}
		}
	}
	return f.X.scale(xs, left+14, width-right-14), f.Y.scale(ys, height-bottom, top+8+f.band)
}

func (a Axis) scale(values []float64, from, to float64) scale {
	low, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if a.Log == 0 || v > 0 {
			low, hi = min(low, v), max(hi, v)
		}
	}
	if low > hi {
		low, hi = 0, 1
	}
	if a.Log != 0 {
		return logScale(float64(a.Log), low, hi, from, to)
	}
	if a.Zero {
		low = min(low, 0)
	}
	if hi == low {
		hi = low + 1
	}
	step := niceStep((hi - low) / 6)
	s := scale{low: math.Floor(low/step) * step, hi: math.Ceil(hi/step) * step, from: from, to: to}
	for k := 0; ; k++ {
		t := s.low + float64(k)*step
		if t > s.hi+step/2 {
			return s
		}
		s.ticks = append(s.ticks, t)
	}
}

func logScale(base, low, hi, from, to float64) scale {
	a, b := math.Floor(math.Log(low)/math.Log(base)+1e-9), math.Ceil(math.Log(hi)/math.Log(base)-1e-9)
	if a == b {
		b++
	}
	s := scale{log: true, low: math.Pow(base, a), hi: math.Pow(base, b), from: from, to: to}
	every := math.Ceil((b - a) / 12)
	for e := a; e <= b; e += every {
		s.ticks = append(s.ticks, math.Pow(base, e))
	}
	return s
}

// niceStep returns 1, 2 or 5 times a power of ten, at least x.
func niceStep(x float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*p >= x-1e-12 {
			return m * p
		}
	}
	return 10 * p
}

// number writes a tick: 10,000 and 0.05, without what rounding adds.
func number(v float64) string {
	s := fmt.Sprintf("%.6g", math.Round(v*1e9)/1e9)
	if v >= 10000 && v < 1e9 && v == math.Trunc(v) {
		s = fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
	}
	return s
}
