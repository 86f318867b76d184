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

// Published returns what figures 8(a) and 9 show for this experiment, and whether they show anything. Figure 9 is
// taken for several tokens, figure 8 for one.
func (l Load) Published() (LoadPoint, bool) {
	for _, pub := range append(PublishedLoad, PublishedVirtual...) {
		if l.Preset == Paper && l.Nodes == 10000 && l.Keys == pub.Keys && l.Tokens == pub.Tokens {
			return pub, true
		}
	}
	return LoadPoint{}, false
}
