package workload

import (
	"context"
	"fmt"
	"sync/atomic"
)

// scanCount is how many keys a page of a walk is asked for: a few dozen pages make a walk.
const scanCount = 200

// Scans walks the keyspace from end to end, again and again, each page through another node, and checks the promise of
// SCAN: a walk returns every key at least once that was there from its beginning to its end, whatever the nodes do meanwhile.
type Scans struct {
	nodes *Nodes
	match string
	keys  []string

	walks, pages, refused atomic.Int64
}

// NewScans returns walks over the keys that fit a pattern. All of keys do, and are there throughout.
func NewScans(nodes *Nodes, match string, keys []string) *Scans {
	return &Scans{nodes: nodes, match: match, keys: keys}
}

// Run walks until ctx ends or a walk has left something out.
func (s *Scans) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.Once(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Once is one walk. It is an error when a key was left out that was there throughout; when ctx ends before, it is not.
func (s *Scans) Once(ctx context.Context) error {
	found, err := s.walk(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	missing, example := 0, ""
	for _, k := range s.keys {
		if !found[k] {
			missing, example = missing+1, k
		}
	}
	if missing > 0 {
		return fmt.Errorf("a walk with SCAN left out %d of %d keys that were there throughout, such as %s", missing, len(s.keys), example)
	}
	s.walks.Add(1)
	return nil
}

// maxPages bounds a walk: its cursor must get to the end whatever happens meanwhile.
const maxPages = 100_000

// walk is one walk; its cursor goes from node to node, and what is refused is asked for again.
func (s *Scans) walk(ctx context.Context) (found map[string]bool, err error) {
	found = map[string]bool{}
	var cursor uint64
	for range maxPages {
		keys, next, err := s.nodes.Random().Scan(ctx, cursor, s.match, scanCount).Result()
		if err != nil {
			s.refused.Add(1)
			if Rest(ctx, backoff) != nil {
				return found, nil
			}
			continue
		}
		s.pages.Add(1)
		for _, k := range keys {
			found[k] = true
		}
		if cursor = next; cursor == 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("a walk with SCAN is not at its end after %d pages: the cursor is %d", maxPages, cursor)
}

// Walks returns how many walks have come to their end.
func (s *Scans) Walks() int64 { return s.walks.Load() }

// String says in one line what was done.
func (s *Scans) String() string {
	return fmt.Sprintf("%d walks of %d pages in all, each through changing nodes, each with all %d keys; %d pages were refused",
		s.walks.Load(), s.pages.Load(), len(s.keys), s.refused.Load())
}
