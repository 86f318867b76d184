package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/links"
	"github.com/quorddb/quord/test/workload"
)

// grace is the pause between two acknowledged writes of a key from which on the key counts as not available.
const grace = time.Second

// gapSpan is how long after a kill -9 the gap is looked for, with the victim down all the time.
const gapSpan = 4 * time.Second

// event is what one fault did to the probes.
type event struct {
	kind           string
	lasted, healed time.Duration // until it was undone; from then until the ring was healthy
	longest        time.Duration // of all keys, without an acknowledged write
	available      float64       // the share of keys and time that was not longer than grace without one
}

func (e event) String() string {
	return fmt.Sprintf("%5.1f s, healthy %4.1f s later; %5.1f %% available, longest gap %5.2f s", e.lasted.Seconds(),
		e.healed.Seconds(), 100*e.available, e.longest.Seconds())
}

// felt returns what the probes felt from the beginning of a fault until the ring was healthy again.
func (r *round) felt(kind string, begun, undone, healthy time.Time) event {
	e := event{kind: kind, lasted: undone.Sub(begun), healed: healthy.Sub(undone)}
	var down time.Duration
	for i := range r.probes.Keys {
		longest, d := r.probes.Gap(i, begun, healthy, grace)
		e.longest = max(e.longest, longest)
		down += d
	}
	e.available = 1 - down.Seconds()/(healthy.Sub(begun).Seconds()*float64(len(r.probes.Keys)))
	return e
}

// led returns which probes' keys a node leads. It asks while nothing else is wrong: with other harm at the same time
// an answer is not promised, and none is returned.
func (r *round) led(ctx context.Context, n *cluster.Node) ([]bool, error) {
	if r.several {
		return nil, nil
	}
	led := make([]bool, len(r.probes.Keys))
	via := r.calmOne()
	for i, key := range r.probes.Keys {
		l, err := r.cluster.Lookup(ctx, via, key)
		if err != nil {
			return nil, err
		}
		led[i] = l.Leader != nil && l.Leader.Addr == n.Addr
	}
	return led, nil
}

// noteGap notes for how long the keys that a killed node led, and the others, could not be written.
func (r *round) noteGap(n *cluster.Node, led []bool, killed time.Time) {
	if led == nil {
		return
	}
	var g gap
	for i := range r.probes.Keys {
		longest, _ := r.probes.Gap(i, killed, killed.Add(gapSpan), grace)
		if led[i] {
			g.led, g.keysLed = max(g.led, longest), g.keysLed+1
		} else {
			g.others = max(g.others, longest)
		}
	}
	r.report.gapped(g)
	r.say("           kill -9 of %s: %d ms without a write for the %d probes that it led, %d ms for %d others", n.Name,
		g.led.Milliseconds(), g.keysLed, g.others.Milliseconds(), len(led)-g.keysLed)
}

// gap is the longest time without an acknowledged write after a kill -9.
type gap struct {
	led, others time.Duration
	keysLed     int
}

// report adds up what rounds have done and seen.
type report struct {
	rounds                    int
	events                    []event
	gaps                      []gap
	ops, keys, unknown, acked int
	compared                  int // replicas, at the end of rounds
	sums                      workload.Tally
	net                       links.Figures
}

func newReport() *report { return &report{} }

func (t *report) note(e event) { t.events = append(t.events, e) }
func (t *report) gapped(g gap) { t.gaps = append(t.gaps, g) }

func (t *report) count(h *workload.History, l *workload.Ledger, c *workload.Counters, f links.Figures) {
	t.rounds = 1
	t.ops, t.keys, t.unknown = h.Count()
	t.acked, t.sums, t.net = l.Count(), c.Tally(), f
}

// add adds the report of a round.
func (t *report) add(r *report) {
	t.rounds += r.rounds
	t.events = append(t.events, r.events...)
	t.gaps = append(t.gaps, r.gaps...)
	t.ops, t.keys, t.unknown, t.acked = t.ops+r.ops, t.keys+r.keys, t.unknown+r.unknown, t.acked+r.acked
	t.compared += r.compared
	t.sums.Acked += r.sums.Acked
	t.sums.Unknown += r.sums.Unknown
	t.sums.Refused += r.sums.Refused
	t.sums.Reads += r.sums.Reads
	t.net.Connections += r.net.Connections
	t.net.Strangers += r.net.Strangers
	t.net.Broken += r.net.Broken
	t.net.Lost += r.net.Lost
	t.net.Bytes += r.net.Bytes
}

// String prints a table of what each kind of fault did, and the sums.
func (t *report) String() string {
	var b strings.Builder
	byKind := map[string][]event{}
	for _, e := range t.events {
		byKind[e.kind] = append(byKind[e.kind], e)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\ttimes\tavailable, %\tleast, %\tgap, median\tgap, longest\thealthy after\t")
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		events := byKind[kind]
		var available, least float64 = 0, 1
		var healed time.Duration
		for _, e := range events {
			available += e.available / float64(len(events))
			least = min(least, e.available)
			healed = max(healed, e.healed)
		}
		slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.longest, b.longest) })
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.2f s\t%.2f s\t%.1f s\t\n", kind, len(events), 100*available, 100*least,
			events[len(events)/2].longest.Seconds(), events[len(events)-1].longest.Seconds(), healed.Seconds())
	}
	_ = w.Flush() // into memory
	if led := t.gapsOf(func(g gap) (time.Duration, bool) { return g.led, g.keysLed > 0 }); len(led) > 0 {
		others := t.gapsOf(func(g gap) (time.Duration, bool) { return g.others, true })
		fmt.Fprintf(&b, "kill -9, %d times: keys that the node led could not be written for %d ms (median; %d at the longest), others for %d (%d)\n",
			len(led), led[len(led)/2].Milliseconds(), led[len(led)-1].Milliseconds(),
			others[len(others)/2].Milliseconds(), others[len(others)-1].Milliseconds())
	}
	fmt.Fprintf(&b, "%d faults in %d rounds; %d operations on %d keys judged, %d of unknown outcome; %d keys of the ledger; %s; %d replicas compared\n",
		len(t.events), t.rounds, t.ops, t.keys, t.unknown, t.acked, t.sums, t.compared)
	fmt.Fprintf(&b, "between nodes: %d connections, %d broken off; %d MiB, %d chunks lost and sent again\n",
		t.net.Connections, t.net.Broken, t.net.Bytes>>20, t.net.Lost)
	return b.String()
}

func (t *report) gapsOf(of func(gap) (time.Duration, bool)) []time.Duration {
	var all []time.Duration
	for _, g := range t.gaps {
		if d, ok := of(g); ok {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return all
}
