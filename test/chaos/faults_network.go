package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/links"
	"github.com/quorddb/quord/test/workload"
)

// cutFor draws how long a partition lasts: mostly seconds, about as long as suspicions take, and now and then so long
// that the parts have settled without each other and replaced who is missing.
func cutFor(rng *rand.Rand) time.Duration {
	if rng.IntN(5) == 0 {
		return between(rng, 10*time.Second, 25*time.Second)
	}
	return between(rng, 500*time.Millisecond, 8*time.Second)
}

// affect sets all directions from one set of nodes to another.
func (r *round) affect(from, to []*cluster.Node, l links.Link) {
	set := map[[2]string]links.Link{}
	for _, a := range from {
		for _, b := range to {
			if a != b {
				set[[2]string{a.Name, b.Name}] = l
			}
		}
	}
	r.net.Set(set)
}

// apart cuts or heals both directions.
func (r *round) apart(a, b []*cluster.Node, l links.Link) {
	r.affect(a, b, l)
	r.affect(b, a, l)
}

func names(nodes []*cluster.Node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return strings.Join(all, " ")
}

// isolated is a fault between some nodes, which it claims, and all others; do sets it, and with a whole link undoes it.
func isolated(ctx context.Context, r *round, rng *rand.Rand, count int, d time.Duration,
	do func(victims, others []*cluster.Node, l links.Link), l links.Link,
) error {
	victims, release, err := r.claim(rng, count)
	if err != nil {
		return err
	}
	defer release()
	others := r.others(victims)
	r.say("           between %s and %s, %s: %s", names(victims), names(others), d.Round(100*time.Millisecond), l)
	do(victims, others, l)
	err = workload.Rest(ctx, d)
	do(victims, others, links.Link{})
	return err
}

func isolate(ctx context.Context, r *round, rng *rand.Rand) error {
	return isolated(ctx, r, rng, 1, cutFor(rng), r.apart, links.Link{Cut: true})
}

func split(ctx context.Context, r *round, rng *rand.Rand) error {
	r.mu.Lock()
	half := len(r.members) / 2
	r.mu.Unlock()
	return isolated(ctx, r, rng, half, cutFor(rng), r.apart, links.Link{Cut: true})
}

func deaf(ctx context.Context, r *round, rng *rand.Rand) error {
	return isolated(ctx, r, rng, 1, cutFor(rng), func(victims, others []*cluster.Node, l links.Link) {
		r.affect(others, victims, l)
	}, links.Link{Cut: true})
}

func mute(ctx context.Context, r *round, rng *rand.Rand) error {
	return isolated(ctx, r, rng, 1, cutFor(rng), r.affect, links.Link{Cut: true})
}

func oneWay(ctx context.Context, r *round, rng *rand.Rand) error {
	return isolated(ctx, r, rng, 1, cutFor(rng), func(victims, others []*cluster.Node, l links.Link) {
		r.affect(victims, others[:1], l)
	}, links.Link{Cut: true})
}

// bridge cuts the ring into two parts but for one node, which reaches both.
func bridge(ctx context.Context, r *round, rng *rand.Rand) error {
	r.mu.Lock()
	half := (len(r.members) - 1) / 2
	r.mu.Unlock()
	return isolated(ctx, r, rng, half, cutFor(rng), func(victims, others []*cluster.Node, l links.Link) {
		r.apart(victims, others[1:], l)
	}, links.Link{Cut: true})
}

func flap(ctx context.Context, r *round, rng *rand.Rand) error {
	victims, release, err := r.claim(rng, 1)
	if err != nil {
		return err
	}
	defer release()
	others := r.others(victims)
	for range 4 + rng.IntN(5) {
		r.apart(victims, others, links.Link{Cut: true})
		err = workload.Rest(ctx, between(rng, 50*time.Millisecond, 1500*time.Millisecond))
		r.apart(victims, others, links.Link{})
		if err = errors.Join(err, workload.Rest(ctx, between(rng, 50*time.Millisecond, 800*time.Millisecond))); err != nil {
			return err
		}
	}
	return nil
}

// late is how slow a slow link is: as between continents at the worst, far beyond what the nodes of one place expect.
func late(rng *rand.Rand) links.Link {
	return links.Link{
		Delay:  between(rng, 2*time.Millisecond, 60*time.Millisecond).Round(time.Millisecond),
		Jitter: between(rng, time.Millisecond, 40*time.Millisecond).Round(time.Millisecond),
	}
}

func slowOne(ctx context.Context, r *round, rng *rand.Rand) error {
	l := late(rng)
	return isolated(ctx, r, rng, 1, between(rng, 3*time.Second, 8*time.Second), r.apart, l)
}

// everywhere sets all directions between all nodes for a while.
func everywhere(ctx context.Context, r *round, l links.Link, d time.Duration, meanwhile func() error) error {
	members := r.others(nil)
	r.say("           everywhere, %s: %s", d.Round(100*time.Millisecond), l)
	r.affect(members, members, l)
	defer r.affect(members, members, links.Link{})
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := meanwhile(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func slowAll(ctx context.Context, r *round, rng *rand.Rand) error {
	l := late(rng)
	d := between(rng, 3*time.Second, 8*time.Second)
	return everywhere(ctx, r, l, d, func() error { return workload.Rest(ctx, d) })
}

// loss makes TCP do what it does when packets are lost: it sends again later, and now and then gives up.
func loss(ctx context.Context, r *round, rng *rand.Rand) error {
	l := links.Link{Loss: 5 + rng.IntN(60), Retransmit: 200 * time.Millisecond}
	return everywhere(ctx, r, l, between(rng, 4*time.Second, 9*time.Second), func() error {
		members := r.others(nil)
		i := rng.Perm(len(members))
		r.net.Break(members[i[0]].Name, members[i[1]].Name)
		return workload.Rest(ctx, between(rng, 200*time.Millisecond, 2*time.Second))
	})
}
