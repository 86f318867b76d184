package lab

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/placement"
	"github.com/quorddb/quord/internal/ring"
)

// Join measures what it costs that one node more joins a settled ring, or that one leaves: SIGCOMM 2001, theorems 1
// and 3.
//
// Messages: all that are sent on account of it, to and from the newcomer, until it owns its part of the ring, and, with
// the Paper preset, knows all its fingers (in production the tokens of a node share their tables, and it routes well
// long before); without the rounds of stabilization that every node makes anyway. For a departure: those by which it
// takes leave. Tablets moved: copies that get another holder, of 3 of each tablet; ideal is the newcomer's
// fair share, or what the leaver held in the mean.
type Join struct {
	Preset Preset
	Nodes  int // before
	Leave  bool
	Seed   uint64
}

// JoinResult is what Join prints as JSON.
type JoinResult struct {
	Messages     float64 `json:"messages"`
	TabletsMoved float64 `json:"tablets_moved"`
	Ideal        float64 `json:"ideal"`
}

// Validate says which choice makes no sense.
func (j Join) Validate() error {
	low := 2
	if j.Leave {
		low = QuordReplicas + 1 // or a departure moves nothing: there is nobody else to hold a copy
	}
	return all(in("nodes", j.Nodes, low, MaxBalanced-1), worldSize(j.Preset, j.Nodes, j.tokens(), j.list()))
}

func (j Join) tokens() int {
	if j.Preset == Quord {
		return QuordTokens
	}
	return 1
}

func (j Join) list() int {
	if j.Preset == Quord {
		return 16
	}
	return min(j.Nodes-1, 2*log2(j.Nodes))
}

// Tablets returns how many there are: at least 64 for each node.
func (j Join) Tablets() int { return tabletsFor(j.Nodes) }

// Run measures one ring.
func (j Join) Run(n int) (JoinResult, error) {
	rng := random(j.Seed, n)
	b := Balance{Preset: j.Preset, Nodes: j.Nodes + 1, Tokens: j.tokens(), Tablets: j.Tablets()}
	var before []ring.Token
	at := make([][]ring.ID, j.Nodes)
	for i := range at {
		more, err := b.join(before, i, rng)
		if err != nil {
			return JoinResult{}, err
		}
		before = append(before, more...)
		at[i] = ids(more)
	}
	newcomer, err := b.join(before, j.Nodes, rng)
	if err != nil {
		return JoinResult{}, err
	}
	after := slices.Concat(before, newcomer)
	leaver := rng.IntN(j.Nodes)
	if j.Leave {
		after = slices.DeleteFunc(slices.Clone(before), func(t ring.Token) bool { return t.Node == nodeID(leaver) })
	}
	var res JoinResult
	if res.TabletsMoved, err = moved(before, after, b.Tablets); err != nil {
		return res, err
	}
	copies := float64(b.Tablets * min(QuordReplicas, j.Nodes))
	res.Ideal = copies / float64(j.Nodes)
	if !j.Leave {
		res.Ideal = float64(b.Tablets*min(QuordReplicas, j.Nodes+1)) / float64(j.Nodes+1)
	}

	w := &world{ticking: true}
	w.delay = func(_, _ int) time.Duration { return time.Millisecond }
	cfg := j.Preset.config(j.list())
	if j.Preset == Paper {
		cfg.StabilizeEvery, cfg.Settle = time.Second, time.Minute
	}
	if _, err := w.settle(cfg, at, rng, nil); err != nil {
		return res, err
	}
	if j.Leave {
		res.Messages = float64(w.leave(leaver))
		return res, nil
	}
	messages, err := w.joinOne(cfg, j.Nodes, ids(newcomer), nodeID(rng.IntN(j.Nodes)), j.Preset == Paper)
	res.Messages = float64(messages)
	return res, err
}

func ids(tokens []ring.Token) (out []ring.ID) {
	for _, t := range tokens {
		out = append(out, t.ID)
	}
	return out
}

// moved counts the copies that have a holder after that they did not have before.
func moved(before, after []ring.Token, tablets int) (float64, error) {
	a, err := placement.NewMap(before, tablets, QuordReplicas, nil)
	if err != nil {
		return 0, err
	}
	b, err := placement.NewMap(after, tablets, QuordReplicas, nil)
	if err != nil {
		return 0, err
	}
	n := 0
	var old, now []ident.NodeID
	for t := range uint32(tablets) {
		old, now = a.AppendTargets(old[:0], t), b.AppendTargets(now[:0], t)
		for _, node := range now {
			if !slices.Contains(old, node) {
				n++
			}
		}
	}
	return float64(n), nil
}

// joinOne lets a node join and counts the messages on its account: until it owns its part of the ring, and, where they
// are asked for, knows all its fingers.
func (w *world) joinOne(cfg ring.Config, n int, at []ring.ID, contact ident.NodeID, fingers bool) (int, error) {
	r, err := ring.New(cfg, nodeID(n), at, 1)
	if err != nil {
		return 0, err
	}
	if err := r.Join(w.now, []ident.NodeID{contact}); err != nil {
		return 0, err
	}
	messages, settled := 0, map[ring.ID]bool{}
	w.spied = func(from, to int, m *ring.Message) {
		switch m.Kind {
		case ring.Find, ring.Route:
			if from == n || to == n {
				messages++
			}
		default:
			token := m.From
			if to == n {
				token = m.To
			}
			if (from == n || to == n) && !settled[token] {
				messages++
			}
		}
	}
	done := false
	w.touched = func(touched int) {
		if touched != n || done {
			return
		}
		done = true
		for _, t := range r.State().Tokens {
			if t.Owns && t.Floor == t.Predecessor.ID {
				settled[t.ID] = true
			}
			done = done && settled[t.ID] && (!fingers || fingersKnown(cfg.Bits, t))
		}
	}
	w.put(n, r)
	for end := w.now + time.Hour; !done; {
		if !w.step(end) {
			return messages, fmt.Errorf("after an hour node %d has not joined", n)
		}
	}
	return messages, nil
}

// fingersKnown reports whether a token knows all fingers beyond its successor list.
func fingersKnown(width int, t ring.TokenState) bool {
	space := ring.Space{Bits: width}
	for k := range width {
		if ring.Within(t.ID, space.AddPower(t.ID, width-1-k), t.Successors[0].ID) {
			return true
		}
		if k >= len(t.Fingers) {
			return false
		}
	}
	return true
}

// leave lets a node take leave and counts its messages.
func (w *world) leave(n int) int {
	messages := 0
	w.spied = func(from, _ int, m *ring.Message) {
		if from == n && m.Kind == ring.Leave {
			messages++
		}
	}
	w.rings[n].Leave(w.now)
	w.collect(n)
	return messages
}

// Result returns the means of all rings.
func (j Join) Result(rings []JoinResult) JoinResult {
	var sum JoinResult
	for _, r := range rings {
		sum.Messages += r.Messages
		sum.TabletsMoved += r.TabletsMoved
		sum.Ideal += r.Ideal
	}
	n := float64(len(rings))
	return JoinResult{round(sum.Messages/n, 2), round(sum.TabletsMoved/n, 2), round(sum.Ideal/n, 2)}
}

func log2(n int) int {
	bits := 0
	for n > 1 {
		n /= 2
		bits++
	}
	return max(bits, 1)
}
