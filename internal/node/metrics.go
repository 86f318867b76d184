package node

import (
	"github.com/quorddb/quord/internal/console"
	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/server"
)

func (n *Node) consoleConfig() console.Config {
	return console.Config{
		Ready: n.Ready, Log: n.log, Build: console.Build{Version: n.version},
		Sources: []console.Source{n.tellCore, n.tellStore, n.tellPeers, n.tellServer},
	}
}

func (n *Node) tellCore(e console.Emitter) {
	var f core.Figures
	if !n.worker.on(n.ctx, func(c *core.Core) { f = c.Figures() }) {
		return
	}
	e.Gauge("quord_tablets_led", "Tablets that this node leads.", float64(f.Leads))
	e.Gauge("quord_tablets_held", "Tablets of which this node holds a replica.", float64(f.Holds))
	e.Gauge("quord_tablets_lacking", "Tablets led here that have fewer live, caught-up voters than they should.", float64(f.Lacking))
	e.Gauge("quord_tablets_moving", "Tablets led here whose replicas are being changed.", float64(f.Moving))
	e.Gauge("quord_members", "Members of the cluster that are connected, this node included.", float64(f.Members))
	e.Gauge("quord_keys", "Keys in the tablets that this node leads.", float64(f.Keys))
	e.Gauge("quord_requests_pending", "Requests of clients that have not ended.", float64(f.Pending))
	e.Gauge("quord_requests_pending_limit", "The bound of quord_requests_pending.", float64(f.PendingLimit))
	e.Gauge("quord_snapshots_sending", "Snapshots on their way from this node.", float64(f.Sending))
	e.Gauge("quord_snapshots_sending_limit", "The bound of quord_snapshots_sending.", float64(f.SendingLimit))
	e.Gauge("quord_snapshots_receiving", "Snapshots on their way to this node.", float64(f.Receiving))
	e.Gauge("quord_snapshots_receiving_limit", "The bound of quord_snapshots_receiving.", float64(f.ReceivingLimit))
	e.Gauge("quord_replicas_damaged", "Damaged replicas on this node that are to be mended from others.", float64(f.Hurt))
	e.Counter("quord_replicas_mended_total", "Damaged replicas that were mended.", float64(f.Mended))
	e.Counter("quord_damage_found_total", "Times that a checksum showed stored data to be damaged.", float64(f.Found))
	e.Counter("quord_scrubs_total", "Times that all that this node stores was read through and its checksums were compared.", float64(f.Scrubs))
	e.Gauge("quord_disk_floor_bytes", "How much of the disk should stay free (quord_store_disk_free_bytes).", float64(f.Floor))
	e.Gauge("quord_disk_low", "1 while less is free: the node leads nothing that others can lead.", gauge(f.Low))
	e.Gauge("quord_disk_tight", "1 while so little is free that the node takes no entries of logs.", gauge(f.Tight))
	e.Counter("quord_disk_refused_writes_total", "Writes refused here because no replica had room.", float64(f.Refused))
	e.Counter("quord_disk_dropped_messages_total", "Entries of logs that were not taken for want of room.", float64(f.Dropped))
	e.Counter("quord_keys_expired_total", "Keys that were removed because their time had passed.", float64(f.Expired))
	e.Counter("quord_synced_writes_total", "Synced writes of this node's disk, over all its boots.", float64(f.Sequence))
}

