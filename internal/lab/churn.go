package lab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/ring"
)

// Churn measures lookups while nodes join and leave: ToN 2003, table III. As there, joins and departures come each as
// a Poisson process of the given rate, lookups of one a second; a node stabilizes its successor and one finger every
// 15 to 45 seconds (drawn once for each node); a packet takes 50 ms in the mean, exponentially; a timeout is 500 ms.
// The Quord preset has production's intervals and 64 tokens a node instead, on the same network.
//
// Counted are the nodes that answered, the owner among them, and those that did not. A lookup that ends in an error
// has failed. One is wrong if a token accepts it although a global observer, who knows each join that has completed
// (the token that follows has taken it as the predecessor) and each departure, would say at that moment that another
// token owns the key; so is one that a node does for a finger or for a join.
type Churn struct {
	Preset     Preset
	Nodes      int
	Successors int
	Rate       float64 // joins per second, and departures per second
	Hours      float64 // of virtual time
	Seed       uint64
}

// ChurnResult is what Churn prints as JSON.
type ChurnResult struct {
	Hops           Spread  `json:"hops"`
	Timeouts       Lost    `json:"timeouts"`
	FailedPer10000 float64 `json:"failed_per_10000"`
	Wrong          int64   `json:"wrong"`
}

// ChurnRing is what one ring gave.
type ChurnRing struct {
	Hops, Timeouts         Counts
	Lookups, Failed, Wrong int64
	Joins, Departures      int64
}

// lookupsPerSecond is ToN's.
const lookupsPerSecond = 1.0

// Validate says which choice makes no sense.
func (c Churn) Validate() error {
	if most := c.mostRate(); !(c.Rate >= 0) || c.Rate > most {
		return fmt.Errorf("--rate %v: want 0 to %.3g for %d nodes, at which a node stays for %v in the mean: a ring that changes faster than it stabilizes shows nothing",
			c.Rate, most, c.Nodes, time.Duration(float64(c.Nodes)/most)*time.Second)
	}
	if !(c.Hours > 0) || c.Hours > 1000 {
		return fmt.Errorf("--hours %v: want more than 0, at most 1000", c.Hours)
	}
	return all(
		in("nodes", c.Nodes, 8, 1<<16), in("successors", c.Successors, 2, ring.MaxList),
		worldSize(c.Preset, c.Nodes, c.tokens(), c.Successors),
	)
}

// mostRate is the rate at which nodes stay for ten rounds of stabilization, of 30 seconds or of production's second
// with the time that 64 tokens take to join.
func (c Churn) mostRate() float64 {
	if c.Preset == Quord {
		return float64(c.Nodes) / 60
	}
	return float64(c.Nodes) / 300
}

func (c Churn) tokens() int {
	if c.Preset == Quord {
		return QuordTokens
	}
	return 1
}

// churnWorld is one run.
type churnWorld struct {
	*world
	Churn
	rng     *rand.Rand
	truth   []ring.Token              // tokens whose join has completed, in ring order
	behind  map[ring.Token]ring.Token // the predecessor of each token that has joined, or has taken one, meanwhile
	pending map[int]map[uint64]bool
	out     ChurnRing
	err     error
}

// Run measures one ring.
func (c Churn) Run(n int) (ChurnRing, error) {
	w := c.world(n)
	if err := w.begin(); err != nil {
		return w.out, err
	}
	w.run()
	return w.out, w.err
}

// world returns the world of one run, without rings yet.
func (c Churn) world(n int) *churnWorld {
	w := &churnWorld{
		world: &world{ticking: true}, Churn: c, rng: random(c.Seed, n),
		behind: map[ring.Token]ring.Token{}, pending: map[int]map[uint64]bool{},
	}
	w.delay = func(_, _ int) time.Duration {
		return time.Microsecond + time.Duration(w.rng.ExpFloat64()*float64(50*time.Millisecond))
	}
	w.tune, w.ended, w.told, w.spied = w.config, w.end, w.hear, w.judge
	return w
}

// begin puts a converged ring in place.
func (w *churnWorld) begin() error {
	at, err := w.Preset.places(w.Nodes, w.tokens(), w.rng)
	if err != nil {
		return err
	}
	truth, err := w.settle(w.Preset.config(w.Successors), at, w.rng, nil)
	if err != nil {
		return err
	}
	w.truth = slices.Clone(truth.tokens)
	return nil
}

// run lets the hours pass.
func (w *churnWorld) run() {
	end := time.Duration(w.Hours * float64(time.Hour))
	join, leave, lookup := w.pause(w.Rate), w.pause(w.Rate), w.pause(lookupsPerSecond)
	for w.now < end && w.err == nil {
		at := min(join, leave, lookup, end)
		for w.step(at) {
		}
		w.now = at
		switch at {
		case lookup:
			w.lookUp()
			lookup = at + w.pause(lookupsPerSecond)
		case join:
			w.join()
			join = at + w.pause(w.Rate)
		case leave:
			w.leave()
			leave = at + w.pause(w.Rate)
		}
	}
	// What is still under way ends by its deadline.
	for w.err == nil && len(w.pending) > 0 && w.step(end+time.Hour) {
	}
}

// config gives a node of the papers its own pace.
func (w *churnWorld) config(cfg *ring.Config) {
	if w.Preset == Quord {
		return
	}
	cfg.StabilizeEvery = 15*time.Second + time.Duration(w.rng.Int64N(int64(30*time.Second)))
	// Whoever lives has looked at its successor twice by then: once to find it gone, and once more to hear who has come to
	// stand before the next one, where that one did not know yet.
	cfg.Settle = 95 * time.Second
	cfg.LookupTimeout = 30 * time.Second
	cfg.DeadFor = cfg.StabilizeEvery
}

