package lab

// What the papers published. Values without a remark stand in the paper's text or tables; those marked "read" were
// read from the vector coordinates of its figures, to about half a plotted unit.

// PathPoint is one size of SIGCOMM 2001, figure 10(a), read.
type PathPoint struct {
	Nodes int
	Mean  float64
	P1    int
	P99   int
}

// PublishedPaths is figure 10(a).
var PublishedPaths = []PathPoint{
	{8, 1.72, 1, 3},
	{16, 2.09, 1, 4},
	{32, 2.49, 1, 5},
	{64, 2.96, 1, 5},
	{128, 3.39, 1, 6},
	{256, 3.88, 1, 7},
	{1024, 4.89, 2, 8},
	{4096, 5.85, 2, 10},
	{16384, 6.87, 3, 11},
}

// PublishedPathPDF is figure 10(b), read: the share of each length at 4096 nodes.
var PublishedPathPDF = []float64{
	0, .0033, .0180, .0571, .1288, .2124, .2254, .1938, .1094, .0412, .0092, .0012, .0002,
}

// LoadPoint is one point of SIGCOMM 2001, figures 8(a) and 9: keys per node at 10,000 nodes.
type LoadPoint struct {
	Keys, Tokens  int
	Mean, P1, P99 float64
}

// PublishedLoad is figure 8(a), read: one token for each node.
var PublishedLoad = []LoadPoint{
	{1e5, 1, 10, 0, 48},
	{2e5, 1, 20, 0, 91},
	{3e5, 1, 30, 0, 138},
	{4e5, 1, 40, 0, 181},
	{5e5, 1, 50, 0, 228},
	{6e5, 1, 60, 0, 273},
	{7e5, 1, 70, 0, 320},
	{8e5, 1, 80, 0, 364},
	{9e5, 1, 90, 0, 411},
	{1e6, 1, 100, 1, 463},
}

// PublishedVirtual is figure 9, read: virtual nodes.
var PublishedVirtual = []LoadPoint{{1e6, 1, 100, 0, 477}, {1e6, 20, 100, 50, 161}}

// PublishedPathPDFNodes is the size to which PublishedPathPDF belongs.
const PublishedPathPDFNodes = 4096

// Published returns what figure 10(a) shows for this experiment, and whether it shows anything.
func (p Paths) Published() (PathPoint, bool) {
	for _, pub := range PublishedPaths {
		if pub.Nodes == p.Nodes && p.fig10() && p.Tokens == 1 {
			return pub, true
		}
	}
	return PathPoint{}, false
}

// Published returns what figure 8(a), or figure 9 if it is asked for, shows for this experiment, and whether it shows
// anything. Figure 9 repeats one point of figure 8 with another result.
func (l Load) Published(figure9 bool) (LoadPoint, bool) {
	points := PublishedLoad
	if figure9 {
		points = PublishedVirtual
	}
	for _, pub := range points {
		if l.Preset == Paper && l.Nodes == 10000 && l.Keys == pub.Keys && l.Tokens == pub.Tokens {
			return pub, true
		}
	}
	return LoadPoint{}, false
}

// FailurePoint is one row of ToN 2003, table II: 1000 nodes, lists of 20.
type FailurePoint struct {
	Fail                    float64
	Hops                    float64
	HopsP1, HopsP99         int
	Timeouts                float64
	TimeoutsP1, TimeoutsP99 int
	ModelTimeouts           float64 // what the paper's own arithmetic expects
}

// PublishedFailures is table II.
var PublishedFailures = []FailurePoint{
	{0, 3.84, 2, 5, 0, 0, 0, 0},
	{0.1, 4.03, 2, 6, 0.60, 0, 2, 0.45},
	{0.3, 4.44, 2, 6, 2.02, 0, 5, 1.90},
	{0.5, 5.09, 3, 8, 5.10, 0, 11, 5.06},
}

// Published returns table II's row for this experiment, and whether it has one.
func (f Failures) Published() (FailurePoint, bool) {
	for _, pub := range PublishedFailures {
		if f.Preset == Paper && f.Nodes == 1000 && f.Successors == 20 && f.Fail == pub.Fail {
			return pub, true
		}
	}
	return FailurePoint{}, false
}

// ChurnPoint is one row of ToN 2003, table III: 1000 nodes, lists of 20.
type ChurnPoint struct {
	Rate                    float64 // joins, and departures, per second
	Hops                    float64
	HopsP1, HopsP99         int
	Timeouts                float64
	TimeoutsP1, TimeoutsP99 int
	Failed                  int // of 10,000
}

// PublishedChurn is table III.
var PublishedChurn = []ChurnPoint{
	{0.05, 3.90, 1, 9, 0.05, 0, 2, 0},
	{0.10, 3.83, 1, 9, 0.11, 0, 2, 0},
	{0.20, 3.81, 1, 9, 0.23, 0, 3, 5},
	{0.25, 3.83, 1, 9, 0.30, 0, 3, 6},
	{0.35, 3.94, 1, 10, 0.42, 0, 4, 16},
	{0.40, 4.06, 1, 10, 0.46, 0, 5, 15},
}

// BalancePoint is one point of Dynamo (SOSP 2007), figure 8, read: efficiency by how many entries of metadata a node
// keeps, 30 nodes, 3 replicas.
type BalancePoint struct {
	Metadata                              float64
	RandomTokens, EqualParts, EqualShares float64 // its strategies 1, 2 and 3
}

// PublishedBalance is figure 8.
var PublishedBalance = []BalancePoint{
	{64, .52, .53, .86},
	{133, .61, .61, .87},
	{270, .69, .70, .90},
	{474, .76, .76, .92},
	{950, .82, .82, .94},
	{1900, .87, .85, .96},
	{3810, .91, .88, .97},
	{7690, .93, .87, .98},
	{15390, .95, .85, .98},
	{30710, .96, .84, .99},
}
