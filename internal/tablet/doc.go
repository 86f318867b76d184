// Package tablet is one Raft group: a run of slots, its log, its state machine, its membership. The library is
// go.etcd.io/raft, and this is the only package that imports it; storage, messages, membership and elections are here.
//
// A Group is one replica and a value: calls go in (messages, writes, reads, ticks), and a Turn comes out that says what
// to send, write and answer, and when. It holds no goroutine and no clock. The groups of a node share a Turn, so that
// what all of them write is one batch with one sync.
//
// What an entry of the log says is evaluated when it is applied, on every replica alike: the entry carries the tablet's
// time and a seed, and nothing else but the state is looked at. The state behind the log is a Machine: Data (keys and
// Redis' commands), or the registry of the system group (package core).
//
// Invariants:
//
//   - Head and data are written together: the applied position never disagrees with the state.
//   - Only an entry of the log changes the descriptor, and each change raises its epoch. Replica ids are never reused.
//   - A voter that was removed is there, and votes, until a majority of those who stay has that on disk.
//   - A message that promises something (an append, a vote) is late: it leaves after the sync.
//   - Nothing is read before an entry of the leader's own term is applied, nor without a majority that follows: by a lease
//     that it has granted, or by asking it.
//   - A write is applied once: (node, boot, number) names it, and the window of results answers it again.
//   - The library is asked about every entry, unless the group is a lone voter that nobody can disagree with (sole).
//   - A key that was found expired is gone from the log's state before anybody is told so.
//
// State keys (package record has the keys of the data), integers big endian:
//
//	'm' tablet (4)                                  the head: see head.append
//	'w' tablet (4) node (16) boot (8) number (8)    a result too large for the head: replies (see AppendReplies), sealed
//	'x' slot (2) time (8) key                       the key expires then; no value
//	't' tablet (4)                                  the highest replica id that was removed from this node (8)
//	'S' tablet (4) key                              a state key of a snapshot that is being received
//	'S' tablet (4)                                  once it is complete: whether the log holds its place (1), and its head
//
// A log entry is (numbers uvarint unless said)
//
//	format (1 byte, 1)  kind (1 byte; 1: commands, 2: expiry, 3: dismissal)
//	origin: node (16 bytes), boot, number, low
//	time (8 bytes, milliseconds since 1970)  seed (8 bytes)  the most that a value may grow to
//	number of commands; for each: number of arguments; for each: length, bytes
//
// and an expiry names its keys as the arguments of one command. A dismissal names the epoch (8 bytes) of the descriptor whose
// former replicas it drops, in the same way. A membership change is the library's ConfChangeV2 in
// protobuf, with the new descriptor as its context; the end of a joint configuration carries none. Heads, descriptors,
// chunks of snapshots and raft messages are described where they are encoded (head.go, descriptor.go, snapshot.go,
// message.go); a damaged one is refused by its checksum or its shape.
//
// Sources: Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (2014), and Ongaro's dissertation
// for joint changes, clients' numbers (6.3) and read indexes (6.4).
// Departs from the paper: elections are started by the connections between nodes and by monotonic time, in order of
// rank, not by a randomised timer of each group.
//
// Concurrency: one goroutine uses a node's groups and Turn. A Data machine may be read from by many.
package tablet
