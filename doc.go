// Package quord is the root of a replicated key-value store without a master: nodes on a Chord ring, a Raft group
// for each run of slots, the Redis protocol in front. It holds no code. README.md says how to use it,
// ARCHITECTURE.md how it is built and where to begin reading, and layout_test.go beside this file what may import
// what. The command is in cmd/quord.
package quord
