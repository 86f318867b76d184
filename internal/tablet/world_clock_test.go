package tablet

import "time"

// monoClock is a node's monotonic clock: it may run slower or faster than that of the world.
type monoClock struct {
	base, from time.Duration
	drift      int64 // per mille
}

func (c *monoClock) at(now time.Duration) time.Duration {
	return c.base + (now-c.from)*time.Duration(1000+c.drift)/1000
}

// mono is what the node's monotonic clock shows.
func (n *node) mono() time.Duration { return n.clock.at(n.w.now) }

// drifts lets the node's monotonic clock run faster, or slower, by so many parts in a thousand from now on.
func (n *node) drifts(perMille int64) {
	n.clock = monoClock{base: n.mono(), from: n.w.now, drift: perMille}
}

// hangUpAfter is how soon the others notice that a process has stopped.
const hangUpAfter = time.Second

// pause stops the process, as SIGSTOP would: what is sent to it waits, and it finds its clocks ahead when it goes on.
func (n *node) pause() {
	if !n.up || n.paused {
		return
	}
	n.w.logf("node %d is paused", n.at)
	n.paused = true
	boot := n.boot
	n.w.after(hangUpAfter, func() {
		if !n.paused || n.boot != boot {
			return
		}
		n.silent = true
		for _, o := range n.w.nodes {
			if o != n {
				o.miss(n.at)
			}
		}
	})
}

// resume lets a paused process go on.
func (n *node) resume() {
	if !n.paused || !n.up {
		return
	}
	n.w.logf("node %d goes on", n.at)
	n.paused, n.silent = false, false
	stuck := n.stuck
	n.stuck = nil
	for _, fn := range stuck {
		fn()
	}
	n.work()
	for _, o := range n.w.nodes {
		if o != n {
			o.met(n.at)
			n.met(o.at)
		}
	}
}

// whenRunning calls fn, or leaves it for when the process goes on.
func (n *node) whenRunning(fn func()) {
	if n.paused {
		n.stuck = append(n.stuck, fn)
		return
	}
	fn()
}

// usurped returns a node that may answer reads by itself, and another one that leads in a later term; nil where there is
// no such pair, which is what a lease promises.
func (w *world) usurped() (old, other *node) {
	for _, n := range w.nodes {
		if !n.up || n.group == nil || n.group.LeaseEnd(n.mono()) <= n.mono() {
			continue
		}
		for _, o := range w.nodes {
			if o.up && o.group != nil && o.group.Leading() && o.group.Term() > n.group.Term() {
				return n, o
			}
		}
	}
	return nil, nil
}

// sever cuts a node off from all others, and everybody notices at once.
func (w *world) sever(a int) {
	for b := range w.nodes {
		if a != b {
			w.cut[[2]int{a, b}], w.cut[[2]int{b, a}] = true, true
		}
	}
	for b := range w.nodes {
		if a != b {
			w.nodes[b].miss(a)
			w.nodes[a].miss(b)
		}
	}
}
