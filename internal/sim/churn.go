package sim

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorddb/quord/internal/request"
)

// Churn says what an experiment is in which nodes come and go all the time, as in Scatter's evaluation (SOSP 2011,
// figures 13 and 14): each node stays for a session, loses its power, and is back with its disk a while later.
type Churn struct {
	// Config is the cluster's. Defaults here: 64 tablets of 7 replicas, a grace of 10s.
	Config
	// Nodes is how many machines there are; some of them are always away. Default 60.
	Nodes int
	// Median is that of the sessions. Default 100s.
	Median time.Duration
	// Pareto gives the sessions' lengths the shape 1.1 in place of the exponential one that a Poisson process makes.
	Pareto bool
	// Away is how long a departed node stays away. Default 1m.
	Away time.Duration
	// Length is for how long nodes come and go. Default 5m.
	Length time.Duration
	// Clients is how many clients there are, Think how long each pauses between two commands, on the average. Default 40,
	// 200ms.
	Clients int
	Think   time.Duration
	// Progress and Tell are as in Options.
	Progress func(Progress)
	Tell     func(line string)
}

const (
	// paretoShape is Scatter's alpha.
	paretoShape = 1.1
	// tooLate is when an answer counts as none, as in Scatter.
	tooLate = 3 * time.Second
	// churnKeys is how many keys are in use at a time: several for each tablet.
	churnKeys = 320
)

func (c Churn) withDefaults() Churn {
	set(&c.Tablets, 64)
	set(&c.Replicas, 7)
	set(&c.ReplaceAfter, 10*time.Second)
	set(&c.Nodes, 60)
	set(&c.Median, 100*time.Second)
	set(&c.Away, time.Minute)
	set(&c.Length, 5*time.Minute)
	set(&c.Clients, 40)
	set(&c.Think, 200*time.Millisecond)
	return c
}

// ChurnResult says how an experiment went.
type ChurnResult struct {
	Result
	Departures int
	// Living is how many nodes ran while nodes came and went, in the mean.
	Living float64
	// Asked is what clients asked for meanwhile, Failed what became of those operations that count as failed.
	Asked  int
	Failed Failures
	// Reads and Writes are how long those took that were answered, in order.
	Reads, Writes []time.Duration
	// Replaced is how long it took until a tablet had another voter in place of one whose node was away, in order.
	Replaced []time.Duration
	// Missed counts the keys whose history shows an update that somebody did not see.
	Missed int
	// Changes counts the descriptors that were made, of all tablets.
	Changes int
	// Tablets and System say for how long tablets, and the system group, were unable to decide anything.
	Tablets, System Undecided
}

// Failures counts operations that failed, by how.
type Failures struct {
	Refused   int `json:"refused"`   // certainly not done: TRYAGAIN, CLUSTERDOWN
	Uncertain int `json:"uncertain"` // perhaps done
	Broken    int `json:"broken"`    // the node that was asked departed before it answered
	Late      int `json:"late"`      // answered after more than 3 s
}

// Sum is how many there are.
func (f Failures) Sum() int { return f.Refused + f.Uncertain + f.Broken + f.Late }

// churn is an experiment under way.
type churn struct {
	*run
	cfg      Churn
	sessions *rand.Rand
	until    time.Duration // nodes come and go
	res      ChurnResult
	majority majorities
	lived    time.Duration // of all nodes together
}

// RunChurn lets nodes come and go under clients, then all come back, and judges as Run does. It ends early, with an
// error, when ctx does.
func RunChurn(ctx context.Context, cfg Churn) (*ChurnResult, error) {
	cfg = cfg.withDefaults()
	opts := Options{
		Config: cfg.Config, Nodes: cfg.Nodes, Length: cfg.Length, Clients: cfg.Clients, Think: cfg.Think,
		Progress: cfg.Progress, Tell: cfg.Tell,
	}.withDefaults()
	r := prepare(opts)
	c := &churn{run: r, cfg: cfg, sessions: r.w.generator("sessions")}
	c.majority.init(r.w)
	var settled time.Duration
	err := c.live(ctx, &settled)
	c.res.Result = *r.result(nil, settled)
	c.res.Missed = c.missed()
	return &c.res, err
}

func (c *churn) live(ctx context.Context, settled *time.Duration) error {
	w := c.w
	if err := c.gather(ctx); err != nil || c.broken() {
		return err
	}
	c.phase, c.began = "churn", w.now
	c.until = w.now + c.cfg.Length
	before := c.descriptors()
	for _, m := range w.machines {
		c.session(m)
	}
	c.load = w.newLoad(c.opts.Clients, c.opts.Think, churnKeys)
	c.load.noted = c.noted
	c.majority.watch(c.until)
	c.count()
	err := c.pass(ctx, c.cfg.Length)
	c.until = w.now
	c.res.Living = c.lived.Seconds() / (c.until - c.began).Seconds()
	c.res.Changes = c.descriptors() - before
	c.res.Tablets, c.res.System = c.majority.result(c.until)
	if err != nil || c.broken() {
		return err
	}
	return c.conclude(ctx, settled)
}

// session lets the node of a machine stay for as long as chance says, then be away, and come back for another session.
func (c *churn) session(m *Machine) {
	w := c.w
	w.after(c.draw(), func() {
		if w.now >= c.until {
			return
		}
		c.res.Departures++
		c.majority.departed[m] = w.now
		m.Cut()
		w.after(c.cfg.Away, func() {
			if w.now < c.until {
				delete(c.majority.departed, m)
				m.Start()
				c.session(m)
			}
		})
	})
}

// draw draws the length of a session.
func (c *churn) draw() time.Duration {
	median := c.cfg.Median.Seconds()
	u := 1 - c.sessions.Float64() // in (0, 1]
	s := median / math.Ln2 * -math.Log(u)
	if c.cfg.Pareto {
		s = median * math.Pow(2*u, -1/paretoShape)
	}
	return time.Duration(min(s, 1e6) * float64(time.Second))
}

// count adds up for how long nodes live.
func (c *churn) count() {
	for _, m := range c.w.machines {
		if m.proc != nil {
			c.lived += majorityEvery
		}
	}
	if next := c.w.now + majorityEvery; next < c.until {
		c.w.agenda.add(next, c.count)
	}
}

// noted counts how an operation ended.
func (c *churn) noted(o *op, q *Call) {
	if o.call >= c.until {
		return
	}
	c.res.Asked++
	f := &c.res.Failed
	switch {
	case q == nil:
		f.Late++
	case q.gone:
		f.Broken++
	case q.Code() == request.Uncertain:
		f.Uncertain++
	case !q.OK():
		f.Refused++
	default:
		if q.Took > tooLate {
			f.Late++
		}
		if o.verb == get {
			c.res.Reads = append(c.res.Reads, q.Took)
		} else {
			c.res.Writes = append(c.res.Writes, q.Took)
		}
	}
}

// descriptors counts those that were ever made, of all tablets.
func (c *churn) descriptors() (n int) {
	for i := range c.cfg.Tablets {
		n += len(c.w.watch.groups[i].descriptors)
	}
	return n
}

// missed counts the keys whose history is wrong, once one has been found.
func (c *churn) missed() (n int) {
	slices.Sort(c.res.Reads)
	slices.Sort(c.res.Writes)
	c.res.Replaced = slices.Sorted(slices.Values(c.majority.replaced))
	for _, v := range c.w.violations {
		if v.Key == "" {
			continue
		}
		for _, k := range c.load.histories {
			if why, _ := k.check(); why != "" {
				n++
			}
		}
		break
	}
	return n
}
