package core

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// One request that waits for its timeout does not keep the memory of all those that were answered behind it.
func TestQueueForgetsWhatHasEnded(t *testing.T) {
	var q queue
	first := &pending{}
	q.push(wait{p: first, at: time.Minute})
	const answered = 10_000
	for i := range answered {
		q.push(wait{p: &pending{ended: true}, at: time.Minute + time.Duration(i)})
	}
	last := &pending{}
	q.push(wait{p: last, attempt: 7, at: 2 * time.Minute})
	q.tidy(2)
	if len(q.items)-q.head != 2 {
		t.Errorf("%d waits are kept for 2 requests", len(q.items)-q.head)
	}
	for i, w := range q.items[len(q.items):cap(q.items)] {
		if w.p != nil {
			t.Fatalf("what was dropped is still held, %d behind the end", i)
		}
	}
	if w, ok := q.due(time.Minute); !ok || w.p != first {
		t.Error("the first request is not due at its time")
	}
	if _, ok := q.due(2*time.Minute - 1); ok {
		t.Error("something is due before its time")
	}
	if w, ok := q.due(2 * time.Minute); !ok || w.p != last || w.attempt != 7 {
		t.Error("the last request is not due at its time")
	}
}

// To tidy costs as much as there are waits, so it is only done where most of many have ended.
func TestQueueIsTidiedSeldom(t *testing.T) {
	for _, c := range []struct {
		waits, live int
		tidied      bool
	}{{1023, 1, false}, {1024, 257, false}, {1024, 256, true}, {4000, 1001, false}, {4000, 1000, true}} {
		var q queue
		q.push(wait{p: &pending{}})
		q.due(0) // what was taken out does not count
		for i := range c.waits {
			q.push(wait{p: &pending{ended: i >= c.live}})
		}
		want := c.waits
		if c.tidied {
			want = c.live
		}
		if q.tidy(c.live); len(q.items)-q.head != want {
			t.Errorf("%d waits for %d requests: %d are kept, want %d", c.waits, c.live, len(q.items)-q.head, want)
		}
	}
}

// Whenever the queue is tidied, no request's time is missed, and none comes twice, early, or out of order: a client
// would wait for ever, or be told of a timeout that was none.
func TestQueueAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var list []wait // what has neither ended nor come
		var now, at time.Duration
		serial := 0
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for range rapid.IntRange(0, 1500).Draw(t, "pushed") {
				at += time.Duration(serial % 3)
				serial++
				w := wait{p: &pending{}, attempt: serial, at: max(at, now)}
				q.push(w)
				list = append(list, w)
			}
			if every := rapid.IntRange(0, 12).Draw(t, "kept"); every < 10 {
				list = slices.DeleteFunc(list, func(w wait) bool {
					w.p.ended = every == 0 || w.attempt%every != 0
					return w.p.ended
				})
			}
			q.tidy(len(list))
			if n := len(q.items) - q.head; n >= 1024 && n > 4*len(list) {
				t.Fatalf("%d waits are kept for %d requests", n, len(list))
			}
			now += time.Duration(rapid.IntRange(0, 2000).Draw(t, "passed"))
			for {
				got, ok := q.due(now)
				if !ok {
					break
				}
				if len(list) == 0 || got != list[0] || got.at > now {
					t.Fatalf("at %d wait %d of %d is due", now, got.attempt, got.at)
				}
				list = list[1:]
			}
			if len(list) > 0 && list[0].at <= now {
				t.Fatalf("at %d wait %d of %d is not due", now, list[0].attempt, list[0].at)
			}
		}
	})
}
