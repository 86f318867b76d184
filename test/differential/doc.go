// Package differential compares Quord with Debian's redis-server: the same commands, the same bytes in reply.
//
// It starts a redis-server of its own on a free loopback port, without a disk, and speaks RESP3 to it over a plain
// socket, so that no client library can smooth a difference over. Sequences come from internal/command/gen; a
// failure names the seed and shows what had happened to the keys concerned.
package differential
