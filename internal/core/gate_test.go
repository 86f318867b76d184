package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/store/memstore"
)

// slowDisk is a disk on which a read may take long: something happens before it.
type slowDisk struct {
	memDisk
	before func()
}

func (d *slowDisk) Get(key []byte) ([]byte, error) {
	if fn := d.before; fn != nil {
		d.before = nil
		fn()
	}
	return d.memDisk.Get(key)
}

// A goroutine looks at the clock, may read, and begins to; but the disk takes so long that the tablet goes to other nodes
// meanwhile, and what is stored here is removed. It must not take that for keys that are not there.
func TestReadsAreNotOfARemovedReplica(t *testing.T) {
	w := newWorld(t, 830)
	w.newDisk = func() disk { return &slowDisk{memDisk: memDisk{memstore.New()}} }
	w.found()
	for range 3 {
		w.start(w.add(), w.nodes[0])
	}
	w.settled(time.Minute)
	const tab = 5
	k := key(tab)
	n := w.leader(tab)
	r := request.Request{Tablet: tab}
	for i := range 4 {
		k := fmt.Sprintf("{%s}%d", k, i)
		w.must(n, "SET", k, "value")
		r.Commands = append(r.Commands, request.Command{[]byte("GET"), []byte(k)})
	}
	w.must(n, "GET", k)
	d := n.store.(*slowDisk)
	d.before = func() {
		n.event(func() { n.core.Leave(func(error) {}) })
		w.until(time.Minute, "the replica is removed", func() bool { return n.core == nil || n.core.places[tab].group == nil })
		n.event(func() {})
	}
	here := n.core.TryRead(n.time().Mono, &r)
	if d.before != nil {
		t.Fatal("it was not allowed to read: this shows nothing")
	}
	if !here {
		return // it is asked of who leads now
	}
	for i, reply := range r.Replies {
		if string(reply) != "$5\r\nvalue\r\n" {
			t.Errorf("GET %d reads %q", i, reply)
		}
	}
}
