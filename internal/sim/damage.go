package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
)

// damageFaults turn over bits of what is stored. That begins in a calm, and there is none before all is mended: so one
// machine is damaged at a time, nobody is lost for good meanwhile, and there is another copy of all that was acknowledged.
var damageFaults = []kind{
	{name: "flip", what: "bits of stored records turn over, and with a restart those of heads, logs and the registry", calm: true, least: 0, most: 10 * sec, weight: 2, do: flip},
}

// flipped is a stored value that was damaged.
type flipped struct {
	m     *Machine
	id    ident.NodeID
	key   []byte
	value []byte // with the damage
}

// What is stored under keys that begin so, and has a checksum of its own.
const (
	recordKeys   = "d"
	resultKeys   = "w" // too large for a head
	headKeys     = "m"
	registryKeys = "r"
	cachedKeys   = "nregistry" // the registry as it was seen last
)

func flip(r *run, f Fault) {
	m := r.victim(f)
	if m == nil || m.proc == nil || !r.spare() {
		return
	}
	coin := func(bit int) bool { return f.Pick>>bit%2 == 0 }
	restarts, n := coin(33), 1+int(f.Size*f.Size*8)
	values, entries := 0, 0
	if !restarts {
		values = m.flip(n, recordKeys, resultKeys)
	} else { // only a start reads the rest
		m.Kill()
		values = m.flip(n, recordKeys, resultKeys, headKeys)
		// One of two copies of the registry; who is no voter of the system group has but one, and without it does not start.
		if _, err := m.dir.disk.Get([]byte(registryKeys)); err == nil && coin(34) {
			copies := []string{registryKeys, cachedKeys}
			values += m.flip(1, copies[f.Pick>>35%2])
		}
		if coin(36) {
			entries = m.flipLogs(n)
		}
		r.finally(f.For, func() { r.restart(m) })
	}
	r.begin(f, "%s stores %s with damage, and %d log entries", m.Name(), plural(values, "value"), entries)
}

// flip damages n of the values whose keys have one of these prefixes, and returns how many there were.
func (m *Machine) flip(n int, prefixes ...string) int {
	var keys [][]byte
	for _, p := range prefixes {
		upper := []byte(p)
		upper[len(upper)-1]++
		if err := m.dir.disk.Scan([]byte(p), upper, func(k, v []byte) bool {
			if len(v) > 0 {
				keys = append(keys, bytes.Clone(k))
			}
			return true
		}); err != nil {
			return 0 // a disk that has failed
		}
	}
	n = min(n, len(keys))
	for range n {
		at := m.w.chance.IntN(len(keys))
		key := keys[at]
		keys = slices.Delete(keys, at, at+1)
		m.dir.disk.Flip(key, m.w.chance.IntN(1<<16))
		if value, err := m.dir.disk.Get(key); err == nil {
			m.w.flips = append(m.w.flips, flipped{m, m.dir.id, key, bytes.Clone(value)})
		}
	}
	return n
}

// flipLogs damages the last entries of n logs, and returns how many that were.
func (m *Machine) flipLogs(n int) int {
	var groups []kv.Group
	if err := m.dir.disk.Groups(func(g kv.Group) error {
		groups = append(groups, g)
		return nil
	}); err != nil {
		return 0
	}
	done := 0
	for range min(n, len(groups)) {
		at := m.w.chance.IntN(len(groups))
		g := groups[at]
		groups = slices.Delete(groups, at, at+1)
		for i := g.Last; i > g.Start.Index && i+3 > g.Last; i-- {
			if m.dir.disk.FlipEntry(g.ID, i) {
				done++
			}
		}
	}
	return done
}

// damaged says what is not mended yet, "" where nothing is left.
func (w *World) damaged() string {
	w.flips = slices.DeleteFunc(w.flips, func(f flipped) bool {
		if f.m.dir.id != f.id || f.m.spent {
			return true
		}
		value, err := f.m.dir.disk.Get(f.key)
		return err != nil || !bytes.Equal(value, f.value)
	})
	if len(w.flips) > 0 {
		return fmt.Sprintf("%s stores a damaged value under %q", w.flips[0].m.Name(), w.flips[0].key)
	}
	for _, m := range w.running() {
		if n := m.proc.core.Figures().Hurt; n > 0 {
			return fmt.Sprintf("%s has %s to be mended", m.Name(), plural(n, "replica"))
		}
	}
	return ""
}
