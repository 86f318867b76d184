// Package sim is a world of whole nodes that is replayed from a seed: the core of each over a disk in memory, on one
// virtual clock, with a network between them, clients, faults, and judges that watch.
//
// It owns time, chance, the network, the disks and the power: everything that the core takes from outside. The nodes are
// the production code, and a process here takes its turns as the worker of package node does. It refuses to know better
// than the nodes: whatever it tells a judge it has seen from outside, or read from a core that it does not change.
//
// A World is run by one goroutine, an event after the other in order of their time. All that is left to chance is drawn
// from generators that the seed started, so that two runs with one seed are equal, byte for byte (World.Trace); nothing
// ranges over a map where the order can be seen.
//
// The parts, a file each: world and agenda (what happens when), machine (a computer: clocks, disk, power), process (a
// node that runs there: turns, the wait for the disk), network (connections, frames, cuts), session (requests), load
// (clients), fill (what they store first), history (what they saw, and its judge), plan (which faults, when), faults
// (what each does), membership (those that change who is there), zones (those that befall a whole zone), watch (judges
// after every turn), settle (judges when all is quiet), run (all of it, for one seed), churn (nodes that come and go
// all the time), majority (how often that leaves a tablet without one), shrink (less of a run, for a failure),
// chronicle (the account for people), story (directed cases).
//
// Sources: the simulators of FoundationDB (Zhou et al., SIGMOD 2021, section 4) and TigerBeetle for the idea; Groce et
// al., Swarm Testing (ISSTA 2012), for drawing the mix of faults anew for each seed; Zave, Reasoning about identifier
// spaces (IEEE TSE 2017), for the ring's invariant; Glendenning et al., Scalable consistency in Scatter (SOSP 2011, figures
// 13 and 14), for the churn.
//
// Concurrency: none. The judge of histories (porcupine) starts goroutines of its own and ends them.
package sim
