// Package core is one node as a value: the ring, the replicas, the registry and the requests under way, composed.
// Events go in (requests of clients, frames of peers, connections that come and go, time), effects come out (frames
// to send, a write for the disk, requests that ended, events for the log). It holds no goroutine, socket, clock or
// random source of its own; production and tests drive the same value.
//
// One turn of the worker that owns it (package node) goes
//
//	core.At(now); core.Submit, Receive, PeerUp, PeerDown, Tick ...   what has happened
//	t := core.Turn()                                                 what follows
//	core.Early(send); write t.Write to the store, on its way to the disk if t.Sync
//	write what core.Apply() returns, until it is nil                 committed entries are evaluated meanwhile
//	core.Applied(); core.Early(send)                                 requests end over the new state
//	wait for the disk if t.Sync
//	core.Persisted(send)
//	again while core.HasWork()
//
// The parts, a file each: route (requests that this node took from clients, until they end), serve (requests on
// tablets that this node leads), place (what a node knows of one tablet), members (who is there, and who is
// reachable), join (how a node becomes a member, and leaves), replace (how one takes a dead one's place), acquaint
// (whom the ring may have come apart from), balance (replicas follow the ring), view (what the ring shows where a
// tablet stands), transfer (snapshots), system (the registry as a replicated machine), spread (the registry from
// node to node), relay (requests passed on for nodes that cannot reach a leader), witness (who sees whom), inform
// (what a node tells about itself), room (a disk that fills up), mend and scrub (damaged replicas), gate (reads on
// the goroutine of a client).
//
// Invariants: the ring's answers are hints, and nothing here takes them for who holds a tablet; that is what the
// descriptors say. A request ends exactly once. Every queue and map has a bound, stated where it is filled.
//
// Concurrency: one goroutine uses a Core, except for TryRead, which any may call.
package core
