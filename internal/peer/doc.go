// Package peer connects the nodes of a cluster: one connection for each pair of nodes, whoever opened it, over which
// either side sends frames to the other.
//
// It owns sockets, queues, handshakes, keepalive and the repair of connections. What a frame says is not its concern,
// nor who belongs to the cluster: Config.Check decides that. It promises neither arrival nor that a sender learns of
// a loss; it promises that frames of one connection arrive whole, unaltered and in order, that what is queued stays
// within Settings.MaxQueue, that a peer which died or fell silent is reported, and that a node is who it claims to be
// when the connection is made. It encrypts nothing: whoever can alter packets on the way can take over a connection
// after its handshake.
//
// # Handshake
//
// All integers are big endian. The two sides take turns, the dialler first; each says a greeting, then a proof.
//
//	greeting  "QUORDP"
//	          version of the handshake (2 bytes, 1)
//	          length of what follows (2 bytes, at most 4096)
//	          nonce (32)  public key (32, Ed25519)  instance (8, drawn when the process starts)
//	          cluster (16)  boot (8)  sequence (8)
//	          protocol min (2)  max (2)  format min (2)  max (2)
//	          wall clock (8, milliseconds since 1970)
//	          length of the address (2, at most 255)  address
//	          (more, which this version skips and the signatures cover)
//	proof     seen (8)  live (1, 0 or 1)
//	          signature (64, Ed25519) of
//	            "quord peer handshake: dialler" or "quord peer handshake: acceptor", as the signer is, a zero byte,
//	            seen, live, SHA-512 of the dialler's greeting followed by the acceptor's
//
// A node's identifier follows from its key. A side that finds its own key has reached itself and hangs up. Of two
// nodes the one with the smaller identifier is the senior. The junior says its verdict first, then the senior:
//
//	verdict   code (1): 1 accepted, 2 refused, 3 another connection between the two is kept
//	          ticket (8; the junior's, with 1; else 0)
//	          length of the reason (2, at most 1024)  reason (UTF-8, with 2)
//
// When both have accepted, frames follow. settle.go says what tickets and the claim (seen, live) are for: both nodes
// choose the same one of two connections. The protocol version in use is the highest that both sides know.
//
// # Frames
//
//	kind (upper 4 bits) and length of the payload (lower 28 bits), together 4 bytes
//	CRC32C (4) of these 4 bytes and the payload
//	payload
//
//	kind 0  data, what Send was given
//	kind 1  ping: a time (8), meaningful to its sender only
//	kind 2  pong: the time of the ping that it answers (8)
//
// A length past Settings.MaxFrame, an unknown kind and a wrong checksum end the connection, the first two before
// memory is taken. Keepalive frames overtake data that waits: between them and the socket there is at most what is
// being written, 256 KiB or one frame.
//
// # Concurrency
//
// All methods may be called from any goroutine, but see Handler for what callbacks may do. A Transport runs:
//
//	accept      one: takes incoming connections
//	welcome     one for each incoming handshake, at most Settings.MaxHandshakes
//	pulses      one: pings, and the judgement of silence
//	keep        one for each SetPeer: dials with backoff while there is no connection, until DropPeer
//	serve       one for each connection: reads, and calls the Handler
//	write       one for each connection: writes what the outbox holds
//
// Close ends them all and waits for them. Locks: Transport.mu guards links and is never held while something blocks
// or the Handler runs; outbox.mu is a leaf and so is refusalLog.mu. Send takes outbox.mu alone.
package peer
