package node

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Who reads several keys at once sees all of an MSET or nothing of it, on a node alone too, which may answer reads
// without asking anybody while it applies what others write.
func TestReadsOfSeveralKeysAreWhole(t *testing.T) {
	t.Parallel()
	const keys, writes, reads = 40, 300, 1000 // at least so many by each client
	m := newMachine(t)
	m.start("--init")
	mget, mset := []string{"MGET"}, []string{"MSET"}
	for i := range keys {
		k := fmt.Sprintf("{tag}%d", i)
		mget, mset = append(mget, k), append(mset, k, "0")
	}
	writer := m.client()
	writer.must("+OK", mset...)

	var clients sync.WaitGroup
	var busy atomic.Int32 // clients whose share is not done; until then all go on
	busy.Store(3)
	work := func(share int, once func() bool) {
		clients.Go(func() {
			for done := 1; busy.Load() > 0; done++ {
				if !once() {
					busy.Store(0) // the test has failed
				} else if done == share {
					busy.Add(-1)
				}
			}
		})
	}
	round := 0
	work(writes, func() bool {
		round++
		for i := range keys {
			mset[2+2*i] = strconv.Itoa(round)
		}
		got, err := writer.do(mset...)
		if err != nil || got != "+OK" {
			t.Errorf("MSET: %q, %v", got, err)
			return false
		}
		return true
	})
	for range 2 {
		c := m.client()
		last := 0
		work(reads, func() bool {
			values, err := c.list(mget...)
			if err != nil || len(values) != keys {
				t.Errorf("MGET: %q, %v", values, err)
				return false
			}
			for i, v := range values {
				if v != values[0] {
					t.Errorf("one MGET shows %q and, %d keys further, %q", values[0], i, v)
					return false
				}
			}
			seen, err := strconv.Atoi(values[0])
			if err != nil || seen < last {
				t.Errorf("an MGET shows %q after %d", values[0], last)
				return false
			}
			last = seen
			return true
		})
	}
	clients.Wait()
}

// list sends a command whose reply is a list of strings.
func (c *client) list(args ...string) ([]string, error) {
	head, err := c.do(args...)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(head[1:])
	if err != nil || head[0] != '*' {
		return nil, fmt.Errorf("no list: %q", head)
	}
	values := make([]string, n)
	for i := range values {
		if values[i], err = c.reply(); err != nil {
			return nil, err
		}
	}
	return values, nil
}
