package main

import (
	"context"
	"math/rand/v2"
)

// fault is one kind of harm. run does it, lets it last and undoes it, and returns errNotNow when the ring is too small
// for it at the moment.
type fault struct {
	name string
	does string
	off  bool // only when it is asked for by name
	run  func(ctx context.Context, r *round, rng *rand.Rand) error
}

// faults are all kinds; --list prints them.
var faults []*fault

func init() {
	faults = []*fault{
		{name: "kill", does: "kill -9 of one node, which comes back", run: kill},
		{name: "kill-two", does: "kill -9 of two nodes, shortly after another; both come back", run: killTwo},
		{name: "kill-all", does: "kill -9 of all nodes at once, which are started again at once", run: killAll},
		{name: "roll", does: "each node in turn is told to stop (SIGTERM) and started again", run: roll},
		{name: "pause-1s", does: "SIGSTOP of one node for one second", run: pauseShort},
		{name: "pause-20s", does: "SIGSTOP of one node for twenty seconds", run: pauseLong},
		{name: "isolate", does: "one node neither hears nor reaches any other", run: isolate},
		{name: "split", does: "two parts of the ring do not reach each other", run: split},
		{name: "bridge", does: "two parts reach each other through one node only", run: bridge},
		{name: "deaf", does: "one node reaches all others and hears none", run: deaf},
		{name: "mute", does: "one node hears all others and reaches none", run: mute},
		{name: "one-way", does: "between two nodes one direction is silent", run: oneWay},
		{name: "flap", does: "a part of the ring is cut off and back, several times in a second or two", run: flap},
		{name: "slow-one", does: "all that one node sends and hears is late", run: slowOne},
		{name: "slow-all", does: "all that all nodes send is late, by chance and therefore unevenly", run: slowAll},
		{name: "loss", does: "between all nodes packets are lost, connections stall and now and then break", run: loss},
		{name: "clock", does: "the wall clock of one node jumps by up to a day, twice, and back", run: clock},
		{name: "disk", does: "the disk of one node is filled, almost or altogether, and freed", run: fullDisk},
		{name: "join", does: "a new node joins under load", run: joinOne},
		{name: "leave", does: "a node leaves under load", run: leave},
		{name: "replace", does: "a node dies for good and a new one takes its place", run: replace},
		{name: "remove", does: "a node dies for good, is removed, and joins again with an empty directory", run: remove},
		{name: "storm", does: "two of the others at once", run: storm},
	}
}
