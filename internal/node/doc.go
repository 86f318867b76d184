// Package node is the shell around core: it owns the data directory, the goroutines, the clocks and the sockets of
// one node, and nothing that decides anything.
//
// One goroutine, the worker, owns the core. It takes what has come in (requests of clients, frames and comings and
// goings of peers, calls), lets the core take a turn, writes what the turn says in one batch with one sync, sends, applies
// what is decided while the disk works, and sleeps until there is more or the next tick. Frames are received by the readers of package peer, requests come from
// the sessions of package server; both only append to the worker's inbox, which is bounded by back-pressure: a
// reader waits while the inbox is full, and a session has one batch under way at a time.
//
// The data directory holds
//
//	node.key  the node's Ed25519 private key (PEM, PKCS #8), made once; the node is this key
//	store/    the store (package store): state, logs, boot counter, cluster, registry
//
// Open starts a node and returns when it is a member and serves; Close hands leadership over, drains and stops. Leave
// hands over everything, and ends the node.
package node
