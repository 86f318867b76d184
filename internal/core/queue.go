package core

import "time"

// queue holds waits in order of time. What has ended before its time is skipped when its turn comes.
type queue struct {
	items []wait
	head  int
}

type wait struct {
	p       *pending
	attempt int
	at      time.Duration
}

func (q *queue) push(w wait) { q.items = append(q.items, w) }

// tidy drops what has ended when that is most of the queue: behind one request that waits for its timeout there may
// be those of seconds. live is how many requests are under way.
func (q *queue) tidy(live int) {
	if n := len(q.items) - q.head; n < 1024 || n < 4*live {
		return
	}
	kept := q.items[:0]
	for _, w := range q.items[q.head:] {
		if !w.p.ended {
			kept = append(kept, w)
		}
	}
	clear(q.items[len(kept):])
	q.items, q.head = kept, 0
}

// due takes out the next wait whose time has come.
func (q *queue) due(now time.Duration) (wait, bool) {
	for q.head < len(q.items) {
		w := q.items[q.head]
		if !w.p.ended && w.at > now {
			break
		}
		q.items[q.head] = wait{}
		q.head++
		if !w.p.ended {
			q.trim()
			return w, true
		}
	}
	q.trim()
	return wait{}, false
}

func (q *queue) trim() {
	if q.head > 1024 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}
