package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// A figure that a browser refuses, or whose points lie outside their axes, shows a reader something that was not
// measured.
func TestPointsLieWhereTheAxesSay(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Figure
	}{
		{"logarithmic", Figure{
			Title: "a < b & c", X: Axis{Label: "nodes", Log: 2}, Y: Axis{Label: "hops", Zero: true},
			Series: []Series{{Name: "ours", Line: true, Points: []Point{{8, 1.7, 1, 3}, {16384, 6.8, 3, 11}}}, {Name: "published", Published: true, Points: []Point{{8, 1.72, 0, 0}}}},
		}},
		{"one point", Figure{Series: []Series{{Points: []Point{{5, 5, 0, 0}}}}}},
		{"nothing", Figure{}},
		{"a series without points", Figure{Series: []Series{{Name: "ours", Points: []Point{{5, 5, 0, 0}}}, {Name: "published"}}}},
		{"zeros on a logarithmic axis", Figure{Y: Axis{Log: 10}, Series: []Series{{Points: []Point{{1, 0, 0, 0}, {2, 0.001, 0, 0}}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			svg := c.f.SVG()
			d := xml.NewDecoder(strings.NewReader(svg))
			circles := 0
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("not XML: %v\n%s", err, svg)
				}
				start, ok := token.(xml.StartElement)
				if !ok || start.Name.Local != "circle" {
					continue
				}
				circles++
				at := map[string]float64{}
				for _, a := range start.Attr {
					var v float64
					if _, err := fmt.Sscan(a.Value, &v); err == nil {
						at[a.Name.Local] = v
					}
				}
				if x, y := at["cx"], at["cy"]; !(x >= left && x <= width-right && y >= top && y <= height-bottom) || math.IsNaN(x+y) {
					t.Errorf("a point at %v, %v lies outside the plot", x, y)
				}
			}
			want := 0
			for _, s := range c.f.Series {
				if len(s.Points) == 0 {
					continue
				}
				want += len(s.Points) + 1 // and its mark in the legend
			}
			if circles != want {
				t.Errorf("%d circles, want %d", circles, want)
			}
			if svg != c.f.SVG() {
				t.Error("the same figure gives two pictures")
			}
		})
	}
}

// Where points lie in every corner, the legend gets a band of its own above them.
func TestTheLegendCoversNothing(t *testing.T) {
	f := Figure{Series: []Series{{Name: "ranges from the bottom to the top, all over the plot"}}}
	for x := range 10 {
		f.Series[0].Points = append(f.Series[0].Points, Point{float64(x), 5, 0, 10})
	}
	wide, high := f.legendSize()
	if _, covered := f.legendCorner(wide, high); covered == 0 {
		t.Fatal("a corner is free: this shows nothing")
	}
	if svg := f.SVG(); !strings.Contains(svg, fmt.Sprintf(`V%.1f`, float64(top+8)+high)) {
		t.Errorf("the ranges do not end below the legend: %s", svg)
	}
}