// pause draws the time to the next event of a Poisson process.
func (w *churnWorld) pause(rate float64) time.Duration {
	if rate == 0 {
		return never / 2
	}
	return time.Duration(w.rng.ExpFloat64() / rate * float64(time.Second))
}

// anyone returns a node that is in the ring.
func (w *churnWorld) anyone() int {
	t := w.truth[w.rng.IntN(len(w.truth))]
	return number(t.Node)
}

func (w *churnWorld) lookUp() {
	n := w.anyone()
	ticket := w.rings[n].Lookup(w.now, randomID(w.rng), ring.Iterative, 0)
	if w.pending[n] == nil {
		w.pending[n] = map[uint64]bool{}
	}
	w.pending[n][ticket] = true
	w.collect(n)
}

func (w *churnWorld) join() {
	ids := make([]ring.ID, w.tokens())
	for i := range ids {
		ids[i] = randomID(w.rng)
	}
	cfg := w.Preset.config(w.Successors)
	w.tune(&cfg)
	n := len(w.rings)
	r, err := ring.New(cfg, nodeID(n), ids, w.rng.Uint64())
	if err == nil {
		err = r.Join(w.now, []ident.NodeID{nodeID(w.anyone()), nodeID(w.anyone()), nodeID(w.anyone())})
	}
	if err != nil {
		w.err = fmt.Errorf("node %d joins: %w", n, err)
		return
	}
	w.out.Joins++
	w.put(n, r)
}

func (w *churnWorld) leave() {
	n := w.anyone()
	tokens := w.rings[n].State().Tokens
	w.rings[n].Leave(w.now)
	w.collect(n)
	w.rings[n] = nil
	w.out.Departures++
	delete(w.pending, n) // whoever asked there has gone, too
	w.truth = slices.DeleteFunc(w.truth, func(t ring.Token) bool { return t.Node == nodeID(n) })
	if len(w.truth) == 0 {
		w.err = fmt.Errorf("at %v the last node left", w.now)
		return
	}
	for _, t := range tokens {
		delete(w.behind, ring.Token{ID: t.ID, Node: nodeID(n)})
		i, _ := slices.BinarySearchFunc(w.truth, t.ID, byID)
		w.complete(w.truth[i%len(w.truth)]) // others stand right before it now
	}
}

// hear follows who says that who is its predecessor.
func (w *churnWorld) hear(_ int, e ring.Event) {
	if e.Kind == ring.Joined || e.Kind == ring.PredecessorChange {
		w.behind[e.Token] = e.Peer
		w.complete(e.Token)
	}
}

// complete takes note of the joins that complete with the predecessor that s has. A join has completed once the token's
// successor has taken it as the predecessor: its successor is the one that follows it among all whose joins have
// completed, whatever its own pointer says. And a successor need not be told: a newcomer copies its predecessor from
// whoever let it in, and so may have had the other one as its predecessor from the beginning.
func (w *churnWorld) complete(s ring.Token) {
	if _, known := slices.BinarySearchFunc(w.truth, s.ID, byID); !known {
		return
	}
	for {
		t := w.behind[s]
		i, known := slices.BinarySearchFunc(w.truth, t.ID, byID)
		if known || !w.alive(number(t.Node)) || w.truth[i%len(w.truth)] != s {
			return
		}
		w.truth = slices.Insert(w.truth, i, t)
		s = t
	}
}

// judge looks at a token that accepts a key, at the moment when it does.
func (w *churnWorld) judge(from, _ int, m *ring.Message) {
	if (m.Kind == ring.Route || m.Kind == ring.Found) && m.Verdict == ring.Owner {
		w.accepted(ring.Token{ID: m.From, Node: nodeID(from)}, m.Target)
	}
}

// owner returns who owns an identifier, as the observer says.
func (w *churnWorld) owner(id ring.ID) ring.Token {
	i, _ := slices.BinarySearchFunc(w.truth, id, byID)
	return w.truth[i%len(w.truth)]
}

func (w *churnWorld) accepted(by ring.Token, target ring.ID) {
	if w.owner(target) != by {
		w.out.Wrong++
	}
}

// end takes the end of a lookup.
func (w *churnWorld) end(n int, res ring.Result) {
	if !w.pending[n][res.Ticket] {
		return
	}
	if delete(w.pending[n], res.Ticket); len(w.pending[n]) == 0 {
		delete(w.pending, n)
	}
	w.out.Lookups++
	if res.Err != nil {
		w.out.Failed++
		return
	}
	if res.Owner.Node == nodeID(n) {
		w.accepted(res.Owner, res.Target)
	}
	w.out.Hops.Add(res.Hops)
	w.out.Timeouts.Add(res.Timeouts)
}

// Result sums rings up.
func (c Churn) Result(rings []ChurnRing) ChurnResult {
	var sum ChurnRing
	for _, r := range rings {
		sum.Hops.Merge(r.Hops)
		sum.Timeouts.Merge(r.Timeouts)
		sum.Lookups += r.Lookups
		sum.Failed += r.Failed
		sum.Wrong += r.Wrong
	}
	return ChurnResult{
		Hops: sum.Hops.Spread(), Timeouts: sum.Timeouts.lost(),
		FailedPer10000: round(1e4*float64(sum.Failed)/float64(max(sum.Lookups, 1)), 3), Wrong: sum.Wrong,
	}
}

// Published returns table III's row for this experiment, and whether it has one.
func (c Churn) Published() (ChurnPoint, bool) {
	for _, pub := range PublishedChurn {
		if c.Preset == Paper && c.Nodes == 1000 && c.Successors == 20 && c.Rate == pub.Rate {
			return pub, true
		}
	}
	return ChurnPoint{}, false
}
