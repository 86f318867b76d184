package lab

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorddb/quord/internal/ring/original"
)

// Original looks for counterexamples to the ring as it was published (Zave 2012): it visits the states that the
// published rules can reach, the nearest first, so that what it finds is as short as can be. As Zave does, and Chord
// did, it lets no member fail where that would leave another one without a living successor; a state without one
// ordered ring is not gone on from.
//
// Up to 4 nodes the search begins at a ring of one and tries all events, until there is no new state. With 5 or 6,
// which OrderedRing takes, it begins at an ideal ring of every other node and only lets nodes join, stabilize and fail.
type Original struct {
	Nodes  int // 2 to 6
	States int // the most that are visited
}

// Counterexample is a shortest sequence after which something that was claimed does not hold.
type Counterexample struct {
	Property string
	Required bool
	Events   []string
	State    string
}

// OriginalResult is what was found.
type OriginalResult struct {
	Steps  int // events tried
	States int
	All    bool // every reachable state was visited
	Found  []Counterexample
}

// Validate says which choice makes no sense.
func (o Original) Validate() error {
	return all(in("nodes", o.Nodes, 2, 6), in("steps", o.States, 1, 1<<28))
}

// published is a state of the published rules as one number: for each node whether it is in, dead, or else succ,
// succ2 and pred.
type published uint64

func pack(r *original.Ring) (p published) {
	k := published(len(r.Nodes) + 1)
	for _, n := range r.Nodes {
		p *= k*k*k + 2
		switch {
		case n.Dead:
			p++
		case n.In:
			p += 2 + (published(n.Succ+1)*k+published(n.Succ2+1))*k + published(n.Pred+1)
		}
	}
	return p
}

func (p published) unpack(r *original.Ring) {
	k := published(len(r.Nodes) + 1)
	for i := len(r.Nodes) - 1; i >= 0; i-- {
		node := original.Node{Succ: original.None, Succ2: original.None, Pred: original.None}
		switch v := p % (k*k*k + 2); v {
		case 0:
		case 1:
			node.In, node.Dead = true, true
		default:
			v -= 2
			node.In = true
			node.Succ, node.Succ2, node.Pred = int8(v/k/k)-1, int8(v/k%k)-1, int8(v%k)-1
		}
		r.Nodes[i] = node
		p /= k*k*k + 2
	}
}

// publishedEvents are the events of one node; join and fail have conditions of their own.
var publishedEvents = []struct {
	name string
	do   func(*original.Ring, int)
}{
	{"stabilizes", (*original.Ring).Stabilize},
	{"reconciles", (*original.Ring).Reconcile},
	{"updates", (*original.Ring).Update},
	{"flushes", (*original.Ring).Flush},
}

// Run searches.
func (o Original) Run() OriginalResult {
	type origin struct {
		from  published
		event string
	}
	r := original.New(o.Nodes)
	events := publishedEvents
	if o.Nodes <= 4 {
		r.Ideal(false, 0)
	} else {
		r.Ideal(true, []int{0, 2, 4}[:(o.Nodes+1)/2]...)
		events = events[:1]
	}
	start := pack(r)
	came := map[published]origin{start: {}}
	todo := []published{start}
	found := map[string]bool{}
	res := OriginalResult{}
	visit := func(from published, r *original.Ring, event string) {
		res.Steps++
		p := pack(r)
		if _, known := came[p]; known {
			return
		}
		came[p] = origin{from, event}
		dead := false
		for _, property := range original.Broken(r) {
			dead = dead || property.Required
			if found[property.Name] {
				continue
			}
			found[property.Name] = true
			c := Counterexample{Property: property.Name, Required: property.Required, State: describe(r)}
			for at := p; at != start; at = came[at].from {
				c.Events = append(c.Events, came[at].event)
			}
			slices.Reverse(c.Events)
			res.Found = append(res.Found, c)
		}
		if !dead {
			todo = append(todo, p)
		}
	}
	for len(todo) > 0 && res.States < o.States {
		from := todo[0]
		todo = todo[1:]
		res.States++
		for n := range o.Nodes {
			from.unpack(r)
			switch {
			case !r.Nodes[n].In:
				for through := range o.Nodes {
					from.unpack(r)
					if r.Live(through) && r.Join(n, through) {
						visit(from, r, fmt.Sprintf("%d joins through %d", n, through))
					}
				}
			case r.Live(n):
				for _, e := range events {
					from.unpack(r)
					if e.do(r, n); pack(r) != from {
						visit(from, r, fmt.Sprintf("%d %s", n, e.name))
					}
				}
				from.unpack(r)
				if r.Fail(n); allHaveSuccessors(r) {
					visit(from, r, fmt.Sprintf("%d fails", n))
				}
			}
		}
	}
	res.All = len(todo) == 0
	return res
}

// allHaveSuccessors is Chord's operating assumption.
func allHaveSuccessors(r *original.Ring) bool {
	live := 0
	for n := range r.Nodes {
		if r.Live(n) {
			if live++; r.BestSuccessor(n) == original.None {
				return false
			}
		}
	}
	return live > 0
}

func describe(r *original.Ring) string {
	var b strings.Builder
	for n, node := range r.Nodes {
		if !node.In {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		if node.Dead {
			fmt.Fprintf(&b, "%d dead", n)
			continue
		}
		fmt.Fprintf(&b, "%d: succ %s, succ2 %s, pred %s", n, position(node.Succ), position(node.Succ2), position(node.Pred))
	}
	return b.String()
}

func position(p int8) string {
	if p == original.None {
		return "-"
	}
	return fmt.Sprint(p)
}
