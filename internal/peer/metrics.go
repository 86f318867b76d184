package peer

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/ident"
)

// Metrics are figures of a Network. Counters count since it was opened.
type Metrics struct {
	// Peers holds the nodes that are connected or being kept connected, in the order of their ids.
	Peers []PeerMetrics
	// QueueLimit is the bound of each QueueBytes.
	QueueLimit int
	// Dials counts attempts to open a connection, DialsFailed those that found nobody.
	Dials, DialsFailed uint64
	// Failed counts handshakes that were damaged, dishonest or too slow, Refused those that one side did not want.
	Failed, Refused uint64
	// Overrun counts incoming connections that were closed because of Settings.MaxHandshakes.
	Overrun uint64
}

// PeerMetrics are figures of the connections with one node. Counters count since the node was first heard of, and
// start again when it is neither connected nor kept.
type PeerMetrics struct {
	ID        ident.NodeID
	Connected bool
	Remote    string
	// Connects counts the connections there have been.
	Connects uint64
	// Bytes are of the socket, keepalive frames included; frames are those of Send and Receive.
	BytesIn, BytesOut, FramesIn, FramesOut uint64
	// QueueBytes is what waits to be written, QueueFull how often Send found no room.
	QueueBytes int
	QueueFull  uint64
	// RTT is the smoothed round trip of keepalive frames, 0 while it is not known.
	RTT time.Duration
	// LastHeard is when bytes last arrived on the present connection.
	LastHeard time.Time
}

// stats are the counters of one link.
type stats struct {
	connects, bytesIn, bytesOut, framesIn, framesOut, queueFull atomic.Uint64
}

// counters are those of the whole Transport.
type counters struct {
	dials, dialsFailed, failed, refused, overrun atomic.Uint64
}

// Metrics returns figures for observers.
func (t *Transport) Metrics() Metrics {
	m := Metrics{
		QueueLimit: t.cfg.MaxQueue, Dials: t.counters.dials.Load(), DialsFailed: t.counters.dialsFailed.Load(),
		Failed: t.counters.failed.Load(), Refused: t.counters.refused.Load(), Overrun: t.counters.overrun.Load(),
	}
	live := *t.live.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, l := range t.links {
		p := PeerMetrics{
			ID: id, Connects: l.stats.connects.Load(),
			BytesIn: l.stats.bytesIn.Load(), BytesOut: l.stats.bytesOut.Load(),
			FramesIn: l.stats.framesIn.Load(), FramesOut: l.stats.framesOut.Load(),
			QueueFull: l.stats.queueFull.Load(),
		}
		if c := live[id]; c != nil {
			p.Connected, p.Remote = true, c.peer.Remote
			p.QueueBytes = c.out.size()
			p.RTT = time.Duration(c.rtt.Load())
			p.LastHeard = t.start.Add(time.Duration(c.heard.Load()))
		}
		m.Peers = append(m.Peers, p)
	}
	slices.SortFunc(m.Peers, func(a, b PeerMetrics) int { return a.ID.Compare(b.ID) })
	return m
}
