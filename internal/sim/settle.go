package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/tablet"
)

func itoa(n int) string    { return strconv.Itoa(n) }
func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// running returns the machines on which a process runs.
func (w *World) running() []*Machine {
	return slices.DeleteFunc(slices.Clone(w.machines), func(m *Machine) bool { return m.proc == nil })
}

// unsettled says what is not as it should be in the end, "" where all is: every node that runs is up, the ring is one
// and in order, each tablet lies where that ring wants it, led by its first target, and nowhere else.
func (w *World) unsettled() string {
	machines := w.running()
	if len(machines) == 0 {
		return "nothing runs"
	}
	members := machines[0].proc.core.Registry()
	if members == nil {
		return machines[0].Name() + " is in no cluster"
	}
	var tokens []ring.Token
	for _, m := range machines {
		if m.proc.paused {
			return m.Name() + " is paused"
		}
		if err := m.proc.core.Ready(); err != nil {
			return fmt.Sprintf("%s: %v", m.Name(), err)
		}
		reg := m.proc.core.Registry()
		if reg.Revision() != members.Revision() {
			return fmt.Sprintf("%s knows another registry than %s", m.Name(), machines[0].Name())
		}
		self, ok := reg.Member(m.dir.id)
		if !ok || self.State != registry.Up {
			return fmt.Sprintf("the registry does not call %s up", m.Name())
		}
		tokens = append(tokens, self.RingTokens()...)
	}
	placement.Sort(tokens)
	if why := w.ringApart(tokens); why != "" {
		return why
	}
	for t := range uint32(w.cfg.Tablets) {
		if why := w.misplaced(t, machines, tokens); why != "" {
			return why
		}
	}
	if why := w.systemMisplaced(machines); why != "" {
		return why
	}
	return w.damaged()
}

// misplaced says how a tablet differs from what the ring wants.
func (w *World) misplaced(t uint32, machines []*Machine, tokens []ring.Token) string {
	want := placement.Targets(placement.Point(t, w.cfg.Tablets), tokens, w.cfg.Replicas, w.zoneOf)
	l := w.leader(t)
	if l == nil {
		return fmt.Sprintf("tablet %d has no leader", t)
	}
	if l.dir.id != want[0] {
		return fmt.Sprintf("tablet %d is led by %s, not by its first target %s", t, l.Name(), w.nameOf(want[0]))
	}
	g := l.proc.core.Replica(t)
	if d := g.Descriptor(); !sameVoters(d, want) {
		return fmt.Sprintf("tablet %d has %s", t, w.describe(d))
	}
	for _, m := range machines {
		r := m.proc.core.Replica(t)
		if wanted := slices.Contains(want, m.dir.id); (r != nil) != wanted {
			return fmt.Sprintf("%s holds tablet %d: %t", m.Name(), t, r != nil)
		}
		if r == nil {
			continue
		}
		if known, ok := r.Leader(); !ok || known != l.dir.id {
			return fmt.Sprintf("%s does not know that %s leads tablet %d", m.Name(), l.Name(), t)
		}
	}
	return ""
}

// zoneOf is the zone that the machine of a node stands in.
func (w *World) zoneOf(id ident.NodeID) string {
	if m := w.byID[id]; m != nil {
		return m.zone
	}
	return ""
}

// systemMisplaced says how the system group differs from what it should be: five voters, or three, or all, as evenly over the zones
// as they can be.
func (w *World) systemMisplaced(machines []*Machine) string {
	size := len(machines)
	switch {
	case size >= 5:
		size = 5
	case size == 4:
		size = 3
	}
	l := w.leader(core.System)
	if l == nil {
		return "the system group has no leader"
	}
	d := l.proc.core.Replica(core.System).Descriptor()
	if d.Joint || len(d.Voters()) != size || len(d.Replicas) != size {
		return fmt.Sprintf("the system group has %s, want %d voters", w.describe(d), size)
	}
	for _, r := range d.Replicas {
		if m := w.holder(r.Node); m == nil || m.proc == nil {
			return fmt.Sprintf("the system group has %s, of whom %s is gone", w.describe(d), w.nameOf(r.Node))
		}
	}
	taken, spare := map[string]int{}, map[string]bool{}
	for _, m := range machines {
		if _, ok := d.Find(m.dir.id); ok {
			taken[m.zone]++
		} else {
			spare[m.zone] = true
		}
	}
	for full := range taken { // the order does not matter: there is one text
		for other := range spare {
			if taken[full] > taken[other]+1 {
				return fmt.Sprintf("the system group has %s, unevenly over the zones", w.describe(d))
			}
		}
	}
	return ""
}

func sameVoters(d *tablet.Descriptor, want []ident.NodeID) bool {
	if d.Joint || len(d.Replicas) != len(want) || len(d.Voters()) != len(want) {
		return false
	}
	for _, n := range want {
		if _, ok := d.Find(n); !ok {
			return false
		}
	}
	return true
}

// ringApart says where the ring that the nodes show differs from the one that their tokens make.
func (w *World) ringApart(tokens []ring.Token) string {
	at := map[ring.ID]int{}
	for i, t := range tokens {
		at[t.ID] = i
	}
	for _, m := range w.running() {
		s, ok := m.proc.core.RingState()
		if !ok {
			return m.Name() + " has no tokens"
		}
		for _, t := range s.Tokens {
			i, known := at[t.ID]
			switch {
			case t.Phase != ring.Member:
				return fmt.Sprintf("a token of %s is not in the ring", m.Name())
			case !known:
				return fmt.Sprintf("%s has a token that the registry does not name", m.Name())
			case len(tokens) > 1 && (len(t.Successors) == 0 || t.Successors[0] != tokens[(i+1)%len(tokens)]):
				return fmt.Sprintf("the ring is not one: a token of %s has a successor other than the next one", m.Name())
			}
		}
	}
	return ""
}

