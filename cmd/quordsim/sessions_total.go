package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/quorddb/quord/internal/sim"
)

// sessionsTotal adds up the seeds of one median.
type sessionsTotal struct {
	seeds           int
	virtual         time.Duration
	living          float64
	departures, ops int
	failed, missed  int
	reads, writes   []time.Duration
	dead, idle      float64
	longest         time.Duration
	settled         time.Duration // the slowest
}

func (t *sessionsTotal) add(r *sim.ChurnResult) {
	t.seeds++
	t.virtual += r.Virtual
	t.living += r.Living
	t.departures += r.Departures
	t.ops += r.Asked
	t.failed += r.Failed.Sum()
	t.missed += r.Missed
	t.reads, t.writes = append(t.reads, r.Reads...), append(t.writes, r.Writes...)
	t.dead, t.idle = t.dead+r.Tablets.Dead, t.idle+r.Tablets.Idle
	t.longest = max(t.longest, r.Tablets.Longest)
	t.settled = max(t.settled, r.Settled)
}

func (t *sessionsTotal) row(median time.Duration, pub *published) []string {
	slices.Sort(t.reads)
	slices.Sort(t.writes)
	reads, writes := spreadOf(t.reads), spreadOf(t.writes)
	failed, missed := "-", "-"
	if pub != nil {
		failed, missed = decimal(pub.Failed, 2), decimal(pub.Missed, 0)
	}
	n := float64(t.seeds)
	return []string{
		median.String(), decimal(t.virtual.Hours(), 2), decimal(t.living/n, 1), strconv.Itoa(t.departures), strconv.Itoa(t.ops),
		decimal(100*float64(t.failed)/float64(max(t.ops, 1)), 3), failed, strconv.Itoa(t.missed), missed,
		decimal(reads.P50, 2), decimal(reads.P99, 1), decimal(writes.P50, 2), decimal(writes.P99, 1),
		decimal(t.dead/n, 3), t.longest.String(), decimal(t.idle/n, 3), t.settled.Round(100 * time.Millisecond).String(),
	}
}
