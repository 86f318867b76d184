package core

import "github.com/quorddb/quord/internal/tablet"

// Footprint returns what this node holds beside its replicas, whose own Footprint says the rest. It looks at all there is:
// for a judge, not for a worker.
func (c *Core) Footprint() []tablet.Held {
	request, flight := 0, 0
	for _, q := range c.router.pending {
		request = max(request, len(q.commands))
	}
	for _, p := range c.places {
		flight = max(flight, len(p.numbers.flight))
	}
	flying := 0
	for _, o := range c.moves.out {
		n := 0
		for _, e := range o.ends[:max(0, len(o.ends)-1)] { // the last one was let in while there was room
			n += e.size
		}
		flying = max(flying, n)
	}
	queued, single := 0, 0
	for _, in := range c.moves.in {
		for _, chunk := range in.queue {
			queued += len(chunk)
			single = max(single, len(chunk))
		}
	}
	return []tablet.Held{
		{What: "requests under way", Now: len(c.router.pending), Most: maxPending},
		{What: "bytes of one request under way", Now: request, Most: maxRequest},
		{What: "writes to one tablet under way", Now: flight, Most: maxFlight},
		{What: "requests of others that it has passed on", Now: len(c.relays.under), Most: maxRelays},
		{What: "requests in the order in which it has passed them on", Now: len(c.relays.order), Most: 2 * maxRelays},
		{What: "events that wait for the log", Now: len(c.events), Most: maxEvents},
		{What: "snapshots that go", Now: len(c.moves.out), Most: maxOutgoing},
		{What: "bytes of one snapshot on their way", Now: flying, Most: windowBytes},
		{What: "snapshots that come", Now: len(c.moves.in), Most: maxIncoming},
		{What: "bytes of snapshots that wait to be written", Now: queued, Most: max(maxQueued, single)},
		{What: "bytes of snapshots that count as waiting", Now: c.moves.queued, Most: max(maxQueued, single)},
	}
}
