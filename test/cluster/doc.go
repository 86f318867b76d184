// Package cluster runs real Quord processes on loopback for tests: started, killed, paused and restarted one by one.
//
// It owns the processes and their directories: a process is ended by its own id, and dies with the test that
// started it. Whatever it waits for is an event (an exit, a page that answers, a status) with a deadline, never a
// span of time. A Cluster keeps every node's log; Keep preserves directory and logs when something has failed.
//
// Concurrency: the methods of one Node are called from one goroutine at a time, those of different nodes from any.
// One goroutine for each running process waits for its end.
package cluster
