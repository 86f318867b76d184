// Package links is a network between nodes that a test can harm: every connection from one node to another runs
// through it, and for each direction between two nodes it can be told to be silent, slow, lossy or broken off.
//
// A node listens for its peers on an address of its own and tells the others one where a Network listens for it. Who
// dials is read from the first bytes of the connection, the greeting of package peer, which holds the dialler's public
// key in clear. So the nodes run as they are, and nothing on the machine is changed: no privileges are needed.
//
// What it promises about a direction that is cut is what a network promises that loses every packet: nothing arrives,
// neither data nor the end of a connection nor its reset, and neither side is told. When the direction is whole
// again, what had been sent arrives, as TCP would have sent it again. A connection that is dialled while either
// direction is cut is taken, as a kernel would take it, and gets no answer until both are whole. Loss shows as TCP
// shows it, in chunks that arrive late and hold up what follows. What is on its way in one direction is bounded; past
// that the sender is held up.
//
// It does not know what the bytes mean, beyond the greeting, and alters none.
//
// Concurrency: all methods may be called from any goroutine. Each connection has four goroutines, a reader and a
// writer for each direction; Close ends them all and waits for them.
package links
