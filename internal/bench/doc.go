// Package bench puts load on anything that speaks the Redis protocol and reports what it felt like.
//
// It owns the three parts of a load generator, each in its own file: what is asked (workload.go: a seeded, pure
// stream of operations), how it is asked (conn.go: raw connections that pipeline), and what is told (report.go).
// runner.go puts them together, cpu.go asks the kernel what the servers spent.
//
// Latency is measured per operation, from when its batch was due until its own reply had been read. At full speed
// (a closed loop) a batch is due when the one before it has been answered; at a given rate (an open loop) it is due
// when the schedule says so, however long the connection still waits for the batch before it: a server that stalls
// for a second is seen to have stalled by every operation of that second, not by one. (That timers wake a waiting
// generator up to a millisecond late is not counted.) What the schedule asked for and nobody got round to is
// counted as unsent. An operation that fails is counted by its error code and is not part of the latencies.
//
// It refuses to judge: values are not checked, and a key that is absent counts as an answer and as a miss.
//
// Concurrency: Run starts one goroutine per connection, which shares nothing with the others but one counter of
// operations left; a second one for the time of one batch when a batch is too large to be written before replies
// are read; and one that reports progress. All have ended when Run returns. Memory is bounded by Clients times
// (Pipeline times the largest value, plus two replies, plus two histograms of 150 KB).
package bench
