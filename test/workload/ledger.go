package workload

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Ledger writes keys that nobody ever changes, and in the end wants those that were acknowledged, all of them, with
// what was written: one in eight has a value of up to 64 KiB, so that tablets have something to them when they move.
type Ledger struct {
	nodes  *Nodes
	prefix string

	mu    sync.Mutex
	acked []string // guarded by mu; the keys
	asked int      // guarded by mu
}

// NewLedger returns a ledger whose keys begin with prefix.
func NewLedger(nodes *Nodes, prefix string) *Ledger { return &Ledger{nodes: nodes, prefix: prefix} }

// Run writes from several clients until ctx ends, each resting after every write.
func (l *Ledger) Run(ctx context.Context, clients int, pause time.Duration) {
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() {
			for place := id; ctx.Err() == nil; _ = Rest(ctx, pause) { // which sees the end itself
				key := l.next()
				client, _ := l.nodes.At(place)
				if client.SetNX(context.WithoutCancel(ctx), key, entry(key), 0).Err() != nil {
					place++
					continue
				}
				l.mu.Lock()
				l.acked = append(l.acked, key)
				l.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// entry returns what is written under a key.
func entry(key string) string {
	sum := crc32.ChecksumIEEE([]byte(key))
	if sum%8 != 0 {
		return key
	}
	return strings.Repeat(key+" ", int(sum>>3)%(64<<10)/(len(key)+1)+1)
}

func (l *Ledger) next() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.prefix + strconv.Itoa(l.asked)
}

// Count returns how many keys were acknowledged.
func (l *Ledger) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// Verify reads every acknowledged key through the node at addr.
func (l *Ledger) Verify(ctx context.Context, addr string) error {
	client := NewClient(addr, 8)
	defer client.Close()
	l.mu.Lock()
	keys := l.acked
	l.mu.Unlock()
	var mu sync.Mutex
	var lost []string // guarded by mu
	err := each(ctx, 8, keys, func(ctx context.Context, key string) error {
		var got string
		err := retry(ctx, func() error {
			var err error
			got, err = client.Get(ctx, key).Result()
			return err
		})
		if err != nil && OutcomeOf(err) != Done {
			return fmt.Errorf("GET %s at %s: %w", key, addr, err)
		}
		if got != entry(key) {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, key)
		}
		return nil
	})
	if len(lost) > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d keys that were acknowledged are lost at %s: %.20v", len(lost), len(keys),
			addr, lost))
	}
	return err
}
