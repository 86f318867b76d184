package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

const benchKeys = 10_000

func benchKey(i int) []byte { return fmt.Appendf(nil, "d__hash____key:%033d", i) }

func benchStore(b *testing.B, cfg store.Config) *store.Store {
	b.Helper()
	cfg.Dir = b.TempDir()
	s, err := store.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	var w kv.Write
	for i := range benchKeys {
		w.State = append(w.State, kv.Op{Kind: kv.Set, Key: benchKey(i), Value: make([]byte, 100)})
	}
	if _, err := s.Apply(&w, false); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	keys := make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = benchKey(i)
	}
	for name, cfg := range map[string]store.Config{"hot": {}, "pebble": {ValueCacheBytes: -1}} {
		b.Run(name, func(b *testing.B) {
			s := benchStore(b, cfg)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(keys[i%benchKeys]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"_parallel", func(b *testing.B) {
			s := benchStore(b, cfg)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(benchKeys); pb.Next(); i++ {
					if _, err := s.Get(keys[i%benchKeys]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// One turn of a worker: 32 groups append one entry each and apply one key each.
func BenchmarkApply(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%v", sync), func(b *testing.B) {
			s := benchStore(b, store.Config{})
			b.ReportAllocs()
			value := make([]byte, 100)
			for i := uint64(1); b.Loop(); i++ {
				var w kv.Write
				for g := range uint32(32) {
					op := kv.LogOp{Group: g, Append: []kv.Entry{{Index: i, Term: 1, Data: value}}}
					if i%1000 == 0 {
						op.Truncate = &kv.Position{Index: i - 500, Term: 1}
					}
					w.Log = append(w.Log, op)
					w.State = append(w.State, kv.Op{Kind: kv.Set, Key: benchKey(rand.IntN(benchKeys)), Value: value})
				}
				p, err := s.Apply(&w, sync)
				if err == nil {
					err = p.Wait()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
