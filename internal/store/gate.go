package store

import (
	"sync"
	"sync/atomic"
)

// gate counts the reads that are under way, so that Close can wait for them and turn away later ones. Unlike a
// sync.RWMutex it lets a read begin another one while Close waits, without a deadlock: the inner one is turned away.
type gate struct {
	// state is the number of reads, and shut once Close has begun.
	state   atomic.Int64
	once    sync.Once
	drained chan struct{}
}

const shut = int64(1) << 62

func newGate() gate { return gate{drained: make(chan struct{}, 1)} }

func (g *gate) closed() bool { return g.state.Load()&shut != 0 }

// enter reports whether a read may begin; if so, leave must follow.
func (g *gate) enter() bool {
	if g.state.Add(1)&shut != 0 {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.state.Add(-1) == shut {
		select {
		case g.drained <- struct{}{}:
		default:
		}
	}
}

// close turns further reads away and returns when none is under way.
func (g *gate) close() {
	g.once.Do(func() {
		if g.state.Or(shut) != 0 {
			<-g.drained
		}
	})
}