func gauge(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (n *Node) tellStore(e console.Emitter) {
	m, err := n.store.Metrics()
	if err != nil {
		n.log.Warn("the store's figures cannot be read", "error", err)
		return
	}
	e.Gauge("quord_store_disk_bytes", "What the store occupies.", float64(m.DiskBytes))
	e.Gauge("quord_store_disk_free_bytes", "What is free on its file system.", float64(m.DiskFreeBytes))
	e.Gauge("quord_store_values_bytes", "What the cache of hot values holds.", float64(m.Values.Bytes))
	e.Gauge("quord_store_values_limit_bytes", "The bound of quord_store_values_bytes.", float64(m.Values.LimitBytes))
	e.Counter("quord_store_values_hits_total", "Reads that the cache of hot values answered.", float64(m.Values.Hits))
	e.Counter("quord_store_values_misses_total", "Reads that it did not answer.", float64(m.Values.Misses))
	e.Counter("quord_store_journal_written_bytes_total", "Bytes written to the store's journal.", float64(m.JournalWrittenBytes))
	e.Counter("quord_store_compactions_total", "Compactions.", float64(m.Compactions))
	e.Counter("quord_store_stalls_total", "Times that writes had to wait for a checkpoint.", float64(m.WriteStalls))
	e.Counter("quord_store_disk_full_total", "Times that the disk was full and the room set aside for that was given up.", float64(m.DiskFull))
	e.Counter("quord_store_corruptions_total", "Damaged tables that were met.", float64(m.Corruptions))
}

func (n *Node) tellPeers(e console.Emitter) {
	m := n.net.Metrics()
	connected := 0
	for _, p := range m.Peers {
		if p.Connected {
			connected++
		}
	}
	e.Gauge("quord_peers_connected", "Nodes that are connected.", float64(connected))
	e.Gauge("quord_peer_queue_limit_bytes", "The bound of each quord_peer_queue_bytes.", float64(m.QueueLimit))
	for _, p := range m.Peers {
		id := p.ID.String()
		e.Counter("quord_peer_sent_bytes_total", "Bytes sent to a node.", float64(p.BytesOut), "peer", id)
		e.Counter("quord_peer_received_bytes_total", "Bytes received from a node.", float64(p.BytesIn), "peer", id)
		e.Gauge("quord_peer_queue_bytes", "Bytes that wait to be sent to a node.", float64(p.QueueBytes), "peer", id)
		e.Counter("quord_peer_queue_full_total", "Messages to a node that found no room in its queue.", float64(p.QueueFull), "peer", id)
		e.Gauge("quord_peer_round_trip_seconds", "The last measured round trip to a node.", p.RTT.Seconds(), "peer", id)
	}
}

func (n *Node) tellServer(e console.Emitter) {
	s := n.server.Load()
	if s == nil {
		return
	}
	m := s.Metrics()
	e.Gauge("quord_clients_connected", "Connections of clients.", float64(m.Connections))
	e.Gauge("quord_clients_limit", "The bound of quord_clients_connected.", float64(m.MaxConnections))
	e.Counter("quord_clients_rejected_total", "Connections refused because of the bound.", float64(m.Rejected))
	for reason, count := range m.Dropped {
		e.Counter("quord_clients_dropped_total", "Connections that the server ended.", float64(count), "reason", reason)
	}
	e.Gauge("quord_client_input_bytes", "What the input buffers of clients take beyond what each connection may keep.", float64(m.InputBytes))
	e.Gauge("quord_client_input_limit_bytes", "The bound of quord_client_input_bytes.", float64(m.MaxInputBytes))
	e.Counter("quord_client_received_bytes_total", "Bytes received from clients.", float64(m.BytesIn))
	e.Counter("quord_client_sent_bytes_total", "Bytes sent to clients.", float64(m.BytesOut))
	e.Counter("quord_auth_failures_total", "Passwords of clients that were wrong.", float64(m.AuthFailed))
	e.Counter("quord_commands_total", "Commands of clients.", float64(m.Commands))
	e.Counter("quord_commands_oversize_total", "Commands that were refused for an argument over the limits.", float64(m.Oversize))
	e.Counter("quord_commands_split_total", "Commands that were cut up by tablet.", float64(m.SplitUps))
	for _, c := range m.ByCommand {
		tellCommand(e, c)
	}
	for code, count := range m.Errors {
		e.Counter("quord_errors_total", "Error replies, by their first word.", float64(count), "code", code)
	}
}

// commandBounds are the bounds of quord_command_seconds; what was slower than all of them is counted above the last.
var commandBounds = func() (bounds []float64) {
	for i := range server.Buckets - 1 {
		bounds = append(bounds, server.BucketBound(i).Seconds())
	}
	return bounds
}()

func tellCommand(e console.Emitter, c server.CommandMetrics) {
	for outcome, t := range map[string]server.Tally{"ok": c.OK, "failed": c.Failed} {
		if t.Calls > 0 {
			e.Histogram("quord_command_seconds", "Time of commands, from being read to the reply, by their outcome.",
				console.Histogram{Bounds: commandBounds, Counts: t.Buckets[:], Sum: t.Time.Seconds()}, "command", c.Name, "outcome", outcome)
		}
	}
	if c.Rejected > 0 {
		e.Counter("quord_commands_rejected_total", "Commands that were refused before they were carried out.", float64(c.Rejected), "command", c.Name)
	}
}