// rings counts the rings that the nodes which run show: from each token to its first successor, and on, until one comes
// again.
func (w *World) rings() int {
	next := map[ring.ID]ring.ID{}
	for _, m := range w.running() {
		s, _ := m.proc.core.RingState()
		for _, t := range s.Tokens {
			if t.Phase == ring.Member && len(t.Successors) > 0 {
				next[t.ID] = t.Successors[0].ID
			}
		}
	}
	round := map[ring.ID]int{} // in which walk a token was met
	rings, walk := 0, 0
	for id := range next { // the order does not matter
		walk++
		for ; round[id] == 0; id = next[id] {
			if _, known := next[id]; !known {
				break
			}
			round[id] = walk
		}
		if round[id] == walk {
			rings++
		}
	}
	return rings
}

// disagreement compares the replicas of every tablet, byte for byte; "" where all are equal. It holds once nothing is
// under way.
func (w *World) disagreement() string {
	for t := range uint32(w.cfg.Tablets) {
		var first *Machine
		var digest, applied uint64
		for _, m := range w.running() {
			g := m.proc.core.Replica(t)
			if g == nil {
				continue
			}
			d, err := w.digest(m, t)
			if err != nil {
				return fmt.Sprintf("%s cannot read tablet %d: %v", m.Name(), t, err)
			}
			if first == nil {
				first, digest, applied = m, d, g.Applied()
			} else if d != digest || g.Applied() != applied {
				return fmt.Sprintf("%s and %s hold different data of tablet %d (applied up to %d and %d)", first.Name(), m.Name(), t, applied, g.Applied())
			}
		}
	}
	return ""
}

func (w *World) digest(m *Machine, t uint32) (uint64, error) {
	h := xxh3.New()
	for _, r := range tablet.NewData(t, w.cfg.Tablets).Ranges() {
		if err := m.dir.disk.Scan(r[0], r[1], func(k, v []byte) bool {
			_, _ = h.Write(k)
			_, _ = h.Write([]byte{0, byte(len(v)), byte(len(v) >> 8)})
			_, _ = h.Write(v)
			return true
		}); err != nil {
			return 0, err
		}
	}
	return h.Sum64(), nil
}

// leftovers says what is still kept although nothing is under way.
func (w *World) leftovers() string {
	for _, m := range w.running() {
		f := m.proc.core.Figures()
		if f.Pending+f.Sending+f.Receiving > 0 {
			return fmt.Sprintf("%s has %d requests, %d outgoing and %d incoming snapshots under way", m.Name(), f.Pending, f.Sending, f.Receiving)
		}
		if staged := m.staged(); staged > 0 {
			return fmt.Sprintf("%s keeps %s of snapshots that never arrived", m.Name(), plural(staged, "key"))
		}
		var unknown []uint32
		if err := m.dir.disk.Groups(func(g kv.Group) error {
			if m.proc.core.Replica(g.ID) == nil {
				unknown = append(unknown, g.ID)
			}
			return nil
		}); err != nil && !errors.Is(err, kv.ErrClosed) {
			return fmt.Sprintf("%s: %v", m.Name(), err)
		}
		if len(unknown) > 0 {
			return fmt.Sprintf("%s keeps logs of groups that it has no replica of: %v", m.Name(), unknown)
		}
	}
	return ""
}

// staged counts the keys on a machine's disk that belong to snapshots which have not arrived.
func (m *Machine) staged() int {
	n := 0
	lower, upper := tablet.StagesRange()
	_ = m.dir.disk.Scan(lower, upper, func(_, _ []byte) bool { n++; return true }) // of a disk that has failed: none
	return n
}

// Standing tells where every node stands, for people.
func (w *World) Standing() string {
	var b bytes.Buffer
	for _, m := range w.machines {
		if m.proc == nil {
			fmt.Fprintf(&b, "%s does not run; ended: %v\n", m.Name(), m.ended)
			continue
		}
		c := m.proc.core
		f := c.Figures()
		state := "no member"
		if reg := c.Registry(); reg != nil {
			if self, ok := reg.Member(m.dir.id); ok {
				state = self.State.String()
			}
		}
		fmt.Fprintf(&b, "%s (%s) is %s, ready: %v; connected to %d, leads %d, holds %d, lacks %d, moves %d", m.Name(), m.dir.id.Short(),
			state, orYes(c.Ready()), f.Members, f.Leads, f.Holds, f.Lacking, f.Moving)
		if m.proc.paused {
			b.WriteString("; paused")
		}
		if m.refused != "" {
			fmt.Fprintf(&b, "; refused: %s", m.refused)
		}
		b.WriteByte('\n')
	}
	for t := range uint32(w.cfg.Tablets) {
		if l := w.leader(t); l != nil {
			fmt.Fprintf(&b, "tablet %d is led by %s: %s\n", t, l.Name(), w.describe(l.proc.core.Replica(t).Descriptor()))
		} else {
			fmt.Fprintf(&b, "tablet %d has no leader\n", t)
		}
	}
	return b.String()
}

func orYes(err error) string {
	if err == nil {
		return "yes"
	}
	return err.Error()
}

// settleLimit is how long after the last fault a cluster may take until all is as it should be: the grace, and time to
// copy and to agree.
func (w *World) settleLimit() time.Duration { return w.cfg.ReplaceAfter + 100*time.Second }
