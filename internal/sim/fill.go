package sim

import (
	"fmt"
	"strings"
	"time"
)

const (
	fillValue = 32 << 10 // bytes of each record that stays
	leastTTL  = 5 * sec
)

// fill stores what is there before any fault, one record after the other: so many bytes that stay, and so many short records
// that expire within a time. It returns what reports that all are stored. They are read in the end like all others.
func (l *load) fill(size, fleeting int, within time.Duration) (filled func() bool) {
	c := &client{l: l, name: len(l.clients)}
	stay := (size + fillValue - 1) / fillValue
	left := stay + fleeting
	var next func()
	next = func() {
		if left == 0 {
			return
		}
		k := &keyHistory{name: fmt.Sprintf("fill%d", left), kind: register}
		o := op{verb: set1, arg: k.name + strings.Repeat(".", fillValue)}
		if left > stay {
			k.kind = expiring
			o = op{verb: setPX, arg: k.name, ttl: between(l.chance, leastTTL, max(within, 2*leastTTL)).Truncate(ms)}
		}
		l.histories = append(l.histories, k)
		c.at = l.w.serving(l.chance)
		c.ask(k, o, func() { left--; next() })
	}
	next()
	return func() bool { return left == 0 }
}

// miscounted says how many keys the leaders count, where clients have found another number of them.
func (r *run) miscounted() string {
	least, most, count := 0, 0, 0
	for _, k := range r.load.histories {
		n := k.ops[len(k.ops)-1].found()
		most += n
		if k.kind != expiring { // what expires may have been there when it was read, and be gone
			least += n
		}
	}
	for t := range uint32(r.w.cfg.Tablets) {
		l := r.w.leader(t)
		if l == nil {
			return fmt.Sprintf("tablet %d has no leader", t)
		}
		count += int(l.proc.core.Replica(t).Keys())
	}
	if count < least || count > most {
		return fmt.Sprintf("the tablets count %d keys, clients have found %d, of which %d may have expired", count, most, most-least)
	}
	return ""
}

// found is how many keys a read has found.
func (o *op) found() int {
	if o.verb == mget {
		return strings.Count(o.reply, "$")
	}
	if _, there := o.value(); there {
		return 1
	}
	return 0
}
