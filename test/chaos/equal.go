package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/record"
	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/store"
	"github.com/quorddb/quord/test/cluster"
)

// replica is what one node's store holds of one tablet.
type replica struct {
	node    string
	applied uint64 // index of the last log entry that is in the state
	sum     uint64 // of the state, byte by byte
	records int
}

// quiet is how long nobody writes before the replicas are compared, so that all have applied what was written last.
const quiet = 1500 * time.Millisecond

// compare opens the stores of nodes whose processes have ended and compares the replicas of each tablet: those that
// have applied the same entries must hold the same bytes, the head of the tablet (its descriptor, its time, the
// remembered results), its records and its expiries. It returns how many replicas were compared with another one.
func compare(nodes []*cluster.Node, tablets int) (compared int, err error) {
	byTablet := make([][]replica, tablets)
	for _, n := range nodes {
		if err := readReplicas(n, byTablet); err != nil {
			return 0, fmt.Errorf("read the store of %s: %w", n.Name, err)
		}
	}
	var errs []error
	for tablet, replicas := range byTablet {
		newest := slices.MaxFunc(append(replicas, replica{}), func(a, b replica) int { return int(a.applied) - int(b.applied) })
		same := slices.DeleteFunc(replicas, func(r replica) bool { return r.applied != newest.applied })
		if len(same) > 1 {
			compared += len(same)
		}
		if slices.ContainsFunc(same, func(r replica) bool { return r.sum != newest.sum }) {
			var b strings.Builder
			for _, r := range same {
				fmt.Fprintf(&b, "\n  %s: %d records, sum %016x", r.node, r.records, r.sum)
			}
			errs = append(errs, fmt.Errorf("the replicas of tablet %d differ, all having applied entry %d:%s", tablet, newest.applied, b.String()))
		}
	}
	return compared, errors.Join(errs...)
}

func readReplicas(n *cluster.Node, byTablet [][]replica) (err error) {
	s, err := store.Open(store.Config{Dir: filepath.Join(n.Dir, "store"), CacheBytes: 4 << 20, ValueCacheBytes: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for tablet := range byTablet {
		// Package tablet: a head is its format in one byte, then the applied index, then the rest.
		head, err := s.Get(binary.BigEndian.AppendUint32([]byte{'m'}, uint32(tablet)))
		if errors.Is(err, kv.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		applied, used := binary.Uvarint(head[1:])
		if used <= 0 {
			return fmt.Errorf("the head of tablet %d does not begin with an index", tablet)
		}
		r := replica{node: n.Name, applied: applied}
		sum := fnv.New64a()
		sum.Write(head)
		first := slot.Count / len(byTablet) * tablet
		last := first + slot.Count/len(byTablet) - 1
		lower, upper := record.Range(uint16(first), uint16(last))
		if r.records, err = addRange(sum, s, lower, upper); err != nil {
			return err
		}
		// The expiries lie in the same order under a prefix of their own.
		lower, upper = slices.Clone(lower), binary.BigEndian.AppendUint32([]byte{'x'}, uint32(last+1)<<16)
		lower[0] = 'x'
		if _, err := addRange(sum, s, lower, upper); err != nil {
			return err
		}
		r.sum = sum.Sum64()
		byTablet[tablet] = append(byTablet[tablet], r)
	}
	return nil
}

func addRange(sum hash.Hash64, s kv.Reader, lower, upper []byte) (count int, err error) {
	err = s.Scan(lower, upper, func(key, value []byte) bool {
		count++
		for _, b := range [][]byte{key, value} {
			sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
			sum.Write(b)
		}
		return true
	})
	return count, err
}
