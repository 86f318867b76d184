package store

import (
	"fmt"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"pgregory.net/rapid"
)

// What was cleared elsewhere costs a scan nothing, and what is cleared over and over is remembered once: a node that has
// received the snapshots of thousands of tablets reads as fast as any other.
func TestClearedRangesDoNotAddUp(t *testing.T) {
	l := &layer{}
	wipe := func(at int, write uint64) {
		l.apply([]kv.Op{{Kind: kv.DeleteRange, Key: fmt.Appendf(nil, "%04d", at), Value: fmt.Appendf(nil, "%04d~", at)}}, write, 0)
	}
	for i := range 1000 {
		wipe(i, uint64(2*i+1))
		wipe(i, uint64(2*i+2))
	}
	if n := l.cleared.spans.Len(); n != 1000 {
		t.Errorf("%d ranges are remembered, want 1000", n)
	}
	c := layers{l}.between([]byte("0500"), []byte("0502"), now)
	if n := len(c.cursors[0].ranges); n != 2 {
		t.Errorf("a scan looks at %d ranges, want 2", n)
	}
	for at, want := range map[string]bool{"0500": true, "0501x": true, "0502": false} {
		if c.hides([]byte(at)) != want {
			t.Errorf("key %s is hidden: %t", at, !want)
		}
	}
	l.apply([]kv.Op{{Kind: kv.DeleteRange, Key: []byte("0001"), Value: []byte("0998")}}, 3000, 0)
	if n := l.cleared.spans.Len(); n != 3 {
		t.Errorf("%d ranges are remembered after most were cleared in one, want 3", n)
	}
}

// Whatever was cleared in whatever order, a reader as of any moment that may be asked for finds what the plain list of all
// ranges says, and what is remembered is in order, overlaps nowhere and costs what the layer was told. A key that was
// deleted would come back otherwise, or one that was not would be gone.
func TestClearedRangesModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var c cleared
		var all []keyRange
		var snapshots []uint64
		var bytes int64
		bound := func() string { return rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 3, -1).Draw(rt, "bound") }
		for write := uint64(1); write <= 30; write++ {
			switch rapid.IntRange(0, 5).Draw(rt, "do") {
			case 0:
				snapshots = append(snapshots, write-1)
			case 1:
				if n := len(snapshots); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(rt, "closed")
					snapshots = append(snapshots[:i], snapshots[i+1:]...)
				}
			default:
				r := keyRange{lower: bound(), upper: bound(), write: write}
				if r.lower >= r.upper {
					continue
				}
				newest := uint64(0)
				for _, s := range snapshots {
					newest = max(newest, s)
				}
				bytes += c.add(r, newest)
				all = append(all, r)
			}
			for _, number := range append(snapshots, write, now) {
				compareCleared(rt, &c, all, number)
			}
			checkSpans(rt, &c, bytes)
		}
	})
}

// compareCleared compares what is found of keys, and of a range of them, as of a moment.
func compareCleared(rt *rapid.T, c *cleared, all []keyRange, number uint64) {
	ranges := c.between("ab", "bc", true, number)
	for _, key := range []string{"", "a", "aa", "aab", "ab", "abb", "ac", "b", "ba", "bab", "bb", "bbc", "bc", "bcc", "c", "cb", "ccc"} {
		want := false
		for _, r := range all {
			want = want || r.write <= number && key >= r.lower && key < r.upper
		}
		if got := c.holds([]byte(key), number); got != want {
			rt.Fatalf("%q as of %d: cleared %t, want %t", key, number, got, want)
		}
		if key >= "ab" && key < "bc" && within(ranges, key) != want {
			rt.Fatalf("%q as of %d, in a range: cleared %t, want %t", key, number, !want, want)
		}
	}
}

func checkSpans(rt *rapid.T, c *cleared, bytes int64) {
	before := keyRange{write: now}
	c.spans.Scan(func(lower string, s span) bool {
		r := keyRange{lower, s.upper, s.write}
		if r.lower >= r.upper || r.lower < before.upper {
			rt.Fatalf("%v stands after %v", r, before)
		}
		bytes -= r.cost()
		before = r
		return true
	})
	if bytes != 0 {
		rt.Fatalf("the layer was told of %d bytes that are not there", bytes)
	}
}

// A node that receives snapshots clears a range for each: what one costs must not grow with how many there were.
func BenchmarkDeleteRange(b *testing.B) {
	for _, n := range []int{1000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			l, w := &layer{}, uint64(0)
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					l = &layer{}
				}
				w++
				at := i * 7919 % n
				l.apply([]kv.Op{{Kind: kv.DeleteRange, Key: fmt.Appendf(nil, "d%05d", at), Value: fmt.Appendf(nil, "d%05d~", at)}}, w, 0)
			}
		})
	}
}

// Who looks for a key that the layer does not change asks whether it was cleared.
func BenchmarkGetBesideClearedRanges(b *testing.B) {
	l := &layer{}
	for i := range 16000 {
		l.apply([]kv.Op{{Kind: kv.DeleteRange, Key: fmt.Appendf(nil, "d%05d", i), Value: fmt.Appendf(nil, "d%05d~", i)}}, uint64(i+1), 0)
	}
	b.ReportAllocs()
	key := []byte("d08000~some key that is longer than a small buffer on the stack")
	for b.Loop() {
		if _, ok := l.get(key, now); ok {
			b.Fatal("there is no such key")
		}
	}
}
